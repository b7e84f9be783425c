# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide people ...`: who may log in, and where."""

import tomllib
from functools import partial
from typing import TYPE_CHECKING

import click

from bastide.cli.command import Call, parameters, read_file, read_text, write_envelope
from bastide.core.errors import Misconfigured

if TYPE_CHECKING:
    from bastide.core.people import People

__all__ = ["people"]

_KEY = click.option("--key", metavar="FILE", help="Private key, or passkey file, of a party.")


@click.group()
def people() -> None:
    """People who log in: propose, apply, show, logins."""


@parameters(
    "propose",
    "bastide people propose people.toml --reason 'anna joins' --out people.json --key firm.key\n"
    "bastide sign people.json --key guardian.key",
    click.argument("file", required=False),
    click.option("--end", is_flag=True, help="Instead of a file: nobody logs in any more."),
    click.option("--reason", required=True, help="Why; kept in the ledger."),
    click.option("--out", required=True, metavar="FILE", help="Where the statement goes."),
    _KEY,
)
def propose(
    call: Call, file: str | None, end: bool, reason: str, out: str, key: str | None
) -> None:
    """Make the next list of people, for the guardian and one more party to sign.

    FILE is TOML: `[provider]` with issuer and client, and a `[[person]]` with name, subject and
    party for each. Once it is in force, whoever gives no party's key must log in.
    """
    from bastide.app.people import propose_people
    from bastide.core.people import People

    if end is (file is not None):
        raise Misconfigured("give a file, or --end")
    listed = People(None, ()) if file is None else _read(file)
    signer = call.party_key(key)
    with call.environment(signer) as env:
        envelope = propose_people(env, listed, reason, signer)
    write_envelope(out, envelope)
    row = {"file": out, "digest": str(envelope.digest), "person": listed.to_json()["person"]}
    names = ", ".join(f"{one.name} ({one.party})" for one in listed.people) or "nobody"
    call.show(row, f"{out}: who may log in: {names}\nfor the guardian and one more to sign")


@parameters("apply", "bastide people apply people.json", click.argument("file"), _KEY)
def apply(call: Call, file: str, key: str | None) -> None:
    """Put a signed list in force; sessions that were made by another one end."""
    from bastide.app.people import apply_people

    with call.environment(call.party_key(key)) as env:
        row = read_file(file, partial(apply_people, env))
    version = row.body["version"]
    call.show(
        {"entry": row.entry, "version": version, "digest": str(row.digest)},
        f"version {version} is in force  (entry {row.entry})",
    )


@parameters("show", "bastide people show --json", _KEY)
def show(call: Call, key: str | None) -> None:
    """Show the list in force."""
    from bastide.app.people import show_people

    with call.environment(call.party_key(key)) as env:
        row = show_people(env)
    lines = [f"{one['name']}  {one['party']}  {one['subject']}" for one in row["person"]]
    issuer = row["provider"]["issuer"] if row["login"] else "nobody has to log in"
    call.show(row, "\n".join([issuer, *lines]))


@parameters("logins", "bastide people logins --json", _KEY)
def logins(call: Call, key: str | None) -> None:
    """List who logged in, and until when."""
    from bastide.app.people import list_logins

    with call.environment(call.party_key(key)) as env:
        rows = list_logins(env)
    call.rows(rows, ("entry", "person", "party", "how", "time_ms", "until_ms"), "no logins")


def _read(file: str) -> "People":
    from bastide.core.people import People

    try:
        return People.from_json(tomllib.loads(read_text(file)))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{file}: {error}", place=file) from error


for _command in (propose, apply, show, logins):
    people.add_command(_command)
