# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the guard: policies by tenant, a try-out, and the erasure list."""

import tomllib
from typing import Any

from bastide.app.deciding import acting, carry, decide, draft, read_signed_draft
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message
from bastide.core.erasure import ErasureList
from bastide.core.errors import Filtered, Misconfigured, NotFound, NotProven, Unavailable
from bastide.core.evidence import Evidence
from bastide.core.guard import EVERYONE, GuardPolicy
from bastide.core.subject import Digest, Subject
from bastide.core.utc import utc_day
from bastide.crypto.dsse import Envelope
from bastide.detectors.guard import Guard, make_kit
from bastide.detectors.tool_rules import require_rules

__all__ = [
    "carry_erasure",
    "carry_guard",
    "draft_erasure",
    "draft_guard",
    "export_erasure",
    "import_erasure",
    "make_erasure",
    "read_policy",
    "set_guard",
    "show_guards",
    "try_guard",
]

GUARD, ERASURE = "guard/v1", "erasure/v1"


def read_policy(text: str) -> GuardPolicy:
    """A policy from TOML. Raises Misconfigured with the place."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"the guard policy is not TOML: {error}", place="policy") from error
    policy = GuardPolicy.from_json(value)
    if policy.tool_rules:
        require_rules(policy.tool_rules)
    return policy


def set_guard(env: Environment, tenant: str, policy: GuardPolicy | None) -> Evidence:
    """Put a policy into force for a tenant, or for all that have none of their own (``*``).

    None ends it. Gateways obey within a second. Raises NotFound for an unknown tenant.
    """
    require(acting(env), "guard-set", tenant)
    return decide(env, *_guard(env, tenant, policy))


def draft_guard(env: Environment, tenant: str, policy: GuardPolicy | None) -> Envelope:
    """The same as a statement that the guardian signs elsewhere. Raises NotFound."""
    require(env, "read")
    return Envelope(draft(env, *_guard(env, tenant, policy), None).payload(), ())


def carry_guard(env: Environment, text: str) -> Evidence:
    """Put a policy into force that was signed elsewhere.

    Raises NotAllowed if the policies do not let its signers, NotProven for a missing signature,
    Refused if another policy came into force since it was written.
    """
    signed, statement = read_signed_draft(env, text, GUARD)
    require(acting(env, signed), "guard-set", statement.body["tenant"])
    return carry(env, signed)


def _guard(
    env: Environment, tenant: str, policy: GuardPolicy | None
) -> tuple[str, Subject, dict[str, Any]]:
    if tenant != EVERYONE and not env.ledger.find("tenant/v1", name=tenant):
        raise NotFound(f"there is no tenant {tenant!r}", fix="`bastide tenant ls` shows them")
    said = {"tenant": tenant, "policy": None if policy is None else policy.to_json()}
    return GUARD, Subject(tenant, Digest.of(canonical({"guard": tenant}))), said


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
    require(acting(env), "erasure-list")
    said, kept = _erasure(data)
    return decide(env, *said, lambda one, _: env.lists.put(one, kept))


def draft_erasure(env: Environment, data: bytes) -> Envelope:
    """The same as a statement that the guardian signs elsewhere. Raises Misconfigured."""
    require(env, "read")
    return Envelope(draft(env, *_erasure(data)[0], None).payload(), ())


def carry_erasure(env: Environment, data: bytes, text: str) -> Evidence:
    """Put a list into force by the statement about it that was signed elsewhere.

    Raises what `carry_guard` does, and NotProven for a statement about another list.
    """
    signed, statement = read_signed_draft(env, text, ERASURE)
    require(acting(env, signed), "erasure-list")
    _, kept = _erasure(data)
    if statement.body["list"] != str(Digest.of(kept)):
        raise NotProven("the statement is about another list", fix="give the list that was signed")
    return carry(env, signed, lambda one, _: env.lists.put(one, kept))


def _erasure(data: bytes) -> tuple[tuple[str, Subject, dict[str, Any]], bytes]:
    listed = ErasureList.load(data)
    kept = listed.dump()
    digest = Digest.of(kept)
    said = {"list": str(digest), "date": listed.date, "entries": len(listed.entries)}
    return (ERASURE, Subject("erasure", digest), said), kept


def make_erasure(env: Environment, names: list[str]) -> ErasureList:
    """A list of names, made today. Raises Misconfigured for a name that is too short."""
    require(env, "erasure-list")
    day = utc_day(env.clock.now_ms())
    return ErasureList.make(names, day, env.entropy.token(16))


def export_erasure(env: Environment) -> bytes:
    """The file of the list in force. Raises NotFound."""
    require(env, "erasure-list")
    rows = env.ledger.find(ERASURE)
    if not rows:
        raise NotFound("no erasure list is in force", fix="bastide guard erasure import FILE")
    return env.lists.get(rows[-1].body["list"])


def try_guard(env: Environment, policy: GuardPolicy, text: str) -> dict[str, Any]:
    """What a policy would do to a text, as a prompt and as an answer. Nothing is recorded."""
    require(env, "read")
    listed = None
    if policy.erases and env.ledger.find(ERASURE):
        listed = ErasureList.load(env.lists.get(env.ledger.find(ERASURE)[-1].body["list"]))
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
