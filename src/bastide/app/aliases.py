# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about aliases: other providers' model names, answered by a deployment of ours.

An application keeps the name that it always asked for. Answers and lists name the real model;
the receipt keeps both the name that was asked for and the release that answered.
"""

import re
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.naming import newest_named
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject

__all__ = ["end_alias", "list_aliases", "set_alias"]

# Names as they are in use: `gpt-4o-mini`, `anthropic.claude-3-haiku-20240307-v1:0`, ARNs.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}", re.ASCII)


def set_alias(env: Environment, alias: str, deployment: str) -> Evidence:
    """Let a deployment answer to another name too; setting it again returns the first entry.

    Raises Misconfigured for what is no name, Refused for the name of a deployment, NotFound if
    nothing is deployed under `deployment`.
    """
    require(env, "alias-set", deployment)
    if not _NAME.fullmatch(alias):
        raise Misconfigured(
            f"{alias!r} is no alias", fix="letters, digits and . _ : / @ + -, at most 256"
        )
    deployed = env.ledger.deployments(active=True)
    if any(row.subject.name == alias for row in deployed):
        raise Refused(
            f"{alias!r} is the name of a deployment: an alias would never be asked",
            fix="choose another alias",
        )
    name = newest_named(deployed, deployment, "deployment").subject.name
    known = _newest(env, alias)
    if known is not None and known.body["deployment"] == name:
        return known
    return _state(env, alias, name)


def end_alias(env: Environment, alias: str) -> Evidence:
    """End an alias; gateways forget it within a second. Raises NotFound."""
    require(env, "alias-set")
    known = _newest(env, alias)
    if known is None or known.body["deployment"] is None:
        raise NotFound(f"there is no alias {alias!r}", fix="`bastide alias ls` shows them")
    return _state(env, alias, None)


def list_aliases(env: Environment) -> list[dict[str, Any]]:
    """One row per alias. `active` says that its deployment is in service now."""
    require(env, "read")
    deployed = {row.subject.name for row in env.ledger.deployments(active=True)}
    return [
        {
            "alias": row.subject.name,
            "deployment": row.body["deployment"],
            "active": row.body["deployment"] in deployed,
            "entry": row.entry,
        }
        for row in sorted(env.ledger.aliases(), key=lambda row: row.subject.name)
        if row.body["deployment"] is not None
    ]


def _newest(env: Environment, alias: str) -> Evidence | None:
    rows = env.ledger.find("alias/v1", name=alias)
    return rows[-1] if rows else None


def _state(env: Environment, alias: str, deployment: str | None) -> Evidence:
    subject = Subject(alias, Digest.of(canonical({"alias": alias})))
    body = {"alias": alias, "deployment": deployment, "time_ms": env.clock.now_ms()}
    signer = env.signer(Purpose.EVIDENCE)
    return env.ledger.append_statement(Statement("alias/v1", (subject,), body), [signer])
