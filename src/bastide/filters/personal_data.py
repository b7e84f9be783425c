# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Personal data: what `detectors.personal` finds becomes a keyed pseudonym, or ends the document.

A pseudonym is `<EMAIL:bcdfghjklmnpqrst>`: HMAC-SHA256 of the kind and the value under the key of
the dataset, 64 bits of it in sixteen consonants. The same value has the same pseudonym throughout
one dataset however it is grouped, and none in common with another dataset. Whoever destroys the
key can link nothing any more. The value itself is in no note, no error and no log.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from bastide.core.document import Document, Outcome
from bastide.core.errors import Misconfigured
from bastide.detectors.personal.kinds import KINDS, Span
from bastide.filters.filter import removed
from bastide.filters.pseudonym import pseudonym
from bastide.filters.words import Words

if TYPE_CHECKING:
    from bastide.detectors.personal.finder import Finder

__all__ = ["KEY_BYTES_MIN", "PersonalData", "PersonalDataSettings"]

KEY_BYTES_MIN: Final = 32
# A pseudonym is shorter than what it stands for, so a word can come nearer to what is behind it
# and a number be found that was not found before. So it is searched until nothing is left.
_ROUNDS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class PersonalDataSettings:
    """What is done with which kind (`detectors.personal.kinds.KINDS`); what is in neither list is
    not looked for.

    mask: kinds that become pseudonyms. remove: kinds of which one ends the document. Raises
    Misconfigured for a kind that does not exist or is in both.
    """

    mask: tuple[str, ...] = KINDS
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in (*self.mask, *self.remove):
            if kind not in KINDS:
                raise Misconfigured(
                    f"personal-data: there is no kind {kind!r}", fix=f"one of {', '.join(KINDS)}"
                )
        if both := sorted(set(self.mask) & set(self.remove)):
            raise Misconfigured(
                f"personal-data: {', '.join(both)} cannot be masked and end the document",
                fix="name each kind in `mask` or in `remove`",
            )


@dataclass(frozen=True, slots=True)
class PersonalData:
    """The filter. key: of this dataset only, at least KEY_BYTES_MIN bytes; it is no setting.

    Raises Misconfigured if the key is short.
    """

    ident: ClassVar[str] = "personal-data"
    rules: ClassVar[tuple[str, ...]] = (*KINDS, "not-unicode", "unsettled")

    settings: PersonalDataSettings
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES_MIN:
            raise Misconfigured(
                "personal-data: the key of the dataset is too short",
                fix=f"{KEY_BYTES_MIN} random bytes",
            )

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """The document with pseudonyms in its text and its address. Notes count what was found by
        kind, as `personal-data/email`. Raises Misconfigured if google-re2 is not installed.
        """
        finder = _finder(frozenset((*self.settings.mask, *self.settings.remove)))
        counts: dict[str, int] = {}
        try:
            text = self._masked(finder, document.text, counts)
            url = self._masked(finder, document.url, counts)
        except UnicodeEncodeError:
            # Half a surrogate pair: such a text cannot be searched, so it must not pass.
            return removed(self.ident, "not-unicode")
        if text is None or url is None:
            return removed(self.ident, "unsettled")
        if not counts:
            return Outcome(document)
        notes: dict[str, str | int | float] = {
            f"{self.ident}/{kind}": count for kind, count in sorted(counts.items())
        }
        for kind in KINDS:
            if kind in self.settings.remove and kind in counts:
                return removed(self.ident, kind, notes)
        return Outcome(msgspec.structs.replace(document, text=text, url=url), notes=notes)

    def hidden(self, text: str) -> str:
        """A text of which an example is kept: with pseudonyms, or nothing if it cannot be."""
        finder = _finder(frozenset((*self.settings.mask, *self.settings.remove)))
        try:
            return self._masked(finder, text, {}) or ""
        except UnicodeEncodeError:
            return ""

    def _masked(self, finder: "Finder", text: str, counts: dict[str, int]) -> str | None:
        """A text with pseudonyms, or None if there is no end to what is found in it."""
        data = text.encode()
        for _ in range(_ROUNDS_MAX):
            spans = finder.find(data)
            if not spans:
                return data.decode()
            parts, done = [], 0
            for span in spans:
                counts[span.kind] = counts.get(span.kind, 0) + 1
                parts += [data[done : span.start], self._pseudonym(span)]
                done = span.end
            data = b"".join((*parts, data[done:]))
        return None

    def _pseudonym(self, span: Span) -> bytes:
        return pseudonym(self.key, span.kind, span.value).encode()


@lru_cache(maxsize=8)
def _finder(kinds: frozenset[str]) -> "Finder":
    # One a process: its automata take a third of a second to make. Imported here, because the
    # tables of 27 states and RE2 are not for the start of every command.
    from bastide.detectors.personal.finder import Finder

    return Finder(kinds)
