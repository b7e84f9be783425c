# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""tlog-tiles: paths, which tiles a log has, and entry bundles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured
from bastide.crypto.tiles import ENTRIES, TILE_WIDTH, Tile, bundle, tiles, unbundle


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(1, 999), "tile/1/999"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),  # the example of C2SP tlog-tiles
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(ENTRIES, 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_path(tile, path):
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(
    level=st.sampled_from([ENTRIES, 0, 1, 5]),
    index=st.integers(0, 2**40),
    width=st.integers(1, TILE_WIDTH),
)
def test_a_path_reads_back(level, index, width):
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/6/000",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/x000/001",
        "tile/0/1234",
        "tile/0/../000",
        "tile/0/000\n",
        "",
    ],
)
def test_other_paths_are_refused(path):
    with pytest.raises(Misconfigured):
        Tile.parse(path)


def test_which_tiles_a_log_has():
    # The example of C2SP tlog-tiles: a log of 70,000 entries.
    found = [tile.path for tile in tiles(70_000)]
    assert len(found) == 273 + 1 + 1 + 1 + 1
    assert found[272:] == [
        "tile/0/272",
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert list(tiles(0)) == []


@given(size=st.integers(0, 300_000))
def test_the_tiles_hold_every_hash_of_each_level_once(size):
    held: dict[int, int] = {}
    for tile in tiles(size):
        assert tile.first == held.get(tile.level, 0)
        held[tile.level] = tile.first + tile.width
    assert held == {level: size >> 8 * level for level in range(6) if size >> 8 * level}


@given(st.lists(st.binary(max_size=300)))
def test_a_bundle_reads_back(entries):
    data = bundle(entries)
    assert unbundle(data) == entries
    if data and entries[-1]:
        with pytest.raises(Misconfigured):
            unbundle(data[:-1])


def test_a_bundle_refuses_what_its_length_field_cannot_hold():
    assert unbundle(bundle([b"x" * 65_535])) == [b"x" * 65_535]
    with pytest.raises(Misconfigured):
        bundle([b"x" * 65_536])
    with pytest.raises(Misconfigured):
        unbundle(b"\x00")
