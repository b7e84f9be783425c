# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about projects: parts of a tenant that have keys and budgets of their own.

A project is known by its id everywhere else. Every tenant has one from the beginning, whose id and
name are `default`.
"""

import re
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject

__all__ = ["DEFAULT_PROJECT", "add_project", "list_projects", "project_id", "require_tenant"]

DEFAULT_PROJECT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def add_project(env: Environment, name: str, tenant: str) -> Evidence:
    """Add a project; adding it again returns the first entry. Raises Misconfigured, NotFound."""
    require(env, "project-add", tenant)
    if not _NAME.fullmatch(name) or name == DEFAULT_PROJECT:
        raise Misconfigured(
            f"{name!r} is no name for a new project", fix="a-z, 0-9 and -, at most 63; not default"
        )
    require_tenant(env, tenant)
    for row in env.ledger.find("project/v1"):
        if (row.body["tenant"], row.body["name"]) == (tenant, name):
            return row
    ident = "p_" + env.entropy.token(6).hex()
    subject = Subject(ident, Digest.of(canonical({"project": ident})))
    body = {"project": ident, "name": name, "tenant": tenant, "time_ms": env.clock.now_ms()}
    signer = env.signer(Purpose.EVIDENCE)
    return env.ledger.append_statement(Statement("project/v1", (subject,), body), [signer])


def list_projects(env: Environment, tenant: str | None) -> list[dict[str, Any]]:
    """One row per project, the default ones too."""
    require(env, "read")
    rows = [
        (row.subject.name, DEFAULT_PROJECT, DEFAULT_PROJECT, row.entry)
        for row in env.ledger.find("tenant/v1")
    ]
    rows += [
        (row.body["tenant"], row.body["name"], row.body["project"], row.entry)
        for row in env.ledger.find("project/v1")
    ]
    active = env.ledger.api_keys(active=True)
    used = [(key.body["tenant"], key.body.get("project", DEFAULT_PROJECT)) for key in active]
    return [
        {
            "tenant": whose,
            "project": name,
            "id": ident,
            "keys": used.count((whose, ident)),
            "entry": entry,
        }
        for whose, name, ident, entry in sorted(rows, key=lambda row: (row[0], row[3]))
        if tenant in (None, whose)
    ]


def project_id(env: Environment, tenant: str, given: str) -> str:
    """The id of a tenant's project, by its name or id. Raises NotFound."""
    if given == DEFAULT_PROJECT:
        return given
    for row in env.ledger.find("project/v1"):
        if row.body["tenant"] == tenant and given in (row.body["name"], row.body["project"]):
            return row.body["project"]
    raise NotFound(
        f"the tenant {tenant} has no project {given!r}",
        fix=f"run `bastide project add {given} --tenant {tenant}`",
    )


def require_tenant(env: Environment, tenant: str) -> None:
    """Raise NotFound unless a tenant is enrolled."""
    if not env.ledger.find("tenant/v1", name=tenant):
        raise NotFound(f"there is no tenant {tenant!r}", fix=f"run `bastide tenant add {tenant}`")
