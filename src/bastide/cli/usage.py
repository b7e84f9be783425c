# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide usage`."""

import click

from bastide.cli.command import Call, parameters
from bastide.core.errors import Misconfigured

__all__ = ["usage"]


@parameters(
    "usage",
    "bastide usage --tenant acme --by day --from 2027-01-01 --csv",
    click.option("--tenant", help="Only this tenant's."),
    click.option(
        "--by",
        type=click.Choice(["day", "model", "project", "key"]),
        default="day",
        show_default=True,
        help="One row for each of these, within each tenant.",
    ),
    click.option("--from", "first", help="First day, in UTC: 2027-01-01."),
    click.option("--to", "last", help="Last day."),
    click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line of names."),
)
def usage(
    call: Call, tenant: str | None, by: str, first: str | None, last: str | None, as_csv: bool
) -> None:
    """Show what was used, exact to the token: the sums are those of the receipts.

    An answer that was cut off counts with what was made of it. What failed and sent nothing counts
    nothing, and so does an attempt that a retry replaced.
    """
    from bastide.app.usage import COLUMNS, as_table, list_usage

    if as_csv and call.as_json:
        raise Misconfigured("--csv and --json cannot both be", fix="give one of both")
    with call.environment() as env:
        rows = list_usage(env, tenant, by, first, last)
    if as_csv:
        call.show({}, as_table(rows).rstrip())
        return
    call.rows(rows, COLUMNS, "nothing was used yet")
