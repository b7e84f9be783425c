# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets: keys and tokens of services become keyed pseudonyms, or end the document.

The detectors are the guard's: forms with a fixed beginning, a length and, where it exists, a
checksum (docs/reference/guard.md). A password in prose has no form and is not found. A secret
becomes `<AWS-KEY:bcdfghjklmnpqrst>`, as `personal-data` does it; it is in no note and no error.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Final

import msgspec

from bastide.core.document import Document, Outcome
from bastide.core.errors import Misconfigured
from bastide.core.guard import GROUPS
from bastide.detectors.catalogue import DETECTORS
from bastide.detectors.lineup import Lineup
from bastide.detectors.scanner import Scanner
from bastide.filters.filter import removed
from bastide.filters.pseudonym import pseudonym
from bastide.filters.words import Words

__all__ = ["SECRET_KINDS", "Secrets"]

SECRET_KINDS: Final = GROUPS["secrets"]  # those that the guard knows
_KEY_BYTES_MIN: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Masks or removes. A kind in neither list is not looked for."""

    ident: ClassVar[str] = "secrets"
    rules: ClassVar[tuple[str, ...]] = SECRET_KINDS

    mask: tuple[str, ...] = SECRET_KINDS  # kinds that become pseudonyms
    remove: tuple[str, ...] = ()  # kinds of which one ends the document; they leave `mask`

    def __post_init__(self) -> None:
        for kind in (*self.mask, *self.remove):
            if kind not in SECRET_KINDS:
                raise ValueError(f"there is no kind {kind!r}; known: {', '.join(SECRET_KINDS)}")
        both = set(self.mask) & set(self.remove)
        if both and self.mask != SECRET_KINDS:
            raise ValueError(f"{', '.join(sorted(both))} cannot be masked and end the document")

    def keyed(self, key: bytes) -> "KeyedSecrets":
        """The filter, with the key of the dataset. Raises Misconfigured if it is short."""
        return KeyedSecrets(self, key)

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Never: without a key there is no pseudonym. Raises Misconfigured."""
        raise Misconfigured("secrets: the key of the dataset is missing")


@dataclass(frozen=True, slots=True)
class KeyedSecrets:
    """The filter with its key, which is no setting."""

    ident: ClassVar[str] = Secrets.ident
    rules: ClassVar[tuple[str, ...]] = SECRET_KINDS

    settings: Secrets
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < _KEY_BYTES_MIN:
            raise Misconfigured(
                "secrets: the key of the dataset is too short",
                fix=f"{_KEY_BYTES_MIN} random bytes",
            )

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """The document with pseudonyms in its text and its address. Notes: `secrets/KIND`."""
        counts: dict[str, int] = {}
        text = self._masked(document.text, counts)
        url = self._masked(document.url, counts)
        if not counts:
            return Outcome(document)
        notes: dict[str, str | int | float] = {
            f"{self.ident}/{kind}": count for kind, count in sorted(counts.items())
        }
        for kind in SECRET_KINDS:
            if kind in self.settings.remove and kind in counts:
                return removed(self.ident, kind, notes)
        return Outcome(msgspec.structs.replace(document, text=text, url=url), notes=notes)

    def hidden(self, text: str) -> str:
        """A text of which an example is kept: every secret of this step's kinds is masked."""
        return self._masked(text, {})

    def _masked(self, text: str, counts: dict[str, int]) -> str:
        parts, done = [], 0
        for kind, start, end in _spans(_chosen(self.settings), text):
            counts[kind] = counts.get(kind, 0) + 1
            parts += [text[done:start], pseudonym(self.key, kind, text[start:end])]
            done = end
        return "".join((*parts, text[done:])) if parts else text


@lru_cache(maxsize=8)
def _chosen(settings: Secrets) -> Lineup:
    kinds = {*settings.mask, *settings.remove}
    return Lineup(one for kind in SECRET_KINDS if kind in kinds for one in DETECTORS[kind])


def _spans(lineup: Lineup, text: str) -> list[tuple[str, int, int]]:
    """Matches in order, those that touch the one before joined with it. All of both is a secret."""
    lineup = lineup.within(text)
    if not lineup:
        return []
    rows = sorted(
        (row.start, row.end, row.detector.ident) for row in Scanner(lineup).feed(text, True)
    )
    spans: list[tuple[str, int, int]] = []
    for start, end, kind in rows:
        if spans and start < spans[-1][2]:
            spans[-1] = (spans[-1][0], spans[-1][1], max(spans[-1][2], end))
        else:
            spans.append((kind, start, end))
    return spans
