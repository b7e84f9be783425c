# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Once: what a party's key signed counts once, in whatever bytes its signature is written.

From an ECDSA signature (r, s) anybody computes another that holds, (r, n - s), and signatures of
several keys can stand in any order. So an envelope with a new digest may say what was said before:
an approval from before a stop, reference values from before newer ones. What is new is told by the
payload and by the keys that signed it. Two keys may sign the same payload, each once.
"""

from collections.abc import Callable, Iterable, Mapping

from bastide.core.errors import Refused
from bastide.core.evidence import Evidence
from bastide.core.key import PublicKey
from bastide.core.subject import Digest

__all__ = ["Find", "Once", "first_said", "verify_new"]

Find = Callable[[str, Digest], Iterable[Evidence]]  # statements of a kind about a digest


class Once:
    """Which statements were said so far, and by which keys."""

    def __init__(self) -> None:
        self._said: set[tuple[bytes, str]] = set()

    def take(self, row: Evidence) -> bool:
        """Take up a statement; False if one of its keys said it before."""
        payload = Digest.of(row.statement.payload()).raw
        marks = {(payload, ident) for ident in row.signers}
        fresh = marks.isdisjoint(self._said)
        self._said |= marks
        return fresh


def first_said(rows: Iterable[Evidence]) -> list[Evidence]:
    """Statements, oldest first, without those that say again what a key of theirs said before."""
    once = Once()
    return [row for row in rows if once.take(row)]


def verify_new(row: Evidence, keys: Mapping[str, PublicKey], said: Iterable[Evidence]) -> None:
    """Check that no key of a party that signed a statement has signed it before.

    said: the statements of the ledger with the same payload, whose signatures hold; they are asked
    for only if a party signed. Raises Refused, naming the entry.
    """
    parties = {ident for ident in row.signers if ident in keys and keys[ident].party}
    if not parties:
        return
    for other in said:
        if parties & set(other.signers):
            raise Refused(
                f"the {row.kind} is in the ledger already, as entry {other.entry}",
                reasons=["its signature is written otherwise, and says the same"],
                fix="what is to be said again is signed again, with the time of now",
            )
