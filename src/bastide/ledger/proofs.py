# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Inclusion and consistency proofs from the stored tiles.

A proof reads at most a few tiles, whatever the ledger's size: every hash in it is the root of a
range of leaves, and ranges are made of perfect subtrees whose hashes stand in full tiles, or in
the leaf hashes and tile roots at the right edge.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from bastide.core.errors import Misconfigured, NotProven
from bastide.crypto import merkle
from bastide.crypto.tiles import TILE_HEIGHT, TILE_WIDTH
from bastide.ledger import schema

__all__ = ["prove_consistency", "prove_inclusion", "read_hashes"]


def prove_inclusion(connection: Connection, index: int, size: int) -> list[bytes]:
    """Prove that entry `index` is in the tree of `size`. Raises Misconfigured."""
    return _roots(connection, merkle.inclusion_ranges(index, size))


def prove_consistency(connection: Connection, old: int, new: int) -> list[bytes]:
    """Prove that the tree of `old` is a prefix of the tree of `new`. Raises Misconfigured."""
    return _roots(connection, merkle.consistency_ranges(0, old, new))


def read_hashes(connection: Connection, level: int, index: int, width: int) -> list[bytes]:
    """The first `width` hashes of one tile. Raises NotProven if the ledger lacks one."""
    table = schema.tile
    full = select(table.c.hashes).where(table.c.level == level, table.c.index == index)
    first = index * TILE_WIDTH
    data = connection.execute(full).scalar()
    if data is not None:
        hashes = [data[i : i + merkle.HASH_BYTES] for i in range(0, len(data), merkle.HASH_BYTES)]
    elif level == 0:
        table = schema.entry
        rows = select(table.c.leaf).where(table.c.index >= first).order_by(table.c.index)
        hashes = list(connection.execute(rows.limit(width)).scalars())
    else:
        rows = select(table.c.root).where(table.c.level == level - 1, table.c.index >= first)
        hashes = list(connection.execute(rows.order_by(table.c.index).limit(width)).scalars())
    if len(hashes) < width:
        raise NotProven(f"the ledger lacks hashes of tile {index} of level {level}")
    return hashes[:width]


def _roots(connection: Connection, ranges: Iterable[merkle.Range]) -> list[bytes]:
    seen: dict[tuple[int, int], list[bytes]] = {}
    return [_root(connection, low, high, seen) for low, high in ranges]


def _root(
    connection: Connection, low: int, high: int, seen: dict[tuple[int, int], list[bytes]]
) -> bytes:
    """The root of a range of leaves, folded from its perfect subtrees, smallest first."""
    pieces = [
        _node(connection, height, index, seen)
        for height, index in merkle.perfect_subtrees(low, high)
    ]
    if not pieces:
        raise Misconfigured(f"the range [{low}, {high}) is empty")
    node = pieces.pop()
    while pieces:
        node = merkle.node_hash(pieces.pop(), node)
    return node


def _node(
    connection: Connection, height: int, index: int, seen: dict[tuple[int, int], list[bytes]]
) -> bytes:
    """The root of the perfect subtree `index` of ``2**height`` leaves."""
    level, above = divmod(height, TILE_HEIGHT)
    first = index << above
    place = (level, first // TILE_WIDTH)
    start = first % TILE_WIDTH
    end = start + (1 << above)
    if len(seen.get(place, ())) < end:
        seen[place] = read_hashes(connection, *place, end)
    return merkle.root(seen[place][start:end])
