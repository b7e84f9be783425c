# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the steps leave out to be quick changes no result.

Broken once to prove the tests: without the look for three line feeds, with a bound from the words
that begin a repeated n-gram only, and with two scripts that share a letter, they fail.
"""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.filters.language_model import _BYTES, _automaton
from bastide.filters.ngrams import Repeats
from bastide.filters.normalise import _clean, _cleaned
from bastide.filters.scripts import _LETTERS, _script_of, script

# Letters, and what each rule of the normalisation is about.
PIECES = st.sampled_from(
    ["a", "é", "я", "🙂", " ", "\t", "\n", "\n\n", "\r", "\x0b", "\x85", "\xa0", "\u200b", "\u200d",
     "\u2028", "\u2060", "\u3000", "\ufeff", "\U000e0001"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_text_is_clean_exactly_if_cleaning_changes_nothing_or_only_asks_for_a_closer_look(
    text: str,
) -> None:
    if _clean(text):
        assert _cleaned(text) == text
    elif _cleaned(text) == text:  # a joiner between letters that need it: only the rule can tell
        assert "\u200d" in text


@pytest.mark.attacks("C189")
@given(st.lists(st.sampled_from(["a", "bb", "ccc", "d", "ee"]), min_size=1, max_size=80))
def test_no_longer_n_gram_repeats_more_than_is_covered(words: list[str]) -> None:
    grams = Repeats(words, dict.fromkeys(words))
    bounds = []
    for _ in range(2, 11):
        grams.longer()
        bounds.append(grams.covered_chars())
        assert all(grams.repeated_chars(0) <= bound for bound in bounds)


def test_no_letter_is_of_two_scripts() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    seen: dict[str, str] = {}
    for name, letters in _LETTERS.items():
        for letter in re.findall(f"[{letters}]", every):
            assert seen.setdefault(letter, name) == name
    assert all(_script_of(letter) == name for letter, name in list(seen.items())[::97])


@given(st.text(max_size=60))
def test_the_script_is_that_of_most_letters(text: str) -> None:
    counts = {name: len(re.findall(f"[{letters}]", text)) for name, letters in _LETTERS.items()}
    if counts["Jpan"] and counts["Jpan"] * 10 >= counts["Hani"]:
        counts["Jpan"] += counts.pop("Hani")
    most = max(counts.values())
    assert script(text) == (max(counts, key=lambda name: counts[name]) if most else "Zyyy")


def test_the_longest_n_gram_is_found_by_walking_every_state() -> None:
    following, rows, output, depth = _automaton().walk
    reached, front, steps = {0}, [0], -1
    while front:
        found: set[int] = set()
        for row in {int(rows[state]) for state in front}:
            found.update(following[row : row + _BYTES].tolist())
        front = sorted(found - reached)
        reached |= found
        steps += 1
    assert depth == steps
    assert len(output) >= len(reached)
