# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide project ...`."""

import click

from bastide.cli.command import Call, parameters

__all__ = ["project"]


@click.group()
def project() -> None:
    """Add and list the projects of tenants."""


@parameters(
    "add",
    "bastide project add search --tenant acme",
    click.argument("name"),
    click.option("--tenant", required=True, help="Whose project."),
)
def add(call: Call, name: str, tenant: str) -> None:
    """Add a project: a part of a tenant with keys and budgets of its own."""
    from bastide.app.projects import add_project

    with call.environment() as env:
        row = add_project(env, name, tenant)
    ident = row.body["project"]
    result = {"project": name, "id": ident, "tenant": tenant, "entry": row.entry}
    call.show(result, f"added {name} of {tenant} as {ident}  (entry {row.entry})")


@parameters(
    "ls",
    "bastide project ls --tenant acme",
    click.option("--tenant", help="Only this tenant's."),
)
def ls(call: Call, tenant: str | None) -> None:
    """List projects; every tenant has one that is named default."""
    from bastide.app.projects import list_projects

    with call.environment() as env:
        rows = list_projects(env, tenant)
    call.rows(rows, ("tenant", "project", "id", "keys", "entry"), "no tenant yet")


project.add_command(add)
project.add_command(ls)
