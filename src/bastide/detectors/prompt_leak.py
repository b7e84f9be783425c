# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The system message in an answer: eight of its words in a row, or a canary that stands in it.

A canary is ``canary-`` and 16 to 64 lower-case letters and digits. Put one into a system message,
and a leak is found even if only that is said. A paraphrase is not found, nor a translation:
what must stay secret does not belong into a prompt.
"""

import re
from typing import Final

from bastide.core.limits import LEAK_WORDS
from bastide.detectors.detector import ALONE, WORD_BEGINS, Detector, hinted, longest, spelled

__all__ = ["leak_detectors"]

_WORD = re.compile(r"[^\W_]+")
_GAP = re.compile(r"[\W_]{1,16}")
_BLOCK: Final = LEAK_WORDS // 2  # one of these is whole in any LEAK_WORDS words in a row
_CANARY = re.compile(r"canary-[0-9a-z]{16,64}(?![0-9a-z])")
_CANARY_RUN: Final = r"(?<![0-9A-Za-z])" + f"(?:{spelled(('canary-',), '[0-9a-z]{0,64}')})"


def leak_detectors(system: str) -> tuple[Detector, ...]:
    """Detectors of one system message; none if there is nothing in it to find."""
    words = _words(system)
    canaries = frozenset(_CANARY.findall(system))
    found: list[Detector] = []
    if len(words) >= LEAK_WORDS:
        message = _Message(words)
        found.append(
            Detector(
                "prompt-leak",
                r"\w",
                message.run,
                message.end,
                begins=WORD_BEGINS,
                needs=message.may_be_in,
            )
        )
    if canaries:
        found.append(_canary(canaries))
    return tuple(found)


def _words(text: str) -> list[str]:
    if text.isascii():
        return _WORD.findall(text.lower())
    return [word.casefold() for word in _WORD.findall(text)]  # a folded sign may be no letter


def _canary(canaries: frozenset[str]) -> Detector:
    def end(text: str, at: int, stop: int) -> int:
        found = _CANARY.match(text, at)
        return found.end() if found is not None and found.group() in canaries else 0

    return Detector(
        "prompt-leak",
        "c",
        longest(_CANARY_RUN),
        end,
        begins=ALONE + hinted(("canary-",)),
        marks=("canary-",),
    )


class _Message:
    """The words of a system message. Most answers repeat none, so what finds them is made late."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._places: dict[str, list[int]] = {}
        self._beginnings: set[str] = set()
        self._rare: set[str] = set()

    def may_be_in(self, text: str) -> bool:
        """Whether a text that is whole has a word of each LEAK_WORDS that it could repeat."""
        if not self._rare:
            words = self._words
            blocks = range(0, len(words) - _BLOCK + 1, _BLOCK)
            self._rare.update(max(words[at : at + _BLOCK], key=len) for at in blocks)
        return not self._rare.isdisjoint(_words(text))

    @property
    def places(self) -> dict[str, list[int]]:
        """Where each word stands that LEAK_WORDS can begin with."""
        if not self._places:
            for place, word in enumerate(self._words[: len(self._words) - LEAK_WORDS + 1]):
                self._places.setdefault(word, []).append(place)
        return self._places

    def run(self, text: str, at: int) -> int:
        """How far a match could reach."""
        found = _WORD.match(text, at)
        # Nearly every word ends here.
        if found is None or (
            found.end() < len(text) and found.group().casefold() not in self.places
        ):
            return at
        return self._walk(text, at)[0]

    def end(self, text: str, at: int, stop: int) -> int:
        """Where a match ends; 0 if there is none."""
        reached, count = self._walk(text, at)
        return reached if count == LEAK_WORDS else 0

    def _walk(self, text: str, at: int) -> tuple[int, int]:
        """How far the text follows the message from here, and how many whole words."""
        if at and text[at - 1].isalnum():
            return at, 0
        alive: list[int] | None = None
        for count in range(LEAK_WORDS):
            found = _WORD.match(text, at)
            if found is None:
                return at, count
            word = found.group().casefold()
            if found.end() == len(text):
                return self._ended(word, alive, len(text), at, count)
            following = self.places.get(word, []) if alive is None else alive
            alive = [place for place in following if self._words[place + count] == word]
            if not alive:
                return at, count
            at = found.end()
            if count + 1 < LEAK_WORDS:
                gap = _GAP.match(text, at)
                if gap is None:
                    return at, count + 1
                at = gap.end()
        return at, LEAK_WORDS

    def _ended(
        self, word: str, alive: list[int] | None, size: int, at: int, count: int
    ) -> tuple[int, int]:
        """The text ends with this word, which may go on."""
        if alive is None:
            open_, whole = self._begins(word), word in self.places
        else:
            following = [self._words[place + count] for place in alive]
            open_ = any(one.startswith(word) for one in following)
            whole = word in following
        return (size, count + whole) if open_ else (at, count)

    def _begins(self, word: str) -> bool:
        if not self._beginnings:
            self._beginnings.update(
                one[:size] for one in self.places for size in range(1, len(one) + 1)
            )
        return word in self._beginnings
