# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Packed numbers are read as they were written, each without the others."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.app.corpus_suffixes import GROUP, packed, span, unpacked, width_of


@pytest.mark.parametrize(("size", "width"), [(1, 1), (2, 1), (3, 2), (256, 8), (257, 9)])
def test_a_width_is_what_the_largest_number_needs(size: int, width: int) -> None:
    assert width_of(size) == width


@given(st.data())
def test_numbers_are_read_as_they_were_written(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 31))
    numbers = data.draw(st.lists(st.integers(0, (1 << width) - 1), min_size=1, max_size=60))
    first = data.draw(st.integers(0, len(numbers) - 1))
    count = data.draw(st.integers(1, len(numbers) - first))
    written = b"".join(packed(numpy.array(numbers, numpy.int32), width))
    assert len(written) == -(-len(numbers) // GROUP) * width
    begin, size = span(first, count, width)
    piece = written[begin : begin + size]
    assert unpacked(piece, first, count, width) == numbers[first : first + count]
    assert unpacked(written[slice(*_one(first, width))], first, 1, width) == [numbers[first]]


def _one(first: int, width: int) -> tuple[int, int]:
    begin, size = span(first, 1, width)
    return begin, begin + size


def test_many_pieces_are_one() -> None:
    numbers = numpy.arange(200_001, dtype=numpy.int32)
    written = b"".join(packed(numbers, 18))
    assert len(written) == -(-200_001 // 8) * 18
    assert unpacked(written, 0, 200_001, 18) == numbers.tolist()
