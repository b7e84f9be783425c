# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide budget ...`."""

import click

from bastide.cli.command import Call, parameters
from bastide.core.errors import Misconfigured

__all__ = ["budget"]


@click.group()
def budget() -> None:
    """Limit what tenants, projects and keys use in a day or a month."""


@parameters(
    "set",
    "bastide budget set --tenant acme --tokens 1000000 --per day --soft 80",
    click.option("--tenant", required=True, help="Whose budget."),
    click.option("--project", help="Only of this project."),
    click.option("--key", help="Only of the key with this id."),
    click.option("--tokens", type=int, help="The limit in tokens, of prompts and answers."),
    click.option("--eur", help="The limit in EUR, by the price list: 12.50."),
    click.option("--per", type=click.Choice(["day", "month"]), required=True, help="In UTC."),
    click.option(
        "--soft", type=int, default=80, show_default=True, help="Percent of it that warn."
    ),
    click.option("--off", is_flag=True, help="End this budget; say its unit with 0."),
)
def set_command(
    call: Call,
    tenant: str,
    project: str | None,
    key: str | None,
    tokens: int | None,
    eur: str | None,
    per: str,
    soft: int,
    off: bool,
) -> None:
    """Set a budget. Over it, inference stops until the day or month ends; all else goes on.

    From the soft limit on, every answer has the header x-bastide-budget.
    """
    from bastide.app.budgets import find_scope, set_budget
    from bastide.core.budget import Per, Unit
    from bastide.core.money import micro_euros

    if (tokens is None) == (eur is None):
        raise Misconfigured("a budget is in tokens or in EUR", fix="give --tokens or --eur")
    unit = Unit.TOKENS if eur is None else Unit.EUR
    limit = tokens if eur is None else micro_euros(eur)
    with call.environment() as env:
        scope = find_scope(env, tenant, project, key)
        row = set_budget(env, scope, unit, Per(per), None if off else limit, soft)
    done = "ended" if off else "set"
    call.show({**row.body, "entry": row.entry}, f"{done} for {tenant}  (entry {row.entry})")


@parameters("ls", "bastide budget ls", click.option("--tenant", help="Only this tenant's."))
def ls(call: Call, tenant: str | None) -> None:
    """List budgets, with what is used of each in the day or month of now."""
    from bastide.app.budgets import list_budgets

    with call.environment() as env:
        rows = list_budgets(env, tenant)
    columns = ("tenant", "project", "key", "unit", "per", "used", "limit", "percent", "state")
    call.rows(rows, columns, "no budget yet")


budget.add_command(set_command)
budget.add_command(ls)
