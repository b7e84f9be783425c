# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about access policies: propose a set, put it in force, show and explain decisions.

A proposal is a file that travels: `bastide sign` adds a party's signature to it anywhere.
"""

from dataclasses import replace
from typing import Any

from bastide.app.access import history
from bastide.app.duties import require
from bastide.app.enrolment import add_signature, read_draft
from bastide.app.environment import Environment
from bastide.core.errors import Misconfigured, Refused, Waiting
from bastide.core.evidence import Evidence, Statement
from bastide.core.party import Party
from bastide.core.subject import Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope, Signer
from bastide.gates.access.cases import read_who, thing_of
from bastide.gates.access.policy_set import PolicySet
from bastide.ledger.statements import check_shape

__all__ = ["apply_policies", "explain", "list_versions", "propose_policies", "widens"]

_KIND = "access-policy/v1"


def propose_policies(
    env: Environment, policies: PolicySet, reason: str, given: Signer | None
) -> Envelope:
    """The next version as a statement, signed by the given key, or by those held under `solo`.

    Raises Refused if it is the set in force.
    """
    require(env, "read")
    now = env.access.statement()
    if env.access.policies().text == policies.text and now is not None:
        raise Refused(f"this set is in force already: version {now.body['version']}")
    body = {
        "version": 1 if now is None else now.body["version"] + 1,
        "previous": None if now is None else str(now.digest),
        "policies": policies.text,
        "reason": reason,
        "time_ms": env.clock.now_ms(),
    }
    statement = Statement(_KIND, (Subject("access-policy", policies.digest),), body)
    check_shape(statement)
    envelope = Envelope(statement.payload(), ())
    for signer in env.parties_at_hand(given).values():
        envelope = add_signature(envelope, signer)
    return envelope


def widens(env: Environment, policies: PolicySet) -> list[str]:
    """What a set would let parties do, or keep them from, that the one in force does not."""
    require(env, "read")
    return env.access.policies().widens(policies)


def apply_policies(env: Environment, text: str) -> Evidence:
    """Put a signed proposal in force.

    Raises Waiting while a signature is missing, whose reasons say whose; Refused if it does not
    follow the version in force; NotProven if a signature does not hold.
    """
    require(env, "policy-apply")
    envelope, statement = read_draft(text)
    if statement.kind != _KIND:
        raise Misconfigured(f"not access policies but {statement.kind}")
    check_shape(statement)
    keys = env.ledger.keys()
    if envelope.signatures:
        dsse.verify_envelope(envelope, keys)
    signed = {keys[ident].party for ident, _ in envelope.signatures} - {None}
    missing = [] if Party.GUARDIAN in signed else ["the guardian has not signed"]
    if not signed - {Party.GUARDIAN}:
        missing.append("no party beside the guardian has signed")
    if missing:
        raise Waiting(
            "these policies wait for signatures",
            reasons=missing,
            fix="each runs `bastide sign FILE --key KEY` on a machine of their own",
        )
    now = env.access.statement()
    version = 1 if now is None else now.body["version"] + 1
    previous = None if now is None else str(now.digest)
    if (statement.body["version"], statement.body["previous"]) != (version, previous):
        raise Refused(
            f"these are version {statement.body['version']}; the next is {version}, after"
            f" {previous or 'the defaults'}",
            fix="propose them again: who signs should see what they take the place of",
        )
    (entry,) = env.ledger.append([envelope])
    return replace(env.ledger.by_digest(envelope.digest), entry=entry)


def list_versions(env: Environment) -> list[dict[str, Any]]:
    """The sets that were in force, oldest first. Raises NotProven."""
    require(env, "read")
    keys = env.ledger.known_keys()
    return [
        {
            "version": row.body["version"],
            "entry": row.entry,
            "digest": str(row.digest),
            "signed": sorted({keys[ident].party or "" for ident in row.signers}),
            "reason": row.body["reason"],
            "time_ms": row.body["time_ms"],
        }
        for row in history(env.ledger)
    ]


def explain(policies: PolicySet, who: str, action: str, on: str | None) -> dict[str, Any]:
    """What is decided, by which policies, and who may. Raises Misconfigured."""
    principal, thing = read_who(who), thing_of(action, on)
    decision = policies.decide(principal, action, thing)
    holders = [party.value for party in policies.holders(action)]
    needed = "" if decision.allowed else f"act for one of: {', '.join(holders) or 'nobody'}"
    if not decision.allowed and not decision.reasons:
        why = "no policy permits it"
    else:
        verb = "permits" if decision.allowed else "forbids"
        why = "; ".join(f"{row.file}:{row.line} {verb} it" for row in decision.reasons)
    return {
        "who": who,
        "action": action,
        "on": {"type": thing[0], "name": thing[1]},
        "decision": "allow" if decision.allowed else "deny",
        "why": why,
        "policies": [row.to_json() for row in decision.reasons],
        "may": holders,
        "needed": needed,
        "set": {"file": policies.file, "digest": str(policies.digest)},
    }
