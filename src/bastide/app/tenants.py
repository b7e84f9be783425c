# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about tenants."""

import re
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject

__all__ = ["add_tenant", "list_tenants"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def add_tenant(env: Environment, name: str) -> Evidence:
    """Enrol a tenant; enrolling again returns the first entry. Raises Misconfigured."""
    require(env, "tenant-add", name)
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
    require(env, "read")
    active = env.ledger.api_keys(active=True)
    return [
        {
            "tenant": row.subject.name,
            "entry": row.entry,
            "keys": sum(key.body["tenant"] == row.subject.name for key in active),
        }
        for row in env.ledger.find("tenant/v1")
    ]
