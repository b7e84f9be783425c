# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide tenant ...`."""

import click

from bastide.cli.command import Call, parameters

__all__ = ["tenant"]


@click.group()
def tenant() -> None:
    """Enrol and list tenants."""


@parameters("add", "bastide tenant add acme", click.argument("name"))
def add(call: Call, name: str) -> None:
    """Enrol a tenant."""
    from bastide.app.tenants import add_tenant

    with call.environment() as env:
        row = add_tenant(env, name)
    result = {"tenant": name, "entry": row.entry}
    call.show(
        result, f"enrolled {name}  (entry {row.entry}); next: bastide key new --tenant {name}"
    )


@parameters("ls", "bastide tenant ls")
def ls(call: Call) -> None:
    """List tenants."""
    from bastide.app.tenants import list_tenants

    with call.environment() as env:
        rows = list_tenants(env)
    call.rows(rows, ("tenant", "keys", "entry"), "no tenant yet: bastide tenant add NAME")


tenant.add_command(add)
tenant.add_command(ls)
