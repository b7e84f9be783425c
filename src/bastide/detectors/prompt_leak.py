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
_CANARY = re.compile(r"canary-[0-9a-z]{16,64}(?![0-9a-z])")
_CANARY_RUN: Final = r"(?<![0-9A-Za-z])" + f"(?:{spelled(('canary-',), '[0-9a-z]{0,64}')})"


def leak_detectors(system: str) -> tuple[Detector, ...]:
    """Detectors of one system message; none if there is nothing in it to find."""
    words = [word.casefold() for word in _WORD.findall(system)]
    canaries = frozenset(_CANARY.findall(system))
    found: list[Detector] = []
    if len(words) >= LEAK_WORDS:
        found.append(_overlap(words))
    if canaries:
        found.append(_canary(canaries))
    return tuple(found)


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


def _overlap(words: list[str]) -> Detector:
    places: dict[str, list[int]] = {}
    for place, word in enumerate(words[: len(words) - LEAK_WORDS + 1]):
        places.setdefault(word, []).append(place)
    word_at = _WORD.match
    beginnings = {word[:length] for word in places for length in range(1, len(word) + 1)}

    def walk(text: str, at: int) -> tuple[int, int]:
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
                open_ = (
                    word in beginnings
                    if alive is None
                    else any(words[place + count].startswith(word) for place in alive)
                )
                whole = (
                    word in places
                    if alive is None
                    else any(words[place + count] == word for place in alive)
                )
                return (len(text), count + whole) if open_ else (at, count)
            following = places.get(word, []) if alive is None else alive
            alive = [place for place in following if words[place + count] == word]
            if not alive:
                return at, count
            at = found.end()
            if count + 1 < LEAK_WORDS:
                gap = _GAP.match(text, at)
                if gap is None:
                    return at, count + 1
                at = gap.end()
        return at, LEAK_WORDS

    def run(text: str, at: int) -> int:
        found = word_at(text, at)
        # Nearly every word ends here.
        if found is None or (found.end() < len(text) and found.group().casefold() not in places):
            return at
        return walk(text, at)[0]

    def end(text: str, at: int, stop: int) -> int:
        reached, count = walk(text, at)
        return reached if count == LEAK_WORDS else 0

    return Detector("prompt-leak", r"\w", run, end, begins=WORD_BEGINS)
