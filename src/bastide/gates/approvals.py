# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Enough distinct keys of each party have approved exactly this subject for this action.

Rules:
1. An approval counts if one enrolled party key, and nothing else, signed it, and if the party,
   the action, the decision and the subject are the ones asked for.
2. No key counts twice: neither for two approvals nor, if it is enrolled more than once, for two
   parties.
3. Every party of the lifecycle row must be asked for at least one approval.
4. Under `separate`, the author of the candidate is never the only one who approves.
5. An approval counts for what is decided before its end, which it states itself (`expires_ms`). The
   parameter `days` bounds the life of all: also of those that state no end, or a later one.

An approval that does not count is a note, not a reason: the ledger never forgets, so one bad
approval would otherwise close the gate for ever.
"""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core import lifecycle
from bastide.core.errors import Misconfigured
from bastide.core.evidence import Evidence, Verdict
from bastide.core.key import PARTY_SCHEMES, Purpose
from bastide.core.limits import ORDER_AHEAD_MS
from bastide.core.party import Party
from bastide.core.policy import Policy
from bastide.core.utc import DAY_MS, utc_minute
from bastide.gates.dossier import Dossier, candidate_reasons, dataset_reasons
from bastide.gates.gate import Gate

__all__ = ["GATE", "ahead_problem", "ends_ms", "judge", "life_problem"]


def judge(dossier: Dossier, parameters: Mapping[str, Any]) -> Verdict:
    """Pass if M of N approvals are there, for every party that the rule names."""
    reasons = _paper_reasons(dossier)
    try:
        _days(parameters)
    except Misconfigured as error:
        return Verdict(GATE.ident, (*reasons, error.message))
    rule = dossier.policy.rule(dossier.action)
    needed = dict(rule.approvals) if rule else {}
    if not needed:
        reasons.append(f"the policy asks no party to approve {dossier.action}")
    for party in lifecycle.stage(dossier.action).approvers:
        if needed and party not in needed:
            reasons.append(f"the policy does not ask the {party} to approve")

    approved, notes, ended = _count(dossier)
    for party, least in needed.items():
        have = sum(1 for counted in approved.values() if counted is party)
        if have < least:
            reasons.append(f"{have} of {least} approvals by the {party}{ended.get(party, '')}")

    if dossier.policy.separate and dossier.action == "release" and approved:
        author = dossier.candidate.body.get("author") if dossier.candidate else None
        authors = {key.raw for ident, key in dossier.keys.items() if author in (ident, key.ident)}
        if not isinstance(author, str):
            reasons.append("the candidate names no author")
        elif set(approved) <= authors:
            reasons.append("only the author has approved")
    return Verdict(GATE.ident, tuple(reasons), tuple(notes))


def _paper_reasons(dossier: Dossier) -> list[str]:
    """What is approved must itself be evidence: candidate, dataset, or the release to deploy."""
    if dossier.action == "release":
        return candidate_reasons(dossier)
    if dossier.action == "dataset-release":
        return dataset_reasons(dossier)
    if dossier.candidate is None or dossier.candidate.kind != "release/v1":
        return ["there is no release to deploy"]
    return []


def ends_ms(body: Mapping[str, Any], policy: Policy) -> int | None:
    """When an approval ends: by what it states or by the policy's `days`; None: never.

    Raises Misconfigured for days that are no number of days.
    """
    rule = policy.rule(str(body["action"]))
    days = _days(rule.gates.get("approvals")) if rule else None
    ends = [int(body["expires_ms"])] if "expires_ms" in body else []
    if days is not None:
        ends.append(int(body["time_ms"]) + days * DAY_MS)
    return min(ends, default=None)


def _days(parameters: Mapping[str, Any] | None) -> int | None:
    days = parameters.get("days") if isinstance(parameters, Mapping) else None
    if days is not None and (type(days) is not int or days < 1):
        raise Misconfigured(
            "the parameter days is not a whole number from 1",
            fix="found an environment whose policy says how many days approvals live, or nothing",
        )
    return days


def _count(dossier: Dossier) -> tuple[dict[bytes, Party], list[str], dict[Party, str]]:
    """The keys that count (their raw bytes) with the party each counts for, the notes, and of each
    party that its newest approval has ended.
    """
    approved: dict[bytes, Party] = {}
    notes, ended = [], {}
    for approval in dossier.approvals:
        problem = _problem(approval, dossier)
        if problem:
            notes.append(f"an approval does not count: {problem}")
            continue
        key = dossier.keys[approval.signers[0]]
        if problem := life_problem(approval.body, dossier.policy, dossier.decided_ms):
            notes.append(f"an approval does not count: it {problem}")
            ended[Party(approval.body["party"])] = f" (it {problem}: approve again)"
            continue
        if key.raw in approved:
            notes.append(f"an approval does not count: the key {key.ident} counts once")
            continue
        approved[key.raw] = Party(approval.body["party"])
    return approved, notes, ended


def life_problem(body: Mapping[str, Any], policy: Policy, decided_ms: int | None) -> str:
    """What does not let an approval count for what is decided then, or an empty string."""
    ends = ends_ms(body, policy)
    if ends is None:
        return ""
    if decided_ms is None:
        return "ends, and nobody said when this is decided"
    if decided_ms >= ends:
        return f"ended on {utc_minute(ends)}"
    return ahead_problem(body, decided_ms)


def ahead_problem(body: Mapping[str, Any], now_ms: int) -> str:
    """Says that an approval is dated more than a day ahead of a time, or an empty string.

    One without an end is not asked for it by the gate, whose verdicts on old ledgers stay; but
    none is recorded any more (stages/release.py): it would count before the day that it names.
    """
    if body["time_ms"] > now_ms + ORDER_AHEAD_MS:
        return f"is of {utc_minute(body['time_ms'])}, which was to come"
    return ""


def _problem(approval: Evidence, dossier: Dossier) -> str:
    """Why an approval does not count, or an empty string."""
    if approval.kind != "approval/v1" or len(approval.signers) != 1:
        return f"it is {approval.kind} with {len(approval.signers)} signers"
    key = dossier.keys.get(approval.signers[0])
    if key is None:
        return f"the key {approval.signers[0]} is not enrolled"
    if key.purpose is not Purpose.PARTY or key.scheme not in PARTY_SCHEMES or not key.party:
        return f"the key {key.ident} is not a party's key"
    body = approval.body
    wanted = {
        f"the key {key.ident} is not enrolled for {body.get('party')!r}": (
            body.get("party") == key.party and key.party in set(Party)
        ),
        "it is about another subject": approval.subject.digest == dossier.subject,
        f"it approves {body.get('action')!r}, not {dossier.action}": (
            body.get("action") == dossier.action
        ),
        f"its decision is {body.get('decision')!r}": body.get("decision") == "approve",
    }
    return "; ".join(problem for problem, holds in wanted.items() if not holds)


GATE: Final = Gate(
    "approvals",
    ("candidate/v1", "dataset/v1", "release/v1", "approval/v1"),
    judge,
    frozenset({"days"}),
)
