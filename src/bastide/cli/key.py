# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide key ...`."""

import click

from bastide.cli.command import Call, parameters

__all__ = ["key"]


@click.group()
def key() -> None:
    """Make, list, rotate and revoke API keys."""


@parameters(
    "new",
    "KEY=$(bastide key new --tenant demo)",
    click.option("--tenant", required=True, help="Whose key."),
    click.option("--project", default="default", show_default=True, help="For which project."),
    click.option("--model", "models", multiple=True, help="Only this model (repeatable)."),
    click.option("--dialect", "dialects", multiple=True, help="Only this dialect (repeatable)."),
    click.option(
        "--network", "networks", multiple=True, help="Only from these addresses (repeatable)."
    ),
    click.option(
        "--spiffe", "peers", multiple=True, help="Only with a certificate of this ID (repeatable)."
    ),
    click.option("--expires", help="When it ends: 90d, 12h or a date such as 2027-01-31 (UTC)."),
)
def new(
    call: Call,
    tenant: str,
    project: str,
    models: tuple[str, ...],
    dialects: tuple[str, ...],
    networks: tuple[str, ...],
    peers: tuple[str, ...],
    expires: str | None,
) -> None:
    """Make an API key. It is shown once: only its HMAC is kept."""
    from bastide.app.keys import KeyTerms, new_key, read_expiry

    with call.environment() as env:
        ends_ms = None if expires is None else read_expiry(expires, env.clock.now_ms())
        row = new_key(env, tenant, KeyTerms(models, dialects, networks, ends_ms, peers), project)
        known = {admission.subject.name for admission in env.ledger.find("admission/v1")}
        asked = env.settings.client_ca
    if peers and not asked:
        call.tell("note: the key opens nothing until clients are asked for certificates: client_ca")
    for name in sorted(set(models) - known):
        call.tell(f"note: no model is named {name!r} yet; the key opens it once it is served")
    call.tell(f"key {row['id']} of {tenant}, shown once:")
    call.show(row, row["key"])


@parameters(
    "ls", "bastide key ls --tenant demo", click.option("--tenant", help="Only this tenant's.")
)
def ls(call: Call, tenant: str | None) -> None:
    """List API keys, expired and revoked ones too. Never shows a key."""
    from bastide.app.keys import list_keys

    with call.environment() as env:
        rows = list_keys(env, tenant)
    columns = ("id", "tenant", "project", "ends_with", "scopes", "dialects", "networks", "peers")
    call.rows(rows, (*columns, "expires", "state", "entry"), "no key yet")


@parameters(
    "rotate",
    "bastide key rotate k_4f0c2d8a9b10 --overlap 24h",
    click.argument("key_id"),
    click.option(
        "--overlap",
        default="24h",
        show_default=True,
        help="How long the old key still works: 24h, 7d, or 0.",
    ),
)
def rotate(call: Call, key_id: str, overlap: str) -> None:
    """Make a key in the place of another, which ends when the overlap does.

    The new one has the tenant, project, scopes and expiry of the old one. It is shown once.
    """
    from bastide.app.keys import rotate_key

    with call.environment() as env:
        row = rotate_key(env, key_id, overlap)
    call.tell(f"key {row['id']} of {row['tenant']} in the place of {row['replaces']}, shown once:")
    call.show(row, row["key"])


@parameters(
    "revoke",
    "bastide key revoke k_4f0c2d8a9b10",
    click.argument("key_id"),
    click.option("--reason", default="", help="Why; kept in the ledger."),
)
def revoke(call: Call, key_id: str, reason: str) -> None:
    """Revoke an API key by its id. Gateways refuse it within a second."""
    from bastide.app.keys import revoke_key

    with call.environment() as env:
        row = revoke_key(env, key_id, reason)
    call.show(row, f"revoked {row['id']}  (entry {row['entry']})")


key.add_command(new)
key.add_command(ls)
key.add_command(rotate)
key.add_command(revoke)
