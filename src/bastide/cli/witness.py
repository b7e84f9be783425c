# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide witness ...`."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import click

from bastide.cli.command import Call, parameters, read_file, write_envelope
from bastide.core.errors import Misconfigured

__all__ = ["witness"]

_DIR = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("witness"),
    show_default=True,
    help="The witness's folder.",
)


@click.group()
def witness() -> None:
    """Cosign the ledger's heads: nobody can then show two histories, or cut one short."""


@parameters(
    "init",
    "bastide witness init --dir witness --name firm.example/w1",
    _DIR,
    click.option("--name", required=True, help="Its name in cosignatures: a URL without scheme."),
)
def init(call: Call, folder: Path, name: str) -> None:
    """Make a witness: a folder with a key of its own. Do it on a machine of your own."""
    from bastide.app import wiring
    from bastide.app.witness_server import make_witness

    made = make_witness(folder, name, wiring.entropy())
    text = "\n".join(
        [f"made the witness {name} in {folder}", *(f"  {vkey[:100]}" for vkey in made.vkeys())]
    )
    call.show({"name": name, "keys": made.vkeys()}, text)


@parameters(
    "watch",
    "bastide witness watch keys.json --dir witness",
    click.argument("anchors", metavar="KEYS.JSON"),
    _DIR,
    click.option(
        "--log-key", "log_keys", multiple=True, metavar="VKEY", help="A ledger key that came later."
    ),
)
def watch(call: Call, anchors: str, folder: Path, log_keys: tuple[str, ...]) -> None:
    """Cosign the ledger of an environment from now on. You must have its keys.json from somebody
    whom you trust."""
    from bastide.app.receipts import read_anchors
    from bastide.app.witness_server import watch as watch_log

    log = watch_log(folder, read_anchors(Path(anchors)), log_keys)
    call.show({"origin": log.origin, "keys": list(log.keys)}, f"watching {log.origin}")


@parameters(
    "run",
    "bastide witness run --dir witness --listen 127.0.0.1:8481",
    _DIR,
    click.option("--listen", default="127.0.0.1:8481", show_default=True, help="Address and port."),
)
def run(call: Call, folder: Path, listen: str) -> None:
    """Answer the ledgers that are watched, until it is interrupted."""
    from bastide.app import wiring
    from bastide.app.process import on_stop
    from bastide.app.witness_server import read_witness, serve_witness

    name = read_witness(folder).name

    async def serve() -> None:
        stop = asyncio.Event()
        on_stop(stop)
        call.tell(f"the witness {name} listens on {listen}")
        await serve_witness(folder, listen, wiring.clock(), stop)

    asyncio.run(serve())


@parameters("show", "bastide witness show --dir witness", _DIR)
def show(call: Call, folder: Path) -> None:
    """Show what a witness has cosigned, and the heads that it refused as forks."""
    from bastide.app.witness_server import read_witness, refusals, watched

    public, logs, refused = read_witness(folder), watched(folder), refusals(folder)
    lines = [f"{public.name}"]
    lines += [f"  log      {log.origin}: {log.size} entries" for log in logs] or ["  no log"]
    lines += [f"  REFUSED  {row['origin']}: {row['reason']}" for row in refused]
    result: dict[str, Any] = {
        "name": public.name,
        "keys": public.vkeys(),
        "logs": [{"origin": log.origin, "size": log.size, "head": log.note} for log in logs],
        "refused": refused,
    }
    call.show(result, "\n".join(lines))


@parameters(
    "enrol",
    "bastide witness enrol --dir witness --party firm --key firm.key\n"
    "bastide witness enrol --dir witness --party firm --key firm.key --out witness.json\n"
    "bastide witness enrol --import witness.json",
    _DIR,
    click.option("--party", help="Whose witness it is."),
    click.option("--key", metavar="FILE", help="OpenSSH private key of that party."),
    click.option("--out", metavar="FILE", help="Sign on a machine of your own: write the file."),
    click.option("--import", "file", metavar="FILE", help="Record a carried enrolment."),
)
def enrol(
    call: Call, folder: Path, party: str | None, key: str | None, out: str | None, file: str | None
) -> None:
    """Tell the ledger whose cosignatures count as a party's. The newest of a party counts."""
    from bastide.app import wiring
    from bastide.app.witness_server import read_witness
    from bastide.app.witnesses import enrol_witness, enrolment, import_witness, sign_enrolment

    if file is not None:
        with call.environment() as env:
            row = read_file(file, partial(import_witness, env))
        call.show({"party": row.subject.name, "entry": row.entry}, f"enrolled  (entry {row.entry})")
        return
    if party is None:
        raise Misconfigured("--party says whose witness it is", fix="bastide witness enrol --help")
    public = read_witness(folder)
    signer = call.party_key(key)
    if out is not None:
        if signer is None:
            raise Misconfigured("--out needs --key", fix="give the party's key")
        envelope = sign_enrolment(enrolment(public, party, wiring.clock()), signer)
        write_envelope(out, envelope)
        call.show({"enrolment": out}, f"signed: {out}  (bastide witness enrol --import {out})")
        return
    with call.environment(signer) as env:
        row = enrol_witness(env, public, party, signer)
    call.show({"party": party, "entry": row.entry}, f"enrolled {public.name}  (entry {row.entry})")


for _command in (init, watch, run, show, enrol):
    witness.add_command(_command)
