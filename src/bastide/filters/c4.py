# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""C4's rules (Raffel et al. 2020, JMLR 21:140, section 2.2), with the further ones of its code.

Lines that are no sentence, that name JavaScript or a policy are taken out; a page with a curly
bracket, with "lorem ipsum", or with too few sentences left is removed. The rules and their order
are those of datatrove 0.10 `C4QualityFilter`. One difference, on purpose: sentences are counted by
a rule (a mark that ends one, then white space or the end), not by a language's model. The list of
bad words is not here: it removes what minorities say of themselves (Dodge et al. 2021).
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed
from bastide.filters.punctuation import TERMINAL
from bastide.filters.words import Words

__all__ = ["C4", "count_sentences"]

_CITATION: Final = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_ENDS: Final = (".", "?", "!", '"', "'")
_POLICIES: Final = re.compile(
    "terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"
)
_MARKS: Final = "".join(sorted(TERMINAL))
_SENTENCE: Final = re.compile(rf"[{re.escape(_MARKS)}]+[\"'”’»)\]]*(?:\s|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class C4:
    """Keeps the sentences of a page, and the page if enough of them are left."""

    ident: ClassVar[str] = "c4"
    rules: ClassVar[tuple[str, ...]] = ("lorem-ipsum", "curly-bracket", "too-few-sentences")

    sentences_min: int = 5  # of the lines that are kept
    line_words_min: int = 3
    word_chars_max: int = 1_000  # a line with a longer word is taken out
    terminal_punctuation: bool = True  # take out lines that do not end like a sentence
    citations: bool = True  # take out [1], [edit] and [citation needed]
    javascript: bool = True  # take out lines that name it
    policies: bool = True  # take out lines about cookies, privacy and terms of use
    lorem_ipsum: bool = True
    curly_bracket: bool = True

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document. Notes: `c4-lines`, how many were taken out."""
        sentences = 0
        kept: list[str] = []
        lines = document.text.splitlines()
        for raw in lines:
            line = raw.strip()
            if not self._is_kept(line):
                continue
            if self.citations and "[" in line:
                line = _CITATION.sub("", line)
            if self.terminal_punctuation and (not line.endswith(_ENDS) or line.endswith("...")):
                continue
            # The order of the rules is C4's: a page falls only by a line that got so far.
            small = line.lower()
            if self.lorem_ipsum and "lorem ipsum" in small:
                return removed(self.ident, "lorem-ipsum")
            if self.javascript and "javascript" in small:
                continue
            if self.curly_bracket and "{" in line:
                return removed(self.ident, "curly-bracket")
            if self.policies and _POLICIES.search(small):
                continue
            sentences += count_sentences(line)
            kept.append(line)
        if sentences < self.sentences_min:
            return removed(self.ident, "too-few-sentences")
        text = "\n".join(kept).strip()
        if text == document.text:
            return Outcome(document=document)
        notes: dict[str, str | int | float] = {"c4-lines": len(lines) - len(kept)}
        return Outcome(document=msgspec.structs.replace(document, text=text), notes=notes)

    def _is_kept(self, line: str) -> bool:
        words = line.split()
        if len(words) < self.line_words_min:
            return False
        return len(line) <= self.word_chars_max or max(map(len, words)) <= self.word_chars_max


def count_sentences(line: str) -> int:
    """Sentences of a line that is not empty: at least one."""
    return max(1, len(_SENTENCE.findall(line))) if line else 0
