# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Corpus: from what a build made to a dataset in the ledger, or a refusal with every reason.

1. The account is written: digests and counts of the manifest, and no name of a file or document.
2. The gates of the row `corpus` judge it.
3. It is appended, with the verdicts; or a refusal is, and Refused raised.
"""

from collections.abc import Sequence
from typing import Any

from bastide.core.dataset import Manifest
from bastide.core.errors import Refused
from bastide.core.evidence import Evidence, Statement, Verdict, refusals
from bastide.core.recipe import Recipe
from bastide.core.subject import Subject
from bastide.crypto.dsse import Signer
from bastide.gates.dossier import Dossier
from bastide.gates.panel import judge_stage
from bastide.ledger import Ledger
from bastide.ports import Clock

__all__ = ["judge_early", "record"]

_REASON_CHARS_MAX = 300
_EARLY = ("policy", "licence-basis", "personal-data")  # what the recipe alone decides


def record(
    ledger: Ledger,
    manifest: Manifest,
    recipe: Recipe,
    treated: Sequence[str],
    signer: Signer,
    clock: Clock,
) -> Evidence:
    """Judge a dataset and append it. `treated`: kinds of personal data that a step dealt with.

    The same dataset again is the one that exists. Raises Refused with every reason.
    """
    known = ledger.find("dataset/v1", subject=manifest.digest, name=manifest.name)
    if known:
        return known[-1]
    statement = _account(manifest, recipe, treated, clock)
    verdicts = _judge(ledger, statement)
    if reasons := refusals(verdicts):
        raise _refusal(ledger, statement, reasons, signer, clock)
    body = {**statement.body, "verdicts": [verdict.to_json() for verdict in verdicts]}
    return ledger.append_statement(Statement("dataset/v1", statement.subjects, body), [signer])


def judge_early(
    ledger: Ledger, manifest: Manifest, recipe: Recipe, treated: Sequence[str], clock: Clock
) -> tuple[str, ...]:
    """Why a recipe would be refused whatever its sources hold. `manifest` has no document yet."""
    verdicts = _judge(ledger, _account(manifest, recipe, treated, clock))
    return refusals([verdict for verdict in verdicts if verdict.gate in _EARLY])


def _account(manifest: Manifest, recipe: Recipe, treated: Sequence[str], clock: Clock) -> Statement:
    sources = manifest.to_json()["sources"]
    body: dict[str, Any] = {
        "dataset": manifest.name,
        "manifest": str(manifest.digest),
        "recipe": str(recipe.digest),
        "build": manifest.build,
        "root": manifest.root,
        "documents": manifest.documents,
        "bytes": manifest.text_bytes,
        "shards": len(manifest.shards),
        "read": sum(source.read for source in manifest.sources),
        "broken": sum(manifest.broken.values()),
        "quarantine_share": recipe.limits.quarantine_share,
        "sources": sources,
        "plan": [step.step for step in recipe.steps],
        "steps": [
            {
                "step": row.step,
                "entered": row.entered,
                "changed": row.changed,
                "removed": row.removed,
            }
            for row in manifest.steps
        ],
        "personal_data": sorted(treated),
        "decontaminated": [
            {"suite": row.suite, "digest": row.digest, "ngram": row.ngram}
            for row in manifest.decontaminated
        ],
        "verdicts": [],
        "time_ms": clock.now_ms(),
    }
    return Statement("dataset/v1", (Subject(manifest.name, manifest.digest),), body)


def _judge(ledger: Ledger, statement: Statement) -> list[Verdict]:
    policy = ledger.policy()
    digest = statement.subjects[0].digest
    dossier = Dossier(
        subject=digest,
        action="corpus",
        admission=None,
        evaluation=None,
        candidate=None,
        approvals=(),
        keys=ledger.known_keys(),
        policy=policy,
        dataset=Evidence(statement, (), digest),
    )
    return judge_stage(policy, "corpus", dossier)


def _refusal(
    ledger: Ledger,
    statement: Statement,
    reasons: Sequence[str],
    signer: Signer,
    clock: Clock,
) -> Refused:
    """Append the refusal, unless the newest says the same, and return it as an error."""
    subject = statement.subjects[0]
    stated = [reason[:_REASON_CHARS_MAX] for reason in reasons]
    known = ledger.find("refusal/v1", subject=subject.digest, name=subject.name)
    if not known or known[-1].body["reasons"] != stated:
        body = {"stage": "corpus", "reasons": stated, "time_ms": clock.now_ms()}
        ledger.append_statement(Statement("refusal/v1", (subject,), body), [signer])
    return Refused(
        f"{subject.name} is no dataset",
        reasons=stated,
        fix="change the recipe, then build again",
    )
