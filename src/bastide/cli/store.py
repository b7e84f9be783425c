# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide store ...`."""

from typing import TYPE_CHECKING

import click

from bastide.cli.amounts import size
from bastide.cli.command import Call, parameters, read_envelope
from bastide.cli.store_denial import allow, denied_lines, deny
from bastide.cli.store_key import keys, shred, write_order
from bastide.core.errors import Misconfigured, NotProven

if TYPE_CHECKING:
    from bastide.crypto.dsse import Envelope

__all__ = ["store"]


@click.group()
def store() -> None:
    """Sealed objects and their keys: where they are, who opened what, deny, rotate, move."""


@parameters("where", "bastide store where")
def where(call: Call) -> None:
    """Say where sealed objects are and who holds the key that opens them, and try both once."""
    from bastide.app.store_keys import where as find

    row = find(call.home, call.passphrase())
    lines = [f"held by    {row['holds']}"]
    lines += [f"sealed to  {recipient[:72]}" for recipient in row["recipients"]]
    lines += [f"denied     {line}" for line in denied_lines(row["denied"])]
    lines.append(f"objects in {row['objects']}")
    if row["conditional"] is False:
        lines.append(
            "           which ignores conditions: two machines must not write to it at once"
        )
    if row["rotation"]:
        lines.append("rotation   under way; go on with: bastide store rotate")
    call.show(row, "\n".join(lines))


_KEY = click.option("--key", metavar="FILE", help="A party's key: it says who you are.")


@parameters(
    "openings",
    "bastide store openings --limit 20",
    click.option("--limit", type=click.IntRange(1), default=100, show_default=True),
    _KEY,
)
def openings(call: Call, limit: int, key: str | None) -> None:
    """List the newest openings: time, object, who held the key, process, outcome.

    While the environment is locked it needs no key, and no policy is asked. A line that is
    none of ours is named beside the others, with status 6.
    """
    from bastide.app.store_denials import openings as read
    from bastide.app.store_denials import openings_locked

    with call.environment_if_open(call.party_key(key)) as env:
        rows, foreign = openings_locked(call.home, limit) if env is None else read(env, limit)
    call.rows(rows, ("time_ms", "outcome", "process", "object"), "nothing was opened")
    if foreign:
        call.tell(
            "the record of openings has lines that are no whole line of ours: the disk was full, or"
            f" somebody wrote there. Keep a copy of it, and ask who: {', '.join(foreign)}"
        )
        raise click.exceptions.Exit(NotProven.exit_status)


@parameters(
    "rotate",
    "bastide store rotate --to file",
    click.option(
        "--to",
        metavar="PLACE",
        default="file",
        show_default=True,
        help="Where the new key is: file, pkcs11:..., openbao:... or tpm:...",
    ),
    click.option("--rekey-data", is_flag=True, help="New file keys too: after a compromise."),
    click.option("--reason", default="", help="Why the key gets another holder; in the ledger."),
    click.option(
        "--key", "signers", metavar="FILE", multiple=True, help="A party's key that signs; repeat."
    ),
    click.option("--out", metavar="FILE", help="Write the order, for others to sign."),
    click.option("--import", "files", metavar="FILE", multiple=True, help="Signed orders; repeat."),
)
def rotate(
    call: Call,
    to: str,
    rekey_data: bool,
    reason: str,
    signers: tuple[str, ...],
    out: str | None,
    files: tuple[str, ...],
) -> None:
    """Give all sealed objects to new keys, while the services are down. A kill costs nothing.

    Another holder of the key (a token, a server, a file) takes an order that two parties sign: with
    --key here, or by --out, `bastide sign` elsewhere and --import.

    Only headers are written. Who copied a header before, and has its key, can still open that
    copy; after a compromise --rekey-data encrypts the data anew as well.
    """
    from bastide.app.store_keys import rotate as renew

    passphrase, order = call.passphrase(), None
    if reason or signers or out is not None or files:
        order = _order(call, to, reason, signers, files)
    if out is not None and order is not None:
        write_order(call, out, order)
        return
    row = renew(call.home, passphrase, to, rekey_data, call.progress(), order)
    done = f"{row['objects']} objects sealed to the new key"
    done += f", {size(row['bytes'])} encrypted anew" if row["rekeyed"] else ", no data copied"
    call.show(row, f"{done}; {row['retired']} old keys left the keyring")


def _order(
    call: Call, to: str, reason: str, signers: tuple[str, ...], files: tuple[str, ...]
) -> "Envelope":
    """The order to give the key to another holder, from files or new, signed with what is given."""
    from bastide.app.orders import sign_as_parties
    from bastide.app.signing_keys import merge
    from bastide.app.store_custody import draft_move

    given = [signer for file in signers if (signer := call.party_key(file)) is not None]
    with call.environment() as env:
        if files:
            order = merge(read_envelope(file) for file in files)
            return sign_as_parties(env, order, given) if given else order
        draft = draft_move(env, to, reason)
        if draft is None:
            raise Misconfigured("the key's holder stays: that takes no order", fix="only give --to")
        return sign_as_parties(env, draft, given)


@parameters(
    "move",
    "bastide store move --to s3://models/bastide",
    click.option(
        "--to",
        metavar="PLACE",
        required=True,
        help="s3://BUCKET/PREFIX, local:/FOLDER, or home: the folder `store` of the home.",
    ),
)
def move(call: Call, to: str) -> None:
    """Bring all sealed objects to another place, while the services are down. A kill costs nothing.

    They stay the age files that they are: none is opened. Each is read back before the setting
    `store` changes and the old copies go.
    """
    from bastide.app.store_move import move as bring

    row = bring(call.home, call.passphrase(), to, call.progress())
    call.show(row, f"{row['objects']} objects are in {row['to']} now, {size(row['bytes'])} copied")


for command in (where, openings, deny, allow, rotate, move, keys, shred):
    store.add_command(command)
