# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Revocation: what a party has stopped for ever, and who may stop what.

One party is enough, because a stop must be quick; nothing lifts it, because who could would be
asked to. What was made before stands as evidence: a revocation says that it is used no more. A key,
and a party with all of its keys, is stopped in the register instead (core/register.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from bastide.core.evidence import Evidence, Statement
from bastide.core.party import Party
from bastide.core.subject import Digest

__all__ = ["MAY_REVOKE", "NONE", "Revocable", "Revocations", "key_of", "may_revoke"]


class Revocable(StrEnum):
    """What can be revoked. The subject of a revocation has the thing's digest:"""

    RELEASE = "release"  # that which was approved
    DEPLOYMENT = "deployment"  # its plan's
    DATASET = "dataset-release"  # that which was approved
    APPROVAL = "approval"  # the signed approval's
    NODE = "node"  # that of its hardware's own key
    CERTIFICATE = "certificate"  # that of a client's certificate in DER


# Who made it or runs it, and the guardian. An approval's own party is not here: it varies.
MAY_REVOKE: Final[Mapping[Revocable, frozenset[Party]]] = MappingProxyType(
    {
        Revocable.RELEASE: frozenset({Party.FIRM, Party.GUARDIAN}),
        Revocable.DEPLOYMENT: frozenset({Party.OPERATOR, Party.GUARDIAN}),
        Revocable.DATASET: frozenset({Party.FIRM, Party.GUARDIAN}),
        Revocable.APPROVAL: frozenset({Party.GUARDIAN}),
        Revocable.NODE: frozenset({Party.OPERATOR, Party.GUARDIAN}),
        Revocable.CERTIFICATE: frozenset({Party.OPERATOR, Party.GUARDIAN}),
    }
)


def may_revoke(body: Mapping[str, Any]) -> frozenset[str]:
    """The parties of which one must sign a revocation with this body; none if it is malformed."""
    what = body.get("what")
    if what not in tuple(Revocable):
        return frozenset()
    own = body.get("party")
    if isinstance(own, str) is not (what == Revocable.APPROVAL):
        return frozenset()
    may = [party.value for party in MAY_REVOKE[Revocable(what)]]
    return frozenset([*may, own] if isinstance(own, str) else may)


def key_of(statement: Statement) -> tuple[str, ...]:
    """What a revocation is of: two with one key say the same."""
    body = statement.body
    return body["what"], statement.subjects[0].digest.hex, body["party"] or ""


@dataclass(frozen=True, slots=True)
class Revocations:
    """All that was revoked: the first revocation of each thing, by `key_of`."""

    rows: Mapping[tuple[str, ...], Evidence]

    @classmethod
    def of(cls, rows: Iterable[Evidence]) -> "Revocations":
        """From `revocation/v1` that count, oldest first."""
        found: dict[tuple[str, ...], Evidence] = {}
        for row in rows:
            found.setdefault(key_of(row.statement), row)
        return cls(found)

    def reasons(self, what: Revocable, digest: Digest) -> list[str]:
        """Why a thing may be used no more; empty if it may."""
        row = self.rows.get((what, digest.hex, ""))
        if row is None:
            return []
        return [f"the {what} {digest} was revoked in entry {row.entry}: {row.body['reason']}"]

    def digests(self, what: Revocable) -> list[str]:
        """What was revoked of a kind."""
        return [digest for kind, digest, _ in self.rows if kind == what]

    def ended(self, approval: Evidence) -> bool:
        """True if an approval was revoked by its own party, or by the guardian."""
        # Only who is of the party that it names could sign it: it must name the right one.
        return (Revocable.APPROVAL, approval.digest.hex, approval.body["party"]) in self.rows


NONE: Final = Revocations({})
