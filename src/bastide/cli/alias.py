# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide alias ...`."""

import click

from bastide.cli.command import Call, parameters

__all__ = ["alias"]


@click.group()
def alias() -> None:
    """Let a deployment answer to other providers' model names."""


@parameters(
    "set",
    "bastide alias set gpt-4o-mini smollm2-135m-instruct",
    click.argument("name"),
    click.argument("deployment"),
)
def set_command(call: Call, name: str, deployment: str) -> None:
    """Let a deployment answer to another name. Setting it anew moves it.

    Answers and receipts name the release that answered; the receipt keeps the alias as well.
    """
    from bastide.app.aliases import set_alias

    with call.environment() as env:
        row = set_alias(env, name, deployment)
    result = {"alias": name, "deployment": row.body["deployment"], "entry": row.entry}
    call.show(result, f"{name} is {result['deployment']}  (entry {row.entry})")


@parameters("ls", "bastide alias ls")
def ls(call: Call) -> None:
    """List aliases, and whether what they stand for is in service."""
    from bastide.app.aliases import list_aliases

    with call.environment() as env:
        rows = list_aliases(env)
    columns = ("alias", "deployment", "active", "entry")
    call.rows(rows, columns, "no alias yet: bastide alias set NAME DEPLOYMENT")


@parameters("rm", "bastide alias rm gpt-4o-mini", click.argument("name"))
def rm(call: Call, name: str) -> None:
    """End an alias. Gateways forget it within a second."""
    from bastide.app.aliases import end_alias

    with call.environment() as env:
        row = end_alias(env, name)
    call.show({"alias": name, "ended": True, "entry": row.entry}, f"ended {name}")


alias.add_command(set_command)
alias.add_command(ls)
alias.add_command(rm)
