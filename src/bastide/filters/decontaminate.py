# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Decontamination: a document that holds a question of an evaluation suite is removed.

The rule is GPT-3's (Brown et al. 2020, arXiv 2005.14165, appendix C): both sides are split into
words in lower case without punctuation, and a common n-gram of 13 words is a collision. Here the
document is removed, not its surroundings. A question is its prompt and its right answer, one after
the other, once for each right answer; without one, the prompt. `overlap_min` asks for more than
one n-gram, as a share of the question's, as PaLM (Chowdhery et al. 2022: 0.7 of 8-grams).

A question shorter than n words is found as a whole. One shorter than `words_min` is a phrase that
anybody writes ("The capital of France is Paris"): it is not searched for, and the manifest of a
dataset counts it. An n-gram that more than three questions of a suite share is its form, not a
question, and counts for nothing.

Words are runs of letters and digits after NFKC and case folding. Scripts without spaces between
words have no such n-grams: questions in them are not found.

`files` are further suites, JSON Lines: `fields` of each line, put together, are a question. A
suite's name is that of the file up to the first dot, its digest that of the file.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from bastide.core.dataset import Searched
from bastide.core.document import Document, Outcome
from bastide.core.errors import Misconfigured
from bastide.core.limits import CORPUS_NGRAMS_MAX
from bastide.core.subject import Digest
from bastide.filters.filter import json_lines, removed
from bastide.filters.words import Words
from bastide.suites import SUITES

__all__ = ["Decontaminate", "normal_words"]

Question = tuple[str, ...]  # its texts, one for each right answer

_FORM_QUESTIONS: Final = 3  # an n-gram of more questions than that is the suite's form
_ANCHOR: Final = 3  # words that are looked up together
_MARKS: Final = re.compile(r"[^\w\x00-\x7f]+")  # beyond ASCII; those in it go by a table, faster
_ASCII_MARKS: Final = bytes(
    byte if byte >= 0x80 or chr(byte).isalnum() else 0x20 for byte in range(256)
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decontaminate:
    """Removes documents that hold questions of evaluation suites."""

    ident: ClassVar[str] = "decontaminate"
    rules: ClassVar[tuple[str, ...]] = ("SUITE",)
    file_settings: ClassVar[tuple[str, ...]] = ("files",)

    suites: tuple[str, ...] = tuple(sorted(SUITES))  # of the catalogue of suites
    files: tuple[str, ...] = ()  # further suites: JSON Lines, relative to the recipe
    fields: tuple[str, ...] = ("prompt", "target")  # of a line; those that it has are put together
    ngram: int = 13  # words in a row that must agree
    overlap_min: float = 0.0  # share of a question's n-grams that a document must hold; 0: any
    words_min: int = 8  # a shorter question is not searched for

    def __post_init__(self) -> None:
        for name in self.suites:
            if name not in SUITES:
                raise ValueError(f"there is no suite {name!r}; known: {', '.join(sorted(SUITES))}")
        if not self.suites and not self.files:
            raise ValueError("it names no suite")
        names = [*self.suites, *(_suite_name(file) for file in self.files)]
        if len(set(names)) != len(names):
            raise ValueError("two suites have one name")
        if not self.fields:
            raise ValueError("fields names none")
        if not _ANCHOR <= self.words_min <= self.ngram:
            raise ValueError("it must hold that 3 <= words_min <= ngram")
        if not 0 <= self.overlap_min <= 1:
            raise ValueError("overlap_min is not from 0 to 1")

    def given(self, files: Mapping[str, bytes]) -> "Decontaminator":
        """The filter, with what its files hold. Raises Misconfigured, naming file and line."""
        suites = [(name, str(SUITES[name].digest), _asked(name)) for name in self.suites]
        suites += [
            (_suite_name(file), str(Digest.of(files[file])), tuple(self._rows(file, files[file])))
            for file in self.files
        ]
        return Decontaminator(self, suites)

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Never: without its files a step judges nothing. Raises Misconfigured."""
        raise Misconfigured("decontaminate: the suites are not read yet")

    def _rows(self, file: str, data: bytes) -> Iterator[Question]:
        for number, row in json_lines(file, data):
            texts = [row[field] for field in self.fields if row.get(field) not in (None, "")]
            if not texts or not all(isinstance(text, str) for text in texts):
                raise Misconfigured(
                    f"{file}:{number}: no text in the fields {', '.join(self.fields)}",
                    fix="name the fields of a question in `fields` of the step decontaminate",
                    place=f"{file}:{number}",
                )
            yield ("\n".join(texts),)


class Decontaminator:
    """The filter with its table of n-grams."""

    ident: ClassVar[str] = Decontaminate.ident
    rules: ClassVar[tuple[str, ...]] = Decontaminate.rules

    def __init__(
        self, settings: Decontaminate, suites: Sequence[tuple[str, str, Sequence[Question]]]
    ) -> None:
        self._settings = settings
        self._names: list[str] = []  # of the suite of each text of a question
        self._sizes: list[int] = []  # different n-grams of each
        self._table: dict[tuple[bytes, ...], tuple[int, ...]] = {}
        self.covered: list[Searched] = []
        for name, digest, questions in suites:
            self._add(name, digest, tuple(dict.fromkeys(questions)))
        self._lengths = sorted({len(row) for row in self._table})
        self._anchors = {
            row[at : at + _ANCHOR] for row in self._table for at in range(len(row) - _ANCHOR + 1)
        }

    def _add(self, name: str, digest: str, questions: Sequence[Question]) -> None:
        own: dict[tuple[bytes, ...], list[int]] = {}
        size, first = self._settings.ngram, len(self._names)
        asks: list[int] = []  # the question of each text from `first` on
        for question, texts in enumerate(questions):
            for words in map(normal_words, texts):
                if len(words) < self._settings.words_min:
                    continue
                grams = _ngrams(words, min(size, len(words)))
                for gram in grams:
                    own.setdefault(gram, []).append(len(self._names))
                asks.append(question)
                self._names.append(name)
                self._sizes.append(len(grams))
        kept = {
            gram: rows
            for gram, rows in own.items()
            if len(gram) < size or len({asks[row - first] for row in rows}) <= _FORM_QUESTIONS
        }
        for rows in (rows for gram, rows in own.items() if gram not in kept):
            for number in rows:
                self._sizes[number] -= 1
        for gram, rows in kept.items():
            self._table[gram] = (*self._table.get(gram, ()), *rows)
        if len(self._table) > CORPUS_NGRAMS_MAX:
            raise Misconfigured(
                f"decontaminate: the suites have over {CORPUS_NGRAMS_MAX} n-grams",
                fix="name fewer suites",
            )
        searched = {asks[at] for at, count in enumerate(self._sizes[first:]) if count}
        self.covered.append(Searched(name, digest, size, len(questions), len(searched)))

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document. Notes of a removal: `decontaminate/n-grams`, how many were found."""
        found: dict[int, int] = {}
        for gram in self._found(normal_words(document.text)):
            for number in self._table[gram]:
                found[number] = found.get(number, 0) + 1
        share = self._settings.overlap_min
        for number in sorted(found):
            if found[number] >= share * self._sizes[number]:
                notes: dict[str, str | int | float] = {f"{self.ident}/n-grams": found[number]}
                return removed(self.ident, self._names[number], notes)
        return Outcome(document)

    def _found(self, words: list[bytes]) -> set[tuple[bytes, ...]]:
        """The n-grams of the table that stand in a text.

        Every row of `least` words holds three in a row that begin at a multiple of the stride, so
        only there are three looked up, and rows only around three that are of a suite.
        """
        if not self._lengths:
            return set()
        stride, last = self._lengths[0] - _ANCHOR + 1, len(words)
        threes = zip(*(words[at::stride] for at in range(_ANCHOR)), strict=False)
        found, done = set(), 0
        for number, hit in enumerate(map(self._anchors.__contains__, threes)):
            if not hit:
                continue
            place = number * stride
            done = max(done, place + _ANCHOR - self._lengths[-1])
            for at in range(done, place + 1):
                if tuple(words[at : at + _ANCHOR]) not in self._anchors:
                    continue
                for length in self._lengths:
                    if at + length > last:
                        break
                    gram = tuple(words[at : at + length])
                    if gram in self._table:
                        found.add(gram)
            done = place + 1
        return found


def normal_words(text: str) -> list[bytes]:
    """The words of a text as they are compared: NFKC, case folded, letters and digits only; UTF-8.

    Half of a surrogate pair is a mark like others: it stands for no letter.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.casefold()
    if not text.isascii():
        text = _MARKS.sub(" ", text)
    return text.encode().translate(_ASCII_MARKS).split()


def _ngrams(words: list[bytes], size: int) -> set[tuple[bytes, ...]]:
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


@lru_cache(maxsize=16)
def _asked(name: str) -> tuple[Question, ...]:
    """The questions of a suite of the catalogue, with the right answers that they have."""
    return tuple(
        tuple(f"{item.prompt}\n{target}" for target in item.targets) or (item.prompt,)
        for item in SUITES[name].items
    )


def _suite_name(file: str) -> str:
    name = file.rpartition("/")[2].partition(".")[0]
    if not _NAME.fullmatch(name):
        raise ValueError(f"{file}: a suite is named by its file: small letters, digits, _ and -")
    return name
