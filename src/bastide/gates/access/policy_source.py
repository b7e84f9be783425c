# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Where in a text each Cedar policy stands, and where in it an error is.

Cedar names policies by their order and gives no line for a mistake. So the text is split at the
semicolons that end policies, and what an error names is looked up in its policy.
"""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Source", "split"]

# A comment, a string and an end; all else goes by.
_TOKEN: Final = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;')
_BLANK: Final = re.compile(r"(?:\s+|//[^\n]*)*")
_IDENT: Final = re.compile(r'@id\s*\(\s*"((?:\\.|[^"\\])*)"\s*\)')
_NAMED: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Source:
    """One policy: its text, and where that begins. `line` and `column` count from 1."""

    text: str
    ident: str
    line: int
    column: int

    def find(self, message: str) -> tuple[int, int]:
        """Line and column of what an error message names last; else where the policy begins."""
        bare = _TOKEN.sub(_without_comments, self.text)
        named = [word for word in _NAMED.findall(message) if not word.startswith("policy")]
        named += [message.rsplit(": ", 1)[-1].strip()]
        for word in named:
            quoted = word[word.find('"') :] if '"' in word else word
            found = re.search(rf"(?<!\w){re.escape(quoted)}(?!\w)", bare)
            if found is not None:
                return self._place(found.start())
        return self.line, self.column

    def _place(self, offset: int) -> tuple[int, int]:
        before = self.text[:offset]
        lines = before.count("\n")
        if not lines:
            return self.line, self.column + offset
        return self.line + lines, offset - before.rfind("\n")


def split(text: str) -> list[Source]:
    """The policies of a text in their order; a last one may lack its semicolon."""
    ends = [found.end() for found in _TOKEN.finditer(text) if found.group() == ";"]
    rows, start = [], 0
    for end in [*ends, len(text)]:
        blank = _BLANK.match(text, start)
        begin = blank.end() if blank is not None else start
        piece = text[begin:end]
        if piece.strip():
            before = text[:begin]
            named = _IDENT.search(piece)
            ident = named.group(1) if named is not None else f"policy {len(rows) + 1}"
            line, column = before.count("\n") + 1, begin - before.rfind("\n")
            rows.append(Source(piece, ident, line, column))
        start = end
    return rows


def _without_comments(found: re.Match[str]) -> str:
    """A comment as so many spaces, so that places stay."""
    word = found.group()
    return " " * len(word) if word.startswith("//") else word
