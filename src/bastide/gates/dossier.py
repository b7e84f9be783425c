# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Dossier: all that the gates of one stage may look at, and how its papers hang together.

The functions below return reasons. They say why a paper is missing, is of another kind, or
belongs to another subject; a gate that reads the paper adds them to its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.evidence import Evidence
from bastide.core.key import PublicKey
from bastide.core.policy import Policy
from bastide.core.revocation import NONE, Revocations
from bastide.core.subject import Digest

__all__ = [
    "Dossier",
    "admission_reasons",
    "candidate_reasons",
    "dataset_reasons",
    "dataset_release",
    "evaluation_reasons",
]


@dataclass(frozen=True, slots=True)
class Dossier:
    """The evidence for one decision.

    subject: what is decided on: the dataset (corpus), its release (dataset-release), the artifact
    (admit, evaluate), the candidate's release (release), the deployment plan (deploy).
    action: the stage's name. candidate: what was proposed; for a deployment, the release.
    keys: the enrolled keys, by id. revoked: what parties have stopped. references: what
    attested nodes must be, by the guardian. decided_ms: when it was decided, or now; without it
    no approval counts that ends.
    """

    subject: Digest
    action: str
    admission: Evidence | None
    evaluation: Evidence | None
    candidate: Evidence | None
    approvals: tuple[Evidence, ...]
    keys: Mapping[str, PublicKey]
    policy: Policy
    dataset: Evidence | None = None
    revoked: Revocations = NONE
    references: tuple[Evidence, ...] = ()
    decided_ms: int | None = None


def admission_reasons(dossier: Dossier) -> list[str]:
    """Why the admission cannot be relied on; empty if it can."""
    admission = dossier.admission
    if admission is None:
        return ["there is no admission of the model"]
    if admission.kind != "admission/v1":
        return [f"not an admission but {admission.kind}"]
    if dossier.action != "release":
        if admission.subject.digest != dossier.subject:
            return ["the admission is about another model"]
        return []
    reasons = candidate_reasons(dossier)
    if not reasons:
        release = _release(dossier)
        if release.get("admission") != str(admission.digest):
            reasons.append("the candidate names another admission")
        if release.get("model") != str(admission.subject.digest):
            reasons.append("the admission is about another model than the candidate")
    return reasons


def evaluation_reasons(dossier: Dossier) -> list[str]:
    """Why the evaluation cannot be relied on; empty if it can."""
    evaluation = dossier.evaluation
    if evaluation is None:
        return ["the model was not evaluated"]
    if evaluation.kind != "evaluation/v1":
        return [f"not an evaluation but {evaluation.kind}"]
    reasons = admission_reasons(dossier)
    if reasons or dossier.admission is None:
        return reasons
    if evaluation.subject.digest != dossier.admission.subject.digest:
        reasons.append("the evaluation is about another model")
    if evaluation.body.get("admission") != str(dossier.admission.digest):
        reasons.append("the evaluation belongs to another admission")
    named = _release(dossier).get("evaluation") if dossier.action == "release" else None
    if dossier.action == "release" and named != str(evaluation.digest):
        reasons.append("the candidate names another evaluation")
    return reasons


def candidate_reasons(dossier: Dossier) -> list[str]:
    """Why the candidate cannot be relied on; empty if it can."""
    candidate = dossier.candidate
    if candidate is None:
        return ["there is no candidate"]
    if candidate.kind != "candidate/v1":
        return [f"not a candidate but {candidate.kind}"]
    release = _release(dossier)
    if candidate.subject.digest != dossier.subject or _digest_of(release) != dossier.subject:
        return ["the candidate is about another release"]
    if release.get("policy") != str(dossier.policy.digest):
        return ["the candidate was proposed under another policy"]
    return []


def dataset_reasons(dossier: Dossier) -> list[str]:
    """Why the account of a dataset cannot be relied on; empty if it can."""
    dataset = dossier.dataset
    if dataset is None:
        return ["there is no dataset"]
    if dataset.kind != "dataset/v1":
        return [f"not a dataset but {dataset.kind}"]
    subject = dataset.subject.digest
    if dossier.action == "dataset-release":
        subject = Digest.of(canonical(dataset_release(dataset, dossier.policy)))
    if subject != dossier.subject:
        return ["the account is about another dataset"]
    return []


def dataset_release(dataset: Evidence, policy: Policy) -> dict[str, str]:
    """What parties approve when they release a dataset, as plain values under one digest.

    It names the dataset, its signed account and the policy, so an approval of one dataset, of
    one account of it, or under one policy is none of another.
    """
    return {
        "name": dataset.subject.name,
        "dataset": str(dataset.subject.digest),
        "root": dataset.body["root"],
        "account": str(dataset.digest),
        "policy": str(policy.digest),
    }


def _release(dossier: Dossier) -> dict[str, object]:
    release = dossier.candidate.body.get("release") if dossier.candidate else None
    return release if isinstance(release, dict) else {}


def _digest_of(release: dict[str, object]) -> Digest | None:
    try:
        return Digest.of(canonical(release))
    except Misconfigured:
        return None
