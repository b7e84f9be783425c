# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Names: what a model finds of persons' names and addresses becomes a keyed pseudonym, or ends the
document.

No rule finds names honestly, so this step asks a finder that the recipe names (`ports.SpanFinder`):
`list:FILE` looks for fixed texts, `program:FILE` asks a program of yours in the sandbox. Its files
are hashed and are part of the build's name. A pseudonym is `<NAME:bcdfghjklmnpqrst>`, as
`personal-data` makes it; the same name in other capitals has the same one. What a finder misses
stays in the text: nothing here says how much that is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from bastide.core.dataset import Asked
from bastide.core.document import Document, Outcome
from bastide.core.errors import Misconfigured
from bastide.detectors.erasure import PSEUDONYM
from bastide.detectors.personal.kinds import MODEL_KINDS
from bastide.filters.filter import removed
from bastide.filters.pseudonym import pseudonym
from bastide.filters.words import Words

__all__ = ["SCHEMES", "Ask", "FoundSpan", "KeyedNames", "Names", "NamesFilter"]

SCHEMES: Final = ("list", "program")
FoundSpan = tuple[int, int, str]  # first character, the one after the last, kind
Ask = Callable[[Sequence[str]], Sequence[Sequence[FoundSpan]]]  # in order, none inside another


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Masks or removes. A kind in neither list is left in the text."""

    ident: ClassVar[str] = "names"
    rules: ClassVar[tuple[str, ...]] = (*MODEL_KINDS, "not-unicode")

    finder: str  # list:FILE or program:FILE, relative to the recipe
    files: tuple[str, ...] = ()  # what a program reads besides, such as a model's weights
    mask: tuple[str, ...] = MODEL_KINDS  # kinds that become pseudonyms
    remove: tuple[str, ...] = ()  # kinds of which one ends the document; they leave `mask`

    def __post_init__(self) -> None:
        scheme, _, name = self.finder.partition(":")
        if scheme not in SCHEMES or not name:
            raise ValueError(f"there is no finder {self.finder!r}; list:FILE or program:FILE")
        if scheme == "list" and self.files:
            raise ValueError("a list reads no other files")
        for kind in (*self.mask, *self.remove):
            if kind not in MODEL_KINDS:
                raise ValueError(f"there is no kind {kind!r}; known: {', '.join(MODEL_KINDS)}")
        if (both := set(self.mask) & set(self.remove)) and self.mask != MODEL_KINDS:
            raise ValueError(f"{', '.join(sorted(both))} cannot be masked and end the document")

    def keyed(self, key: bytes) -> "KeyedNames":
        """The step with the key of the dataset."""
        return KeyedNames(self, key)

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Never: without a key there is no pseudonym. Raises Misconfigured."""
        raise Misconfigured("names: the key of the dataset is missing")


@dataclass(frozen=True, slots=True)
class KeyedNames:
    """The step with its key, which still needs somebody to ask."""

    ident: ClassVar[str] = Names.ident
    rules: ClassVar[tuple[str, ...]] = Names.rules
    file_settings: ClassVar[tuple[str, ...]] = ("finder_files",)

    settings: Names
    key: bytes = field(repr=False)

    @property
    def scheme(self) -> str:
        """Which finder is asked."""
        return self.settings.finder.partition(":")[0]

    @property
    def finder_files(self) -> tuple[str, ...]:
        """All files that decide what is found; the first is the finder's own."""
        return (self.settings.finder.partition(":")[2], *self.settings.files)

    def asking(self, ask: Ask, digest: str) -> "NamesFilter":
        """The filter, with whom it asks. digest: of all that decides the answers."""
        kinds = sorted({*self.settings.mask, *self.settings.remove})
        return NamesFilter(self.settings, self.key, ask, Asked(self.scheme, digest, kinds))

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Never: nobody is asked yet. Raises Misconfigured."""
        raise Misconfigured("names: the finder is not open yet")


class NamesFilter:
    """The filter. `ask` raises if it cannot answer; then nothing is built."""

    ident: ClassVar[str] = Names.ident
    rules: ClassVar[tuple[str, ...]] = Names.rules

    def __init__(self, settings: Names, key: bytes, ask: Ask, asked: Asked) -> None:
        self.asked = (asked,)  # for the dataset's account
        self._settings = settings
        self._key = key
        self._ask = ask

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """The document with pseudonyms in its text and its address. Notes: `names/KIND`."""
        counts: dict[str, int] = {}
        try:
            text, url = self._masked((document.text, document.url), counts)
        except UnicodeEncodeError:
            # Half a surrogate pair: no program can be asked about it, so it must not pass.
            return removed(self.ident, "not-unicode")
        if not counts:
            return Outcome(document)
        notes: dict[str, str | int | float] = {
            f"{self.ident}/{kind}": count for kind, count in sorted(counts.items())
        }
        for kind in MODEL_KINDS:
            if kind in self._settings.remove and kind in counts:
                return removed(self.ident, kind, notes)
        return Outcome(msgspec.structs.replace(document, text=text, url=url), notes=notes)

    def hidden(self, text: str) -> str:
        """A text of which an example is kept: with pseudonyms, or nothing if it cannot be."""
        try:
            return self._masked((text,), {})[0]
        except UnicodeEncodeError:
            return ""

    def _masked(self, texts: Sequence[str], counts: dict[str, int]) -> list[str]:
        for text in texts:
            text.encode()
        asked = [text for text in texts if text.strip()]
        answers = dict(zip(asked, self._ask(asked), strict=True)) if asked else {}
        return [self._replaced(text, answers.get(text, ()), counts) for text in texts]

    def _replaced(self, text: str, spans: Sequence[FoundSpan], counts: dict[str, int]) -> str:
        wanted = {*self._settings.mask, *self._settings.remove}
        taken = [found.span() for found in PSEUDONYM.finditer(text)] if spans else []
        parts, done = [], 0
        for start, end, kind in spans:
            # An older pseudonym is no name, whatever the finder thinks of its letters.
            if kind not in wanted or any(first <= start and end <= last for first, last in taken):
                continue
            counts[kind] = counts.get(kind, 0) + 1
            value = re.sub(r"[\W_]+", " ", text[start:end]).strip().casefold()
            parts += [text[done:start], pseudonym(self._key, kind, value)]
            done = end
        return "".join((*parts, text[done:])) if parts else text
