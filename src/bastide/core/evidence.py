# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Statement, Evidence, Verdict: what is signed, what is read, what is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.subject import Digest, Subject

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_ROOT = "https://bastide.eu/"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

# Every kind of statement that the ledger accepts. A new kind is one line here, one projection
# in ledger/projections.py and one section in docs/reference/statements.md.
KINDS: tuple[str, ...] = (
    "charter/v1",
    "key-enrolment/v1",
    "key-state/v1",
    "party-revocation/v1",
    "store-key/v1",
    "store-key-shred/v1",
    "store-key-move/v1",
    "denial/v1",
    "denial-end/v1",
    "ceremony/v1",
    "quorum/v1",
    "tenant/v1",
    "project/v1",
    "api-key/v1",
    "api-key/v2",
    "api-key-expiry/v1",
    "api-key-revocation/v1",
    "price/v1",
    "budget/v1",
    "alias/v1",
    "guard/v1",
    "erasure/v1",
    "dataset/v1",
    "dataset-release/v1",
    "packing/v1",
    "pseudonym-key-end/v1",
    "dataset-erasure/v1",
    "summary/v1",
    "admission/v1",
    "training/v1",
    "evaluation/v1",
    "candidate/v1",
    "approval/v1",
    "revocation/v1",
    "witness/v1",
    "release/v1",
    "release-push/v1",
    "deployment/v1",
    "deployment-end/v1",
    "access-policy/v1",
    "people/v1",
    "login/v1",
    "break-glass/v1",
    "incident/v1",
    "incident-end/v1",
    "machine/v1",
    "machine-key/v1",
    "machine-end/v1",
    "node-reference/v1",
    "node/v1",
    "load/v1",
    "share/v1",
    "share-minute/v1",
    "receipts/v1",
    "refusal/v1",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """An in-toto Statement v1 whose predicate type is ``https://bastide.eu/<kind>``."""

    kind: str
    subjects: tuple[Subject, ...]
    body: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The statement as plain JSON values."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": subject.name, "digest": {"sha256": subject.digest.hex}}
                for subject in self.subjects
            ],
            "predicateType": PREDICATE_ROOT + self.kind,
            "predicate": dict(self.body),
        }

    def payload(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical(self.to_json())

    @classmethod
    def from_json(cls, value: Any) -> "Statement":
        """Read what `to_json` wrote. Raises Misconfigured for another type or shape."""
        try:
            kind = value["predicateType"].removeprefix(PREDICATE_ROOT)
            subjects = tuple(
                Subject(row["name"], Digest.parse("sha256:" + row["digest"]["sha256"]))
                for row in value["subject"]
            )
            body = value["predicate"]
            typed = value["_type"] == STATEMENT_TYPE and isinstance(body, dict)
        except (KeyError, TypeError, AttributeError) as error:
            raise Misconfigured(f"not an in-toto Statement v1: {error!r}") from error
        if not typed or kind not in KINDS or not subjects:
            raise Misconfigured(f"not a statement of a known kind: {kind!r}")
        return cls(kind, subjects, body)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A statement whose signatures were verified, and where the ledger holds it.

    `signers` are the key ids that signed; `entry` is its index in the ledger, or None before it
    is appended; `digest` names the signed envelope.
    """

    statement: Statement
    signers: tuple[str, ...]
    digest: Digest
    entry: int | None = None

    @property
    def kind(self) -> str:
        """The kind of the statement, for instance ``evaluation/v1``."""
        return self.statement.kind

    @property
    def body(self) -> Mapping[str, Any]:
        """The predicate."""
        return self.statement.body

    @property
    def subject(self) -> Subject:
        """The first subject."""
        return self.statement.subjects[0]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate decided. It passed only if there is no reason against it.

    `notes` never open or close anything; they are what the approver should know.
    """

    gate: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """True if the gate has no reason to refuse."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {"gate": self.gate, "passed": self.passed, "reasons": list(self.reasons)}


def refusals(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Every reason of every verdict, each with its gate in front."""
    return tuple(f"{verdict.gate}: {reason}" for verdict in verdicts for reason in verdict.reasons)
