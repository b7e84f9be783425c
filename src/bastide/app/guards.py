# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the guard: policies by tenant, a try-out, and the erasure list."""

import tomllib
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message
from bastide.core.erasure import ErasureList
from bastide.core.errors import Filtered, Misconfigured, NotFound, Unavailable
from bastide.core.evidence import Evidence, Statement
from bastide.core.guard import EVERYONE, GuardPolicy
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject
from bastide.core.utc import utc_day
from bastide.detectors.guard import Guard, make_kit
from bastide.detectors.tool_rules import require_rules

__all__ = [
    "export_erasure",
    "import_erasure",
    "make_erasure",
    "read_policy",
    "set_guard",
    "show_guards",
    "try_guard",
]


def read_policy(text: str) -> GuardPolicy:
    """A policy from TOML. Raises Misconfigured with the place."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"the guard policy is no TOML: {error}", place="policy") from error
    policy = GuardPolicy.from_json(value)
    if policy.tool_rules:
        require_rules(policy.tool_rules)
    return policy


def set_guard(env: Environment, tenant: str, policy: GuardPolicy | None) -> Evidence:
    """Put a policy into force for a tenant, or for all that have none of their own (``*``).

    None ends it. Gateways obey within a second. Raises NotFound for an unknown tenant.
    """
    require(env, "guard-set", tenant)
    if tenant != EVERYONE and not env.ledger.find("tenant/v1", name=tenant):
        raise NotFound(f"there is no tenant {tenant!r}", fix="`bastide tenant ls` shows them")
    body = {
        "tenant": tenant,
        "policy": None if policy is None else policy.to_json(),
        "time_ms": env.clock.now_ms(),
    }
    return _state(env, "guard/v1", Subject(tenant, Digest.of(canonical({"guard": tenant}))), body)


def show_guards(env: Environment) -> list[dict[str, Any]]:
    """One row per policy in force."""
    require(env, "read")
    return [
        {
            "tenant": row.body["tenant"],
            "digest": str(GuardPolicy.from_json(row.body["policy"]).digest),
            "entry": row.entry,
            "policy": row.body["policy"],
        }
        for row in env.ledger.guards()
        if row.body["policy"] is not None
    ]


def import_erasure(env: Environment, data: bytes) -> Evidence:
    """Put an erasure list into force. The ledger learns its digest, day and size, no more.

    Raises Misconfigured for a file of another form.
    """
    require(env, "erasure-list")
    listed = ErasureList.load(data)
    kept = listed.dump()
    env.lists.put(kept)
    body = {
        "list": str(Digest.of(kept)),
        "date": listed.date,
        "entries": len(listed.entries),
        "time_ms": env.clock.now_ms(),
    }
    return _state(env, "erasure/v1", Subject("erasure", Digest.of(kept)), body)


def make_erasure(env: Environment, names: list[str]) -> ErasureList:
    """A list of names, made today. Raises Misconfigured for a name that is too short."""
    require(env, "erasure-list")
    day = utc_day(env.clock.now_ms())
    return ErasureList.make(names, day, env.entropy.token(16))


def export_erasure(env: Environment) -> bytes:
    """The file of the list in force. Raises NotFound."""
    require(env, "erasure-list")
    rows = env.ledger.find("erasure/v1")
    if not rows:
        raise NotFound("no erasure list is in force", fix="bastide guard erasure import FILE")
    return env.lists.get(rows[-1].body["list"])


def try_guard(env: Environment, policy: GuardPolicy, text: str) -> dict[str, Any]:
    """What a policy would do to a text, as a prompt and as an answer. Nothing is recorded."""
    require(env, "read")
    listed = None
    if policy.erases and env.ledger.find("erasure/v1"):
        listed = ErasureList.load(env.lists.get(env.ledger.find("erasure/v1")[-1].body["list"]))
    kit = make_kit(policy, listed)
    guard = Guard(kit, EVERYONE, env.clock.now_ms())
    prompt: dict[str, Any] = {"refused": False, "text": text}
    try:
        asked = guard.inward(GenerateRequest("try", "try", (Message("user", text),)))
        prompt["text"] = asked.messages[0].content
    except (Filtered, Unavailable) as error:
        prompt = {"refused": True, "text": None, "why": error.message}
        guard = Guard(kit, EVERYONE, env.clock.now_ms())
    passed = [*guard.outward(Delta(text)), *guard.outward(Delta("", FinishReason.STOP))]
    refused = any(row.finish is FinishReason.FILTERED for row in passed)
    answer = {"refused": refused, "text": "".join(row.text for row in passed)}
    return {"in": prompt, "out": answer, "decisions": list(guard.decisions())}


def _state(env: Environment, kind: str, subject: Subject, body: dict[str, Any]) -> Evidence:
    signer = env.signer(Purpose.EVIDENCE)
    return env.ledger.append_statement(Statement(kind, (subject,), body), [signer])
