# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Packing: nothing is lost, nothing is in two places, and best fit is what its paper says."""

import random

from hypothesis import given
from hypothesis import strategies as st

from bastide.core.packing import BEST_FIT, METHODS, Piece, best_fit, concatenate, cut

DOCUMENTS = st.lists(st.integers(0, 100), max_size=60)
LENGTHS = st.integers(1, 33)


def packed(method: str, sizes: list[int], length: int) -> list[list[Piece]]:
    if method == BEST_FIT:
        pieces = [piece for number, size in enumerate(sizes) for piece in cut(number, size, length)]
        return best_fit(pieces, length)
    return concatenate([Piece(number, 0, size) for number, size in enumerate(sizes)], length)


@given(DOCUMENTS, LENGTHS, st.sampled_from(METHODS))
def test_every_token_is_in_exactly_one_place(sizes: list[int], length: int, method: str) -> None:
    sequences = packed(method, sizes, length)
    held: list[list[int]] = [[0] * size for size in sizes]
    for sequence in sequences:
        assert 0 < sum(piece.length for piece in sequence) <= length
        for piece in sequence:
            assert piece.length > 0
            for at in range(piece.offset, piece.offset + piece.length):
                held[piece.document][at] += 1
    assert all(count == 1 for row in held for count in row)


@given(DOCUMENTS, LENGTHS)
def test_best_fit_cuts_only_what_is_longer_than_a_sequence(sizes: list[int], length: int) -> None:
    pieces = [piece for sequence in packed(BEST_FIT, sizes, length) for piece in sequence]
    for number, size in enumerate(sizes):
        assert sum(piece.document == number for piece in pieces) == -(-size // length)


@given(DOCUMENTS, LENGTHS)
def test_it_is_best_fit_decreasing(sizes: list[int], length: int) -> None:
    """Against the algorithm of the textbook, piece by piece."""
    pieces = [piece for number, size in enumerate(sizes) for piece in cut(number, size, length)]
    rooms: list[int] = []
    for piece in sorted(pieces, key=lambda one: -one.length):
        fitting = [room for room in rooms if room >= piece.length]
        if fitting:
            rooms.remove(min(fitting))
            rooms.append(min(fitting) - piece.length)
        else:
            rooms.append(length - piece.length)
    found = [length - sum(p.length for p in sequence) for sequence in best_fit(pieces, length)]
    assert sorted(found) == sorted(rooms)


def test_concatenation_fills_all_but_the_last() -> None:
    chance = random.Random(1)
    sizes = [chance.randint(1, 90) for _ in range(500)]
    sequences = packed("concat", sizes, 32)
    assert all(sum(piece.length for piece in sequence) == 32 for sequence in sequences[:-1])


def test_best_fit_leaves_hardly_any_room_and_cuts_far_less() -> None:
    """Lengths as those of web texts (log-normal), in sequences of 2,048."""
    chance = random.Random(2)
    sizes = [min(20_000, int(chance.lognormvariate(6.2, 1.1)) + 1) for _ in range(8_000)]
    cuts = {}
    for method in METHODS:
        sequences = packed(method, sizes, 2_048)
        fill = sum(sizes) / (2_048 * len(sequences))
        assert fill > 0.998, (method, fill)
        pieces = [piece for sequence in sequences for piece in sequence]
        cuts[method] = len(pieces) - len(sizes)
    assert cuts[BEST_FIT] * 2 < cuts["concat"]
