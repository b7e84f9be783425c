# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every gate gives the recorded verdicts, and the panel never opens by omission.

tests/vectors/gates/README.md says how to read the vectors from any language.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastide.core.errors import NotFound
from bastide.core.evidence import Evidence, Statement, Verdict
from bastide.core.key import PublicKey
from bastide.core.lifecycle import LIFECYCLE
from bastide.core.policy import ATTESTED, Policy, Rule
from bastide.core.subject import Digest, Subject
from bastide.gates.dossier import Dossier
from bastide.gates.origin_stated import licence_reasons
from bastide.gates.panel import GATES, judge_stage

VECTORS = Path(__file__).parents[1] / "vectors" / "gates"


def merged(base: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def evidence(row: Mapping[str, Any] | None) -> Evidence | None:
    if row is None:
        return None
    subject = Subject(row["subject"]["name"], Digest.parse(row["subject"]["digest"]))
    statement = Statement(row["kind"], (subject,), row["body"])
    return Evidence(statement, tuple(row["signers"]), Digest.parse(row["digest"]))


def dossier_of(row: Mapping[str, Any]) -> Dossier:
    approvals = [evidence(approval) for approval in row.get("approvals", [])]
    references = [evidence(one) for one in row.get("references") or ()]
    return Dossier(
        subject=Digest.parse(row["subject"]),
        action=row["action"],
        admission=evidence(row.get("admission")),
        evaluation=evidence(row.get("evaluation")),
        candidate=evidence(row.get("candidate")),
        approvals=tuple(approval for approval in approvals if approval is not None),
        keys={ident: PublicKey.from_json(key) for ident, key in row["keys"].items()},
        policy=Policy.from_json(row["policy"]),
        dataset=evidence(row.get("dataset")),
        decided_ms=row.get("decided_ms"),
        references=tuple(one for one in references if one is not None),
    )


def cases() -> Iterator[tuple[str, str, Dossier, list[str]]]:
    for path in sorted(VECTORS.glob("*.json")):
        vectors = json.loads(path.read_text())
        for case in vectors["cases"]:
            dossier = dossier_of(merged(vectors["base"], case["patch"]))
            yield f"{path.stem}: {case['name']}", vectors["gate"], dossier, case["reasons"]


CASES = {name: (gate, dossier, reasons) for name, gate, dossier, reasons in cases()}


def verdict_of(gate: str, dossier: Dossier) -> Verdict:
    verdicts = judge_stage(dossier.policy, dossier.action, dossier)
    return next(verdict for verdict in verdicts if verdict.gate == gate)


@pytest.mark.attacks("C11")
@pytest.mark.parametrize("name", CASES)
def test_a_gate_gives_the_recorded_verdict(name: str) -> None:
    gate, dossier, reasons = CASES[name]
    verdict = verdict_of(gate, dossier)
    assert list(verdict.reasons) == reasons
    assert verdict.passed is (not reasons)


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_has_vectors_that_pass_and_several_that_refuse(gate: str) -> None:
    refusing = [bool(reasons) for known, _, reasons in CASES.values() if known == gate]
    assert refusing.count(False) >= 1
    assert refusing.count(True) >= 3
    assert GATES[gate].ident == gate


def open_dossier() -> Dossier:
    """A release that every gate lets pass."""
    return next(dossier for gate, dossier, reasons in CASES.values() if gate == "approvals")


def reasons_of(policy: Policy, stage: str, dossier: Dossier) -> list[str]:
    verdicts = judge_stage(policy, stage, replace(dossier, policy=policy, action=stage))
    return [f"{v.gate}: {reason}" for v in verdicts for reason in v.reasons]


def test_the_order_is_that_of_the_lifecycle() -> None:
    dossier = open_dossier()
    verdicts = judge_stage(dossier.policy, "release", dossier)
    row = next(row for row in LIFECYCLE if row.name == "release")
    assert [verdict.gate for verdict in verdicts] == list(row.gates)
    assert all(verdict.passed for verdict in verdicts)


@pytest.mark.attacks("C9")
@pytest.mark.parametrize("row", LIFECYCLE, ids=lambda row: row.name)
def test_an_empty_policy_opens_nothing(row: Any) -> None:
    policy = Policy("empty", separate=False, rules={})
    (reason,) = reasons_of(policy, row.name, open_dossier())
    assert reason.startswith(f"policy: the policy 'empty' has no rule for the stage {row.name}: ")
    assert reason.endswith("found a new environment (bastide init) whose policy has one")


def test_all_gates_but_those_that_a_policy_adds_stand_in_the_lifecycle() -> None:
    assert set(GATES) - {gate for row in LIFECYCLE for gate in row.gates} == {ATTESTED}


@pytest.mark.attacks("C9")
@pytest.mark.parametrize("gate", [gate for gate in GATES if gate != ATTESTED])
def test_a_gate_that_the_rule_leaves_out_refuses(gate: str) -> None:
    dossier = open_dossier()
    row = next(row for row in reversed(LIFECYCLE) if gate in row.gates)
    gates: dict[str, dict[str, Any]] = {ident: {} for ident in row.gates if ident != gate}
    policy = replace(dossier.policy, rules={row.name: Rule(gates, {})})
    assert f"{gate}: the policy does not name this gate" in reasons_of(policy, row.name, dossier)


@pytest.mark.parametrize("gate", GATES)
def test_an_unknown_parameter_refuses(gate: str) -> None:
    dossier = open_dossier()
    rule = dossier.policy.rules["release"]
    gates = {**rule.gates, gate: {**rule.gates.get(gate, {}), "flors": {}}}
    policy = replace(dossier.policy, rules={"release": Rule(gates, rule.approvals)})
    assert f"{gate}: unknown parameter 'flors'" in reasons_of(policy, "release", dossier)


def test_an_unknown_gate_refuses() -> None:
    dossier = open_dossier()
    rule = dossier.policy.rules["release"]
    gates = {**rule.gates, "scan-cleen": {}}
    policy = replace(dossier.policy, rules={"release": Rule(gates, rule.approvals)})
    assert "scan-cleen: there is no such gate" in reasons_of(policy, "release", dossier)


def test_a_rule_may_ask_for_more_gates_than_the_row() -> None:
    dossier = open_dossier()
    rule = Rule({"scan-clean": {}, "eval-floor": {"floors": {"x": 1}}}, {})
    policy = replace(dossier.policy, rules={"evaluate": rule})
    verdicts = judge_stage(policy, "evaluate", replace(dossier, action="evaluate", policy=policy))
    assert [verdict.gate for verdict in verdicts] == ["scan-clean", "eval-floor"]


def test_approvals_that_no_gate_counts_refuse() -> None:
    dossier = open_dossier()
    rule = Rule({"scan-clean": {}}, dossier.policy.rules["release"].approvals)
    policy = replace(dossier.policy, rules={"evaluate": rule})
    assert "policy: the rule for evaluate asks for approvals that no gate counts" in reasons_of(
        policy, "evaluate", dossier
    )


def test_a_dossier_of_another_stage_or_policy_refuses() -> None:
    dossier = open_dossier()
    rules = {**dossier.policy.rules, "evaluate": Rule({"scan-clean": {}}, {})}
    policy = replace(dossier.policy, rules=rules)
    first = judge_stage(policy, "evaluate", dossier)[0]
    assert first.reasons == (
        "the dossier is for release, not for evaluate",
        "the dossier was made under another policy",
    )


def test_an_unknown_stage_is_not_found() -> None:
    with pytest.raises(NotFound):
        judge_stage(open_dossier().policy, "publish", open_dossier())


@pytest.mark.attacks("C10")
@pytest.mark.parametrize("field", ["admission", "evaluation", "candidate"])
def test_missing_evidence_refuses(field: str) -> None:
    dossier = open_dossier()
    verdicts = judge_stage(dossier.policy, "release", replace(dossier, **{field: None}))
    assert any(not verdict.passed for verdict in verdicts)


@pytest.mark.attacks("C10")
@pytest.mark.parametrize("body", [{}, {"scan": 1}, {"scan": None}, {"scan": {"findings": {}}}])
@pytest.mark.parametrize("gate", ["format-safe", "scan-clean", "origin-stated"])
def test_evidence_of_a_wrong_shape_refuses(gate: str, body: dict[str, Any]) -> None:
    dossier = open_dossier()
    assert dossier.admission is not None
    statement = replace(dossier.admission.statement, body=body)
    spoilt = replace(dossier, admission=replace(dossier.admission, statement=statement))
    assert not verdict_of(gate, spoilt).passed


def test_a_model_without_a_template_is_clean_and_the_approver_is_told() -> None:
    dossier = open_dossier()
    assert dossier.admission is not None
    body = {**dossier.admission.body, "template": None}
    admission = replace(
        dossier.admission, statement=replace(dossier.admission.statement, body=body)
    )
    verdict = verdict_of("scan-clean", replace(dossier, admission=admission))
    assert verdict.passed
    assert verdict.notes == ("the model has no chat template",)


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("Apache-2.0", True),
        ("MIT OR Apache-2.0", True),
        ("(MIT AND CC-BY-4.0) OR EUPL-1.2", True),
        ("LicenseRef-llama3.1", True),
        ("apache-2.0", False),
        ("Proprietary", False),
        ("MIT OR", False),
        ("OR MIT", False),
        ("MIT MIT", False),
        ("(MIT", False),
        ("MIT)", False),
        ("()", False),
        ("MIT; rm -rf", False),
        ("LicenseRef-", False),
        ("GPL-3.0-only WITH Classpath-exception-2.0", False),
        ("MIT " * 200, False),
    ],
)
def test_licences_are_spdx_expressions(expression: str, accepted: bool) -> None:
    assert (licence_reasons(expression) == []) is accepted
