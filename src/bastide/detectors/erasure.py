# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The erasure filter: names of the erasure list, in any spelling that has their normal form."""

from collections.abc import Callable
from typing import Final

from bastide.core.erasure import ErasureList, folded
from bastide.core.limits import ERASURE_GAP_MAX, GUARD_HEAD_LETTERS
from bastide.detectors.detector import WORD_BEGINS, Detector

__all__ = ["erasure_detector"]

_HEADS_KNOWN_MAX: Final = 8_192  # first letters whose hash is remembered


def erasure_detector(listed: ErasureList) -> Detector:
    """A detector of the names of a list."""
    letters_max = max(listed.lengths, default=0)
    known: dict[str, bool] = {}

    def begins(head: str) -> bool:
        found = known.get(head)
        if found is None:
            if len(known) >= _HEADS_KNOWN_MAX:
                known.clear()
            found = known[head] = listed.head(head) in listed.heads
        return found

    def run(text: str, at: int) -> int:
        if at and text[at - 1].isalnum():
            return at
        head = text[at : at + GUARD_HEAD_LETTERS]
        # Nearly every word ends here.
        plain = len(head) == GUARD_HEAD_LETTERS and head.isascii() and head.isalpha()
        if plain and not begins(head.lower()):
            return at
        return _walk(text, at, letters_max, begins)

    def end(text: str, at: int, stop: int) -> int:
        form, found = "", 0
        for place in range(at, stop):
            letters = folded(text[place])
            if not letters:
                continue
            form += letters
            if len(form) > letters_max:
                break
            whole = not text[place + 1 : place + 2].isalnum()
            if whole and len(form) in listed.lengths and listed.entry(form) in listed.entries:
                found = place + 1
        return found

    return Detector("erasure", r"\w", run, end, begins=WORD_BEGINS)


def _walk(text: str, at: int, letters_max: int, begins: Callable[[str], bool]) -> int:
    """How far a name could reach from here: to its longest length, or to a long gap."""
    form, gap, checked = "", 0, False
    for place in range(at, len(text)):
        letters = folded(text[place])
        form += letters
        gap = 0 if letters else gap + 1
        if not checked and len(form) >= GUARD_HEAD_LETTERS:
            checked = True
            if not begins(form[:GUARD_HEAD_LETTERS]):
                return at
        if len(form) > letters_max or gap > ERASURE_GAP_MAX:
            return place
    return len(text)
