# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers of a suffix array, each in as many bits as the largest needs.

Eight numbers of `width` bits are `width` bytes: a number that is its first bit's place, little
endian. So each stands at a place that is known, and one is read without the others. The last eight
are filled up with zeros.
"""

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["GROUP", "packed", "span", "unpacked", "width_of"]

GROUP: Final = 8  # numbers that end at a whole byte
_AT_ONCE: Final = 65_536


def width_of(size: int) -> int:
    """The bits of a number below a size."""
    return max(1, (size - 1).bit_length())


def packed(numbers: Any, width: int) -> Iterator[bytes]:
    """The bytes of an array of NumPy, piece by piece."""
    import numpy

    for at in range(0, len(numbers), _AT_ONCE):
        piece = numbers[at : at + _AT_ONCE].astype(numpy.uint64)
        groups = numpy.pad(piece, (0, -len(piece) % GROUP)).reshape(-1, GROUP)
        made = numpy.zeros((len(groups), width), numpy.uint8)
        for place, byte, shift, count in _places(width):
            shifted = groups[:, place] << numpy.uint64(shift)
            for more in range(count):
                made[:, byte + more] |= (shifted >> numpy.uint64(8 * more)).astype(numpy.uint8)
        yield made.tobytes()


def span(first: int, count: int, width: int) -> tuple[int, int]:
    """Where the bytes begin that hold some numbers, and how many they are."""
    begin, end = first // GROUP, -(-(first + count) // GROUP)
    return begin * width, (end - begin) * width


def unpacked(data: bytes, first: int, count: int, width: int) -> list[int]:
    """The numbers from `first` on; data: the bytes of their `span`."""
    skip = first % GROUP
    if count == 1:
        return [int.from_bytes(data, "little") >> skip * width & (1 << width) - 1]
    import numpy

    groups = numpy.frombuffer(data, numpy.uint8).reshape(-1, width).astype(numpy.uint64)
    found = numpy.zeros((len(groups), GROUP), numpy.uint64)
    for place, byte, shift, bytes_count in _places(width):
        for more in range(bytes_count):
            found[:, place] |= groups[:, byte + more] << numpy.uint64(8 * more)
        found[:, place] >>= numpy.uint64(shift)
    found &= numpy.uint64((1 << width) - 1)
    return found.reshape(-1)[skip : skip + count].tolist()


def _places(width: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each number of a group: its first byte, the bits before it there, and its bytes."""
    for place in range(GROUP):
        byte, shift = divmod(place * width, 8)
        yield place, byte, shift, -(-(shift + width) // 8)
