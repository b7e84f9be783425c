# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Chains that somebody with the services' keys could make: the ledger accepts, verifiers refuse."""

import copy
from pathlib import Path
from typing import Any

import pytest

from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.subject import Digest
from bastide.core.utc import DAY_MS
from bastide.ledger.verify import trace_bundle
from unit.chain_fixture import ChainWorld, chain_policy, make_chain
from unit.two_verifiers import entry_of, read_as_tool, refuse, tool

MISSING = "sha256:" + "2" * 64
WICKED: dict[str, tuple[dict[str, Any], str]] = {
    "a score under its floor": (
        {"scores": {"exact": 0.29, "leakage": 1, "square": 1}},
        "entries.release: its gates refuse: eval-floor: exact scored 0.290",
    ),
    "a benchmark that was not run": (
        {"scores": {"exact": 0.9, "leakage": 1}},
        "eval-floor: square was not run",
    ),
    "a finding of the scan": ({"findings": ["evil.pkl"]}, "scan-clean: evil.pkl"),
    "no approval of the guardian": (
        {"approvers": [Party.FIRM]},
        "approvals: 0 of 1 approvals by the guardian",
    ),
    "the operator instead of the guardian": (
        {"approvers": [Party.FIRM, Party.OPERATOR]},
        "approvals: 0 of 1 approvals by the guardian",
    ),
    "one party twice": (
        {"approvers": [Party.FIRM, Party.FIRM]},
        "approvals: 0 of 1 approvals by the guardian",
    ),
    "no approval at all": ({"approvers": []}, "approvals: 0 of 1"),
    "no approval of the deployment": (
        {"operators": []},
        "entries.deployment: its gates refuse: approvals: 0 of 1 approvals by the operator",
    ),
    "approvals after the release": ({"late_approval": True}, "entries.release: its gates refuse"),
    "another policy": (
        {"release_changes": {"policy": "sha256:" + "1" * 64}},
        "proposed under another policy",
    ),
    "another chat template": ({"release_changes": {"template": None}}, "entries.release: template"),
    "another model": (
        {"release_changes": {"model": "sha256:" + "1" * 64}},
        "entries.release: model",
    ),
    "a policy without floors": (
        {
            "policy": chain_policy(
                rules={
                    **chain_policy()["rules"],
                    "release": {
                        "gates": {"approvals": {}},
                        "approvals": {"firm": 1, "guardian": 1},
                    },
                }
            )
        },
        "the policy does not name this gate",
    ),
    "a policy that asks nobody to deploy": (
        {
            "policy": chain_policy(
                rules={
                    **chain_policy()["rules"],
                    "deploy": {"gates": {"approvals": {}}, "approvals": {}},
                }
            ),
            "operators": [],
        },
        "entries.deployment: its gates refuse",
    ),
}


def _bounded(action: str) -> dict[str, Any]:
    rules = copy.deepcopy(chain_policy()["rules"])
    rules[action]["gates"]["approvals"] = {"days": 2}
    return chain_policy(rules=rules)


def _aged(action: str, days: int, life: int | None = None) -> dict[str, Any]:
    """A change of the approvals for an action: given so many days before, with a life of days."""

    def age(body: dict[str, Any]) -> None:
        if body["action"] == action:
            body["time_ms"] -= days * DAY_MS
            body.update({} if life is None else {"expires_ms": body["time_ms"] + life * DAY_MS})

    return {"bodies": {"approval/v1": age}}


# Who holds the services' keys publishes by approvals that have ended.
ENDED: dict[str, tuple[dict[str, Any], str]] = {
    "approvals that have ended": (_aged("release", 7, 7), "entries.release: its gates refuse"),
    "the operator's has ended": (_aged("deploy", 7, 7), "entries.deployment: its gates refuse"),
    "older than the policy lets them be": (
        {**_aged("release", 2), "policy": _bounded("release")},
        "0 of 1 approvals by the firm (it ended on",
    ),
    "an end beyond the policy's": (
        {**_aged("deploy", 2, 90), "policy": _bounded("deploy")},
        "0 of 1 approvals by the operator (it ended on",
    ),
    "dated ahead": (
        {**_aged("release", -2), "policy": _bounded("release")},
        "which was to come",
    ),
}
ALIVE = {
    "a life of its own": _aged("release", 6, 7),
    "within the policy's days": {**_aged("deploy", 1), "policy": _bounded("deploy")},
}


@pytest.mark.attacks("C276")
@pytest.mark.parametrize("name", ENDED)
def test_approvals_that_have_ended_release_and_deploy_nothing(tmp_path: Path, name: str) -> None:
    changes, place = ENDED[name]
    chain = make_chain(tmp_path, **changes)
    refuse(chain.bundle(), chain.anchors, place)


@pytest.mark.parametrize("name", ALIVE)
def test_approvals_that_live_count(tmp_path: Path, name: str) -> None:
    chain = make_chain(tmp_path, **ALIVE[name])
    trace_bundle(chain.bundle(), chain.anchors)
    tool.verify(*read_as_tool(chain.bundle(), chain.anchors))


@pytest.mark.attacks("C20")
@pytest.mark.parametrize("name", WICKED)
def test_wicked_chains_are_refused(tmp_path: Path, name: str) -> None:
    changes, place = WICKED[name]
    chain = make_chain(tmp_path, **copy.deepcopy(changes))
    refuse(chain.bundle(), chain.anchors, place)


def _lying_bundle(chain: ChainWorld, number: int = 3) -> dict[str, Any]:
    """The bundle of a ledger that offers what is there for what its statements name."""
    ledger, rows = chain.world.ledger, chain.rows
    original = ledger.by_digest
    wanted = rows["candidate"].body["release"]
    offered = {name: rows[name] for name in ("admission", "evaluation")}
    named = {wanted[name]: row for name, row in offered.items()}
    named[rows["release"].body["candidate"]] = rows["candidate"]

    def by_digest(digest: Digest) -> Evidence:
        return named.get(str(digest)) or original(digest)

    ledger.by_digest = by_digest  # type: ignore[method-assign]
    try:
        return chain.bundle(number)
    finally:
        ledger.by_digest = original  # type: ignore[method-assign]


@pytest.mark.attacks("C20")
@pytest.mark.parametrize("name", ["admission", "evaluation"])
def test_a_release_that_names_other_evidence_is_refused(tmp_path: Path, name: str) -> None:
    chain = make_chain(tmp_path, release_changes={name: MISSING})
    refuse(_lying_bundle(chain), chain.anchors, f"entries.release: {name}")


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "another candidate": (
        {"bodies": {"release/v1": lambda body: body.update(candidate=MISSING)}},
        "entries.release: ",
    ),
    "another release than its candidate": (
        {"bodies": {"release/v1": lambda body: body["release"].update(name="demo-2")}},
        "entries.release: it releases something else",
    ),
    "another second subject": ({"model_subject": "other"}, "entries.release: its second subject"),
    "a refusing verdict": (
        {"bodies": {"release/v1": lambda body: body["verdicts"][0].update(passed=False)}},
        "entries.release: verdicts[0]",
    ),
    "a verdict with a reason": (
        {"bodies": {"release/v1": lambda body: body["verdicts"][0].update(reasons=["no"])}},
        "entries.release: verdicts[0]",
    ),
    "an evaluation of another admission": (
        {"bodies": {"evaluation/v1": lambda body: body.update(admission=MISSING)}},
        "entries.evaluation: ",
    ),
    "an evaluation of another model": (
        {"evaluated": Digest.parse(MISSING)},
        "entries.evaluation: it is about another model",
    ),
    "a deployment of another release": (
        {"plan_changes": {"release": MISSING}},
        f"entries.deployment: {MISSING}",
    ),
    "approvals before there was a candidate": (
        {"early_approval": True},
        "entries.approvals[0]: entry",
    ),
    "an operator's approval after the deployment": (
        {"late_operation": True},
        "entries.deployment_approvals[0]: entry",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_links_that_do_not_fit_are_refused(tmp_path: Path, name: str) -> None:
    changes, place = FORGED[name]
    chain = make_chain(tmp_path, **changes)
    refuse(_lying_bundle(chain), chain.anchors, place)


@pytest.mark.parametrize("field", ["release", "deployment", "policy"])
def test_a_receipt_of_something_else_is_refused(tmp_path: Path, field: str) -> None:
    """It is a leaf of the batch, but it names what the evidence beside it is not about."""
    chain = make_chain(tmp_path, forged=[{field: MISSING}])
    bundle = chain.bundle(0)
    forged = chain.receipts[-1]
    place = chain.book.inclusion(forged.ident)
    bundle["receipt"] = forged.to_json()
    proof = [node.hex() for node in place.proof]
    bundle["inclusion"] = {"index": place.leaf_index, "size": place.size, "proof": proof}
    refuse(bundle, chain.anchors, f"receipt.{field}: {MISSING}")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"count": 8}, "inclusion.size"),
        ({"first_ms": 1_800_000_000_000, "last_ms": 1_800_000_000_001}, "receipt.time_ms"),
        ({"last_ms": 1}, "receipt.time_ms"),
    ],
)
def test_a_batch_that_states_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any], place: str
) -> None:
    chain = make_chain(tmp_path)
    batch = chain.rows["batch"].statement
    forged = Statement(batch.kind, batch.subjects, {**batch.body, **change})
    signer = chain.world.signers[Purpose.EVIDENCE]
    row = chain.world.ledger.append_statement(forged, [signer])
    bundle = chain.bundle()
    bundle["entries"]["batch"] = entry_of(chain, row)
    refuse(bundle, chain.anchors, place)


def test_evidence_younger_than_what_rests_on_it_is_refused(tmp_path: Path) -> None:
    """Entries stand in the order of the lifecycle: no admission is found after the fact."""
    chain = make_chain(tmp_path)
    world, stated = chain.world, chain.rows["deployment"].statement
    body = {**stated.body, "time_ms": world.clock.now_ms()}
    later = Statement(stated.kind, stated.subjects, body)
    row = world.ledger.append_statement(later, [world.signers[Purpose.EVIDENCE]])
    bundle = chain.bundle()
    bundle["entries"]["deployment"] = entry_of(chain, row)
    refuse(bundle, chain.anchors, "entries.deployment: entry")


@pytest.mark.attacks("C12")
def test_the_author_alone_is_not_enough_under_separate(tmp_path: Path) -> None:
    rules = chain_policy()["rules"]
    rules["release"]["approvals"] = {"firm": 1}
    rules["deploy"]["approvals"] = {"operator": 1}
    changes: dict[str, Any] = {"approvers": [Party.FIRM], "policy": chain_policy(rules=rules)}
    chain = make_chain(tmp_path, **changes)
    refuse(chain.bundle(), chain.anchors, "entries.release: its gates refuse")


@pytest.mark.attacks("C16")
def test_solo_is_shown_as_solo(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, policy=chain_policy(name="solo", separate=False), author=None)
    assert trace_bundle(chain.bundle(), chain.anchors).parties == "solo"
    assert tool.verify(*read_as_tool(chain.bundle(), chain.anchors))["parties"] == "solo"
