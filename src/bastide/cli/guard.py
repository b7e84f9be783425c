# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide guard ...`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bastide.cli.command import (
    Call,
    parameters,
    read_file,
    read_text,
    verify_one_way,
    write_envelope,
)

if TYPE_CHECKING:
    from bastide.crypto.dsse import Envelope

__all__ = ["guard"]

_KEY = click.option("--key", metavar="FILE", help="The guardian's OpenSSH key.")
_OUT = click.option("--out", metavar="FILE", help="Write it for the guardian to sign elsewhere.")
_SIGNED = click.option("--signed", metavar="FILE", help="What the guardian signed elsewhere.")
_TENANT = click.option("--tenant", default="*", metavar="NAME", help="Whose.  [default: all]")


@click.group()
def guard() -> None:
    """Look for personal data, secrets and links in prompts and answers."""


@parameters(
    "set",
    "bastide guard set --tenant acme guard.toml --key guardian.key\n"
    "bastide guard set --tenant acme guard.toml --out guard.json\n"
    "bastide guard set --signed guard.json",
    _TENANT,
    _KEY,
    _OUT,
    _SIGNED,
    click.option("--off", is_flag=True, help="End the policy."),
    click.argument("file", required=False),
)
def set_command(
    call: Call,
    tenant: str,
    key: str | None,
    out: str | None,
    signed: str | None,
    off: bool,
    file: str | None,
) -> None:
    """Put a policy into force, for one tenant or for all that have none of their own.

    It takes the guardian's signature: with --key here, or with --out, `bastide sign` and --signed
    on a machine of the guardian's own.
    """
    from bastide.app.guards import carry_guard, draft_guard, read_policy, set_guard
    from bastide.core.errors import Misconfigured
    from bastide.core.guard import GuardPolicy

    verify_one_way(out, signed)
    if [off, file is not None, signed is not None].count(True) != 1:
        raise Misconfigured("name a policy file, or give --off or --signed FILE", place="file")
    policy = None if file is None else read_file(file, read_policy)
    with call.environment(call.party_key(key)) as env:
        if out is not None:
            _drafted(call, out, draft_guard(env, tenant, policy))
            return
        if signed is None:
            row = set_guard(env, tenant, policy)
        else:
            row = read_file(signed, partial(carry_guard, env))
    tenant, said = row.body["tenant"], row.body["policy"]
    digest = None if said is None else str(GuardPolicy.from_json(said).digest)
    result = {"tenant": tenant, "digest": digest, "entry": row.entry}
    ended = said is None
    call.show(result, f"{'ended' if ended else 'in force'} for {tenant}  (entry {row.entry})")


def _drafted(call: Call, out: str, envelope: "Envelope") -> None:
    write_envelope(out, envelope)
    told = f"wrote {out}: the guardian runs `bastide sign {out} --key KEY`; then --signed {out}"
    call.show({"statement": out}, told)


@parameters("show", "bastide guard show --json")
def show(call: Call) -> None:
    """List the policies in force; with --json, all of each."""
    from bastide.app.guards import show_guards

    with call.environment() as env:
        rows = show_guards(env)
    call.rows(rows, ("tenant", "digest", "entry"), "no policy: bastide guard set FILE")


@parameters(
    "test",
    'bastide guard test guard.toml --text "my IBAN is DE89 3704 0044 0532 0130 00"',
    click.argument("file"),
    click.option("--text", help="The text to look at."),
    click.option("--stdin", is_flag=True, help="Read the text from standard input."),
)
def test(call: Call, file: str, text: str | None, stdin: bool) -> None:
    """Show what a policy would do to a text, without asking a model."""
    from bastide.app.guards import read_policy, try_guard
    from bastide.core.errors import Misconfigured

    if stdin == (text is not None):
        raise Misconfigured("give --text or --stdin", place="text")
    shown = read_text("-") if text is None else text
    policy = read_file(file, read_policy)
    with call.environment() as env:
        result = try_guard(env, policy, shown)
    lines = []
    for name, way in (("prompt", result["in"]), ("answer", result["out"])):
        lines.append(f"{name}: {'refused' if way['refused'] else way['text']}")
    call.show(result, "\n".join([*lines, *result["decisions"]]))


@click.group()
def erasure() -> None:
    """Names that no answer may say."""


@parameters(
    "import",
    "bastide guard erasure import erasure.json --key guardian.key\n"
    "bastide guard erasure import erasure.json --out statement.json\n"
    "bastide guard erasure import erasure.json --signed statement.json",
    _KEY,
    _OUT,
    _SIGNED,
    click.argument("file"),
)
def import_command(
    call: Call, key: str | None, out: str | None, signed: str | None, file: str
) -> None:
    """Put a list into force. It takes the guardian's signature, as `guard set` does."""
    from bastide.app.guards import carry_erasure, draft_erasure, import_erasure

    verify_one_way(out, signed)
    data = read_text(file).encode()
    with call.environment(call.party_key(key)) as env:
        if out is not None:
            _drafted(call, out, draft_erasure(env, data))
            return
        if signed is None:
            row = import_erasure(env, data)
        else:
            row = read_file(signed, partial(carry_erasure, env, data))
    result = {name: row.body[name] for name in ("list", "date", "entries")}
    text = f"in force: the list of {row.body['date']}, {row.body['entries']} spellings"
    call.show({**result, "entry": row.entry}, text)


@parameters("export", "bastide guard erasure export erasure.json", _KEY, click.argument("file"))
def export(call: Call, key: str | None, file: str) -> None:
    """Write the list in force to a file that only you can read: hashes, and its date."""
    from bastide.app.guards import export_erasure

    with call.environment(call.party_key(key)) as env:
        data = export_erasure(env)
    _write(file, data)
    call.show({"file": file, "bytes": len(data)}, f"wrote {file}")


@parameters(
    "make",
    "bastide guard erasure make names.txt erasure.json",
    _KEY,
    click.argument("names"),
    click.argument("file"),
)
def make(call: Call, key: str | None, names: str, file: str) -> None:
    """Make a list of a file with one name a line. Delete that file afterwards."""
    from bastide.app.guards import make_erasure

    lines = [line.strip() for line in read_text(names).splitlines() if line.strip()]
    with call.environment(call.party_key(key)) as env:
        listed = make_erasure(env, lines)
    _write(file, listed.dump())
    text = f"wrote {file}: {len(lines)} names, {len(listed.entries)} spellings"
    call.show({"file": file, "names": len(lines), "entries": len(listed.entries)}, text)


def _write(file: str, data: bytes) -> None:
    path = Path(file)
    path.touch(mode=0o600)
    path.write_bytes(data)


guard.add_command(set_command)
guard.add_command(show)
guard.add_command(test)
guard.add_command(erasure)
erasure.add_command(import_command)
erasure.add_command(export)
erasure.add_command(make)
