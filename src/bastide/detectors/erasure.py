# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The erasure filter: names of the erasure list, in any spelling that has their normal form.

`erasure_detector` is for streams: it says where a name stands. `ErasureSearch` is for corpora: it
says only whether a text has one, and reads whole texts at once.
"""

import re
from collections.abc import Callable, Collection
from typing import Final

from bastide.core.erasure import ErasureList, folded
from bastide.core.limits import ERASURE_GAP_MAX, GUARD_HEAD_LETTERS
from bastide.detectors.detector import WORD_BEGINS, Detector

__all__ = ["PSEUDONYM", "ErasureSearch", "erasure_detector"]

_HEADS_KNOWN_MAX: Final = 8_192  # first letters whose hash is remembered
_HEADS_ABSENT_MAX: Final = 262_144  # first letters of words of a corpus that begin no name
PSEUDONYM: Final = re.compile(r"<[A-Z-]+:[b-t]{16}>")


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


class ErasureSearch:
    """Looks for the names of a list in whole texts, and for some pseudonyms.

    It finds what the detector finds, and more: any number of spaces and signs may stand between
    two letters of a name.
    """

    def __init__(self, listed: ErasureList, pseudonyms: Collection[str] = ()) -> None:
        self._listed = listed
        self._pseudonyms = frozenset(pseudonyms)
        self._letters_max = max(listed.lengths, default=0)
        self._letters = _Letters()
        self._absent: set[str] = set()

    def finds(self, text: str) -> bool:
        """Whether a name or a pseudonym stands in a text."""
        if self._pseudonyms and not self._pseudonyms.isdisjoint(PSEUDONYM.findall(text)):
            return True
        words = text.translate(self._letters).split()
        most = GUARD_HEAD_LETTERS
        heads = {word[:most] for word in words}
        heads |= {_head(words, at) for at, word in enumerate(words) if len(word) < most}
        fresh = heads - self._absent
        begins = {head for head in fresh if self._listed.head(head) in self._listed.heads}
        if len(self._absent) > _HEADS_ABSENT_MAX:
            self._absent.clear()
        self._absent |= fresh - begins
        return bool(begins) and any(
            _head(words, at) in begins and self._stands(words, at) for at in range(len(words))
        )

    def may_be_cut(self, text: str) -> bool:
        """Whether a text that was cut off may end within a name: its last words begin like one."""
        tail = ""
        for word in reversed(text.translate(self._letters).split()):
            tail = word + tail
            if len(tail) > self._letters_max:
                break
            head = tail[:GUARD_HEAD_LETTERS]
            if len(head) == GUARD_HEAD_LETTERS and self._listed.head(head) in self._listed.heads:
                return True
        return False

    def _stands(self, words: list[str], at: int) -> bool:
        form = ""
        for word in words[at : at + self._letters_max]:
            form += word
            if len(form) > self._letters_max:
                return False
            if len(form) in self._listed.lengths and self._listed.entry(form) in (
                self._listed.entries
            ):
                return True
        return False


class _Letters(dict[int, str]):
    """For `str.translate`: letters to their normal form, all else to a space."""

    def __missing__(self, code: int) -> str:
        letters = self[code] = folded(chr(code)) or " "
        return letters


def _head(words: list[str], at: int) -> str:
    return "".join(words[at : at + GUARD_HEAD_LETTERS])[:GUARD_HEAD_LETTERS]
