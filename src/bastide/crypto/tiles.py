# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""C2SP tlog-tiles: where the hashes and entries of a log stand, and how entries are bundled.

A tile holds up to 256 hashes of one level: level 0 the leaf hashes, level L the roots of the full
tiles of level L - 1. Only the last tile of a level may be partial.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bastide.core.errors import Misconfigured
from bastide.core.limits import ENTRY_BYTES_MAX

__all__ = [
    "ENTRIES",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "Tile",
    "bundle",
    "of_level",
    "tiles",
    "unbundle",
]

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
LEVELS_MAX = 6  # tlog-tiles: a tile's level is 0 to 5
ENTRIES = -1  # the level of entry bundles, as in golang.org/x/mod/sumdb/tlog

_PATH = re.compile(r"tile/([0-5]|entries)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of one tile: level (or `ENTRIES`), index, and how many hashes it holds."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def first(self) -> int:
        """Index of its first hash (or entry) within the level."""
        return self.index * TILE_WIDTH

    @property
    def path(self) -> str:
        """``tile/<level>/<index>[.p/<width>]``, the index in groups of three digits."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        place = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{place}{partial}"

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """Read what `path` wrote. Raises Misconfigured for any other form."""
        match = _PATH.fullmatch(path)
        if match is not None:
            level = ENTRIES if match[1] == "entries" else int(match[1])
            index = int(match[2].replace("x", "").replace("/", ""))
            tile = cls(level, index, int(match[3]) if match[3] else TILE_WIDTH)
            if tile.path == path and tile.width <= TILE_WIDTH:
                return tile
        raise Misconfigured(f"{path!r} is no path of a tile")


def tiles(size: int) -> Iterator[Tile]:
    """Every tile of a log of `size` entries, level by level."""
    for level in range(LEVELS_MAX):
        hashes = size >> TILE_HEIGHT * level
        if hashes == 0:
            return
        yield from of_level(level, hashes)


def of_level(level: int, hashes: int) -> Iterator[Tile]:
    """The tiles that hold the first `hashes` hashes (or entries) of one level."""
    full, width = divmod(hashes, TILE_WIDTH)
    for index in range(full):
        yield Tile(level, index)
    if width:
        yield Tile(level, full, width)


def bundle(entries: Iterable[bytes]) -> bytes:
    """Join entries, each behind its length as big-endian uint16. Raises Misconfigured."""
    pieces = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise Misconfigured(f"an entry of {len(entry)} bytes is over {ENTRY_BYTES_MAX}")
        pieces += (len(entry).to_bytes(2), entry)
    return b"".join(pieces)


def unbundle(data: bytes) -> list[bytes]:
    """Read what `bundle` wrote. Raises Misconfigured if the data ends inside an entry."""
    entries = []
    offset = 0
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 2])
        entry = data[offset + 2 : offset + 2 + length]
        if offset + 2 > len(data) or len(entry) != length:
            raise Misconfigured(f"the entry bundle ends inside entry {len(entries)}")
        entries.append(entry)
        offset += 2 + length
    return entries
