# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Release of a dataset: from its account and the parties' approvals to a signed release.

There is no candidate: what is approved follows from the dataset's account and the policy alone
(`gates.dossier.dataset_release`), so any party can make and check it.

`verify_released` is what a later stage asks before it takes a dataset.
"""

from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, Refused, Waiting
from bastide.core.evidence import Evidence, Statement, Verdict, refusals
from bastide.core.subject import Digest, Subject
from bastide.crypto.dsse import Signer
from bastide.gates.dossier import Dossier, dataset_release
from bastide.gates.panel import judge_stage
from bastide.ledger import Ledger
from bastide.ledger.erased import verify_not_erased
from bastide.ledger.times import seen_ms
from bastide.ports import Clock

__all__ = ["ACTION", "digest_of", "find_release", "judge", "publish", "refuse", "verify_released"]

ACTION = "dataset-release"


def digest_of(ledger: Ledger, dataset: Evidence) -> Digest:
    """The digest that the parties approve: of the dataset, its account and the policy."""
    return Digest.of(canonical(dataset_release(dataset, ledger.policy())))


def find_release(ledger: Ledger, dataset: Evidence) -> Evidence | None:
    """The release of exactly this account of a dataset, under the policy in force."""
    wanted = digest_of(ledger, dataset)
    rows = ledger.find("dataset-release/v1", subject=wanted)
    return next((row for row in reversed(rows) if row.subject.digest == wanted), None)


def judge(ledger: Ledger, dataset: Evidence, now_ms: int | None = None) -> list[Verdict]:
    """Judge every gate of the row `dataset-release`, by the time of its release, or now."""
    policy = ledger.policy()
    subject, released = digest_of(ledger, dataset), find_release(ledger, dataset)
    dossier = Dossier(
        subject=subject,
        action=ACTION,
        admission=None,
        evaluation=None,
        candidate=None,
        approvals=tuple(ledger.approvals(subject)),
        keys=ledger.known_keys(),
        revoked=ledger.revocations(),
        policy=policy,
        dataset=dataset,
        decided_ms=released.body["time_ms"] if released else now_ms,
    )
    return judge_stage(policy, ACTION, dossier)


def publish(ledger: Ledger, dataset: Evidence, signer: Signer, clock: Clock) -> Evidence:
    """Judge, and sign the release if every gate passes; a second time returns the first.

    Raises Waiting if only approvals are missing, Refused (with every reason) otherwise.
    """
    verify_not_erased(ledger, dataset)
    decided_ms = seen_ms(ledger, clock.now_ms())
    verdicts = judge(ledger, dataset, decided_ms)
    refuse(ledger, verdicts, dataset)
    if known := find_release(ledger, dataset):
        return known
    subject = digest_of(ledger, dataset)
    before = ledger.find("dataset-release/v1", name=dataset.subject.name)
    body: dict[str, Any] = {
        "release": dataset_release(dataset, ledger.policy()),
        "previous": str(before[-1].digest) if before else None,
        "approvals": [str(row.digest) for row in ledger.approvals(subject)],
        "verdicts": [verdict.to_json() for verdict in verdicts],
        "time_ms": decided_ms,  # it is judged by this ever after
    }
    subjects = (Subject(dataset.subject.name, subject), dataset.subject)
    return ledger.append_statement(Statement("dataset-release/v1", subjects, body), [signer])


def refuse(ledger: Ledger, verdicts: list[Verdict], dataset: Evidence) -> None:
    """Raise Waiting or Refused with every reason; the `fix` is a command for datasets."""
    reasons, name = refusals(verdicts), dataset.subject.name
    if not reasons:
        return
    if all(verdict.passed for verdict in verdicts if verdict.gate != "approvals"):
        raise Waiting(
            f"{name} waits for approvals before it is released",
            reasons=reasons,
            fix=f"bastide approve {name} --dataset --key FILE",
        )
    fix = "change the recipe, build again, then release the new dataset"
    if ledger.policy().rule(ACTION) is None:
        fix = (
            "this environment was founded before datasets were released, and its policy stands in"
            " its charter: `bastide init` a new one in another --home, and build there"
        )
    raise Refused(f"{name} may not be released", reasons=reasons, fix=fix)


def verify_released(ledger: Ledger, dataset: Evidence) -> None:
    """Return if a dataset was released and every gate still holds. Raises Refused.

    Judged anew, so the approval of a key that was found compromised since opens nothing.
    """
    verify_not_erased(ledger, dataset)
    name = dataset.subject.name
    if find_release(ledger, dataset) is None:
        raise Refused(
            f"the dataset {name} is not released",
            reasons=(f"no dataset-release/v1 is about {dataset.subject.digest}",),
            fix=f"bastide corpus release {name}",
        )
    try:
        refuse(ledger, judge(ledger, dataset), dataset)
    except BastideError as error:
        raise Refused(
            f"the release of the dataset {name} holds no more",
            reasons=error.reasons,
            fix=error.fix,
        ) from error
