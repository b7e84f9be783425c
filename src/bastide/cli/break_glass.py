# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide break-glass ...`: an emergency, for minutes, loudly."""

import click

from bastide.cli.command import Call, parameters
from bastide.core.limits import BREAK_GLASS_MINUTES_MAX

__all__ = ["break_glass"]


@click.group("break-glass")
def break_glass() -> None:
    """Emergencies: open, close, ls."""


@parameters(
    "open",
    "bastide break-glass open --reason 'the guardian is away' --minutes 15 --key operator.key",
    click.option("--reason", required=True, help="Why; kept in the ledger."),
    click.option(
        "--minutes",
        required=True,
        type=click.IntRange(1, BREAK_GLASS_MINUTES_MAX),
        help="Ends by itself.",
    ),
    click.option("--key", metavar="FILE", help="OpenSSH private key, or passkey file, of a party."),
)
def open_command(call: Call, reason: str, minutes: int, key: str | None) -> None:
    """Open an emergency: the access policies then permit what they list for one.

    It opens an incident, is told by every command, and ends by itself. Approvals, keys, policies
    and what is final stay as they are.
    """
    from bastide.app.break_glass import open_emergency
    from bastide.app.emergencies import told, warning

    signer = call.party_key(key)
    with call.environment(signer) as env:
        row = told(open_emergency(env, reason, minutes, signer))
    call.show(row, warning(row))


@parameters(
    "close",
    "bastide break-glass close --report 'the guard of acme was set; nothing else'",
    click.option("--report", required=True, help="What was done, and what follows."),
)
def close(call: Call, report: str) -> None:
    """Close the newest incident, and the emergency with it, with a report."""
    from bastide.app.break_glass import close_emergency

    with call.environment() as env:
        row = close_emergency(env, report)
    call.show({"entry": row.entry, **row.body}, f"closed  (entry {row.entry})")


@parameters("ls", "bastide break-glass ls --json")
def ls(call: Call) -> None:
    """List emergencies, with the entries that were written while each was open."""
    from bastide.app.break_glass import list_emergencies

    with call.environment() as env:
        rows = list_emergencies(env)
    shown = [{**row, "under": [str(one["entry"]) for one in row["under"]]} for row in rows]
    columns = ("entry", "party", "open", "reason", "report", "under")
    call.rows(rows if call.as_json else shown, columns, "no emergency was ever opened")


for _command in (open_command, close, ls):
    break_glass.add_command(_command)
