# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Corpus: from what a build made to a dataset in the ledger, or a refusal with every reason.

1. The account is written: digests and counts of the manifest, and no name of a file or document.
2. The gates of the row `corpus` judge it.
3. It is appended, with the verdicts; or a refusal is, and Refused raised.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from bastide.core.dataset import Manifest
from bastide.core.errors import Refused
from bastide.core.evidence import Evidence, Statement, Verdict, refusals
from bastide.core.recipe import Recipe
from bastide.core.subject import Subject
from bastide.crypto.dsse import Signer
from bastide.filters.erasure import ERASURE
from bastide.gates.dossier import Dossier
from bastide.gates.panel import judge_stage
from bastide.ledger import Ledger
from bastide.ledger.erased import standing_list
from bastide.ports import Clock

__all__ = ["judge_early", "record", "record_successor", "verify_standing"]

_REASON_CHARS_MAX = 300
_EARLY = ("policy", "licence-basis", "personal-data")  # what the recipe alone decides


def record(
    ledger: Ledger,
    manifest: Manifest,
    recipe: Recipe,
    treated: Sequence[str],
    standing: str | None,
    signer: Signer,
    clock: Clock,
) -> Evidence:
    """Judge a dataset and append it. `treated`: kinds of personal data that a step dealt with.

    standing: the digest of the list of erased persons that the build obeyed. The same dataset
    again is the one that exists. Raises Refused with every reason.
    """
    known = ledger.find("dataset/v1", subject=manifest.digest, name=manifest.name)
    if known:
        return known[-1]
    verify_standing(ledger, manifest.name, standing)
    account = _account(manifest, recipe, treated, clock)
    if standing is not None:
        account.body["plan"].insert(0, ERASURE)
    return _append(ledger, account, signer, clock)


def verify_standing(ledger: Ledger, name: str, standing: str | None) -> None:
    """Return if the list that a build obeys is the one in force. Raises Refused."""
    if standing_list(ledger) != standing:
        raise Refused(
            f"{name} is no dataset: a person was erased while it was built",
            fix="build it again: it is built without what names that person",
        )


def record_successor(
    ledger: Ledger, old: Evidence, manifest: Manifest, signer: Signer, clock: Clock
) -> Evidence:
    """Judge and append a dataset that is an older one without some documents.

    The recipe, and what was done to each document, stay. Raises Refused with every reason.
    """
    known = ledger.find("dataset/v1", subject=manifest.digest, name=manifest.name)
    if known:
        return known[-1]
    body = {**old.body, **_counts(manifest), "verdicts": [], "time_ms": clock.now_ms()}
    body["plan"] = [*old.body["plan"], ERASURE]
    statement = Statement("dataset/v1", (Subject(manifest.name, manifest.digest),), body)
    return _append(ledger, statement, signer, clock)


def _append(ledger: Ledger, statement: Statement, signer: Signer, clock: Clock) -> Evidence:
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
    asked = [msgspec.to_builtins(row) for row in manifest.asked]
    body: dict[str, Any] = {
        "dataset": manifest.name,
        "recipe": str(recipe.digest),
        **_counts(manifest),
        "quarantine_share": recipe.limits.quarantine_share,
        "plan": [step.step for step in recipe.steps],
        "personal_data": sorted(treated),
        "decontaminated": [
            {"suite": row.suite, "digest": row.digest, "ngram": row.ngram}
            for row in manifest.decontaminated
        ],
        **({"asked": asked} if asked else {}),
        "verdicts": [],
        "time_ms": clock.now_ms(),
    }
    return Statement("dataset/v1", (Subject(manifest.name, manifest.digest),), body)


def _counts(manifest: Manifest) -> dict[str, Any]:
    """What the account has of the manifest."""
    return {
        "manifest": str(manifest.digest),
        "build": manifest.build,
        "root": manifest.root,
        "documents": manifest.documents,
        "bytes": manifest.text_bytes,
        "shards": len(manifest.shards),
        "read": sum(source.read for source in manifest.sources),
        "broken": sum(manifest.broken.values()),
        "sources": manifest.to_json()["sources"],
        "steps": [
            {
                "step": row.step,
                "entered": row.entered,
                "changed": row.changed,
                "removed": row.removed,
            }
            for row in manifest.steps
        ],
    }


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
