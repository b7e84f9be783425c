# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about tenants and their API keys."""

import re
from collections.abc import Sequence
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core import apikey
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Duty
from bastide.core.subject import Digest, Subject

__all__ = [
    "CLI_KEY_OBJECT",
    "add_tenant",
    "list_keys",
    "list_tenants",
    "new_key",
    "own_key",
    "revoke_key",
]

# The key that `bastide chat` uses, sealed in the store, so that the first question needs no key.
CLI_KEY_OBJECT = "keys/cli"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def add_tenant(env: Environment, name: str) -> Evidence:
    """Enrol a tenant; enrolling again returns the first entry. Raises Misconfigured."""
    require(env.principal, Duty.MANAGE_TENANTS)
    if not _NAME.fullmatch(name):
        raise Misconfigured(f"{name!r} is no tenant name", fix="a-z, 0-9 and -, at most 63")
    known = env.ledger.find("tenant/v1", name=name)
    if known:
        return known[0]
    subject = Subject(name, Digest.of(canonical({"tenant": name})))
    body = {"tenant": name, "time_ms": env.clock.now_ms()}
    signer = env.signer(Purpose.EVIDENCE)
    return env.ledger.append_statement(Statement("tenant/v1", (subject,), body), [signer])


def list_tenants(env: Environment) -> list[dict[str, Any]]:
    """One row per tenant."""
    require(env.principal, Duty.READ)
    active = env.ledger.api_keys(active=True)
    return [
        {
            "tenant": row.subject.name,
            "entry": row.entry,
            "keys": sum(key.body["tenant"] == row.subject.name for key in active),
        }
        for row in env.ledger.find("tenant/v1")
    ]


def new_key(env: Environment, tenant: str, scopes: Sequence[str]) -> dict[str, Any]:
    """Make an API key. Only its HMAC is kept: `key` in the answer is shown once, then gone.

    Beside it stands the pair that AWS clients sign with; it lives and ends with the key.
    """
    require(env.principal, Duty.MANAGE_TENANTS)
    if not env.ledger.find("tenant/v1", name=tenant):
        raise NotFound(f"there is no tenant {tenant!r}", fix=f"run `bastide tenant add {tenant}`")
    key = apikey.make(env.entropy.token)
    ident = apikey.ident_of(key)
    body = {
        "key": ident,
        "tenant": tenant,
        "mac": apikey.mac(env.keyring.secret(Purpose.PEPPER), key),
        "last4": key[-4:],
        "scopes": list(scopes) or ["*"],
        "time_ms": env.clock.now_ms(),
    }
    subject = Subject(ident, Digest.of(canonical({"key": ident})))
    statement = Statement("api-key/v1", (subject,), body)
    row = env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    access_key_id, secret_access_key = apikey.sigv4_pair(env.keyring.secret(Purpose.PEPPER), ident)
    return {
        "key": key,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "id": ident,
        "tenant": tenant,
        "scopes": body["scopes"],
        "entry": row.entry,
    }


def list_keys(env: Environment, tenant: str | None) -> list[dict[str, Any]]:
    """One row per key, revoked ones too."""
    require(env.principal, Duty.READ)
    active = {row.subject.name for row in env.ledger.api_keys(active=True)}
    return [
        {
            "id": row.subject.name,
            "tenant": row.body["tenant"],
            "ends_with": row.body["last4"],
            "scopes": row.body["scopes"],
            "active": row.subject.name in active,
            "entry": row.entry,
            "time_ms": row.body["time_ms"],
        }
        for row in env.ledger.api_keys(active=False)
        if tenant in (None, row.body["tenant"])
    ]


def revoke_key(env: Environment, given: str, reason: str) -> dict[str, Any]:
    """Revoke a key by its id, or by the key itself. Gateways refuse it within a second."""
    require(env.principal, Duty.MANAGE_TENANTS)
    ident = apikey.ident_of(given) if apikey.is_key(given) else given
    found = [row for row in env.ledger.api_keys(active=False) if row.subject.name == ident]
    if not found:
        raise NotFound(f"there is no key {ident!r}", fix="`bastide key ls` shows the ids")
    if all(row.subject.name != ident for row in env.ledger.api_keys(active=True)):
        raise Refused(f"the key {ident} is revoked already")
    body = {"key": ident, "reason": reason, "time_ms": env.clock.now_ms()}
    statement = Statement("api-key-revocation/v1", (found[0].subject,), body)
    row = env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    return {"id": ident, "revoked": True, "entry": row.entry}


def own_key(env: Environment, tenant: str) -> str:
    """The sealed key of the command line itself; made at the first call, and after revocation."""
    try:
        with env.store.open(CLI_KEY_OBJECT) as reader:
            key = reader.read_at(0, reader.size).decode()
        ident = apikey.ident_of(key)
        if any(row.subject.name == ident for row in env.ledger.api_keys(active=True)):
            return key
    except NotFound:
        pass
    made = new_key(env, tenant, ())
    env.store.put(CLI_KEY_OBJECT, [made["key"].encode()])
    return made["key"]
