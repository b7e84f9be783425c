# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide tenant ...` and `bastide key ...`."""

import click

from bastide.cli.command import Call, parameters

__all__ = ["key", "tenant"]


@click.group()
def tenant() -> None:
    """Enrol and list tenants."""


@click.group()
def key() -> None:
    """Make, list and revoke API keys."""


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


@parameters(
    "new",
    "KEY=$(bastide key new --tenant demo)",
    click.option("--tenant", required=True, help="Whose key."),
    click.option("--model", "models", multiple=True, help="Only this model (repeatable)."),
)
def new(call: Call, tenant: str, models: tuple[str, ...]) -> None:
    """Make an API key. It is shown once: only its HMAC is kept."""
    from bastide.app.tenants import new_key

    with call.environment() as env:
        row = new_key(env, tenant, models)
        known = {admission.subject.name for admission in env.ledger.find("admission/v1")}
    for name in sorted(set(models) - known):
        call.tell(f"note: no model is named {name!r} yet; the key opens it once it is served")
    call.tell(f"key {row['id']} of {tenant}, shown once:")
    call.show(row, row["key"])


@parameters(
    "ls", "bastide key ls --tenant demo", click.option("--tenant", help="Only this tenant's.")
)
def key_ls(call: Call, tenant: str | None) -> None:
    """List API keys, revoked ones too. Never shows a key."""
    from bastide.app.tenants import list_keys

    with call.environment() as env:
        rows = list_keys(env, tenant)
    call.rows(rows, ("id", "tenant", "ends_with", "scopes", "active", "entry"), "no key yet")


@parameters(
    "revoke",
    "bastide key revoke k_4f0c2d8a9b10",
    click.argument("key_id"),
    click.option("--reason", default="", help="Why; kept in the ledger."),
)
def revoke(call: Call, key_id: str, reason: str) -> None:
    """Revoke an API key by its id. Gateways refuse it within a second."""
    from bastide.app.tenants import revoke_key

    with call.environment() as env:
        row = revoke_key(env, key_id, reason)
    call.show(row, f"revoked {row['id']}  (entry {row['entry']})")


tenant.add_command(add)
tenant.add_command(ls)
key.add_command(new)
key.add_command(key_ls)
key.add_command(revoke)
