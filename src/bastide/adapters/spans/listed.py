# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A finder of fixed texts: one a line, its kind and a tab before it.

    name<TAB>Aino Kallasvuori
    address<TAB>Hämeentie 14

It finds them as they are written, as whole words, the longest first. It stands in for a model, and
serves who has a list: the staff of a firm, the parties of a case.
"""

import re
from collections.abc import Sequence

from bastide.core.errors import Misconfigured
from bastide.detectors.personal.kinds import MODEL_KINDS

__all__ = ["ListFinder"]


class ListFinder:
    """Finds the texts of one file. Raises Misconfigured, naming the line, for what is no list."""

    def __init__(self, name: str, data: bytes) -> None:
        self._kinds: dict[str, str] = {}
        try:
            lines = data.decode().splitlines()
        except UnicodeDecodeError as error:
            raise Misconfigured(f"{name} is not UTF-8", place=name) from error
        for number, line in enumerate(lines, 1):
            kind, tab, text = line.partition("\t")
            if line.strip() and (not tab or kind not in MODEL_KINDS or not text.strip()):
                raise Misconfigured(
                    f"{name}:{number}: not a kind, a tab and a text",
                    fix=f"kinds are {', '.join(MODEL_KINDS)}",
                    place=f"{name}:{number}",
                )
            if line.strip():
                self._kinds.setdefault(text.strip(), kind)
        if not self._kinds:
            raise Misconfigured(f"{name} is empty", fix="name another file", place=name)
        longest = sorted(self._kinds, key=lambda text: (-len(text), text))
        choices = "|".join(re.escape(text) for text in longest)
        self._pattern = re.compile(rf"(?<!\w)(?:{choices})(?!\w)")

    def find(self, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        """The spans of each text."""
        return [
            [(*found.span(), self._kinds[found.group()]) for found in self._pattern.finditer(text)]
            for text in texts
        ]

    def close(self) -> None:
        """Nothing is held."""
