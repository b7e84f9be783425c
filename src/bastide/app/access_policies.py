# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about access policies: propose a set, put it in force, show and explain decisions.

A proposal is a file that travels: `bastide sign` adds a party's signature to it anywhere.
"""

from itertools import combinations
from typing import Any

from bastide.app.access import KIND, history
from bastide.app.duties import require
from bastide.app.enrolment import read_draft
from bastide.app.environment import Environment
from bastide.app.versions import apply_version, propose_version
from bastide.core.errors import Refused
from bastide.core.evidence import Evidence
from bastide.core.party import Party, Principal
from bastide.core.subject import Subject
from bastide.crypto.dsse import Envelope, Signer
from bastide.gates.access.amendment import LEFT_OUT_FIX
from bastide.gates.access.cases import read_who, thing_of
from bastide.gates.access.policy_set import PolicySet
from bastide.ledger.statements import check_shape

__all__ = ["apply_policies", "explain", "list_versions", "propose_policies", "widens"]


def propose_policies(
    env: Environment, policies: PolicySet, reason: str, given: Signer | None
) -> Envelope:
    """The next version as a statement, signed by the given key, or by those held under `solo`.

    Raises Refused if it is the set in force, or if no two custodians could unseal under it.
    """
    require(env, "read")
    _require_unsealing(policies)
    now = env.access.statement()
    if env.access.policies().text == policies.text and now is not None:
        raise Refused(f"this set is in force already: version {now.body['version']}")
    said = {"policies": policies.text, "reason": reason}
    return propose_version(env, KIND, now, Subject("access-policy", policies.digest), said, given)


def widens(env: Environment, policies: PolicySet) -> list[str]:
    """What a set would let parties do, or keep them from, that the one in force does not."""
    require(env, "read")
    return env.access.policies().widens(policies)


def apply_policies(env: Environment, text: str) -> Evidence:
    """Put a signed proposal in force.

    Raises Waiting while a signature is missing, whose reasons say whose; Refused if it does not
    follow the version in force, or if no two custodians could unseal under it; NotProven if a
    signature does not hold.
    """
    require(env, "policy-apply")
    _, statement = read_draft(text)
    if statement.kind == KIND:  # else it is told below what it is
        check_shape(statement)
        _require_unsealing(PolicySet(statement.body["policies"], "access.cedar"))
    return apply_version(env, text, KIND, "access policies", env.access.statement())


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
    if not decision.allowed and action in policies.left_out():
        why = "no policy names it: these policies may be older than the action"
        needed = f"another set, signed: {LEFT_OUT_FIX}"
    elif not decision.allowed and not decision.reasons:
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


def _require_unsealing(policies: PolicySet) -> None:
    """Raise Refused where nobody could open the environment again, to sign another set."""
    pairs = (Principal("custodians", frozenset(pair)) for pair in combinations(Party, 2))
    on = ("Environment", "")
    if not any(policies.decide(pair, "unseal", on).allowed for pair in pairs):
        raise Refused(
            f"{policies.file}: no two custodians may unseal: what is locked would stay locked",
            fix="let two of the parties unseal",
        )
