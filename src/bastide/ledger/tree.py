# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tree: the growing edge of the ledger's Merkle tree, in memory and as full tiles.

A tree is a value: `grown` gives a new one, so a commit that fails leaves nothing to undo.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from bastide.core.errors import NotProven
from bastide.crypto import merkle
from bastide.crypto.merkle import Frontier
from bastide.crypto.tiles import TILE_HEIGHT, TILE_WIDTH
from bastide.ledger import schema

__all__ = ["Tree", "head"]

TileRow = tuple[int, int, bytes, bytes]  # level, index, root, hashes


def head(connection: Connection) -> tuple[int, bytes]:
    """Size and root under the newest checkpoint; of the empty tree if there is none."""
    table = schema.checkpoint
    newest = select(table.c.size, table.c.root).order_by(table.c.size.desc()).limit(1)
    row = connection.execute(newest).first()
    return (row.size, row.root) if row else (0, merkle.EMPTY_ROOT)


class Tree:
    """A tree of some size.

    completed: the tiles that became full when this tree grew out of the one before.
    """

    def __init__(self) -> None:
        self._whole = Frontier()  # over the full tiles of level 0
        self._part = Frontier()  # over the leaves behind them
        self._edges: list[list[bytes]] = [[]]  # per level, the hashes of the partial tile
        self.completed: list[TileRow] = []

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._whole.size + self._part.size

    def root(self) -> bytes:
        """The root over all leaves."""
        return self._whole.root(self._part.root() if self._part.size else None)

    def current(self, connection: Connection) -> "Tree":
        """This tree if the database still has its head, otherwise the tree that it has.

        Raises NotProven if the stored hashes do not lead to the root under the checkpoint.
        """
        size, root = head(connection)
        if size == self.size and root == self.root():
            return self
        tree = _load(connection, size)
        if tree.root() != root:
            raise NotProven(f"the ledger's hashes do not lead to its checkpoint of size {size}")
        return tree

    def grown(self, leaves: Sequence[bytes]) -> "Tree":
        """The tree with more leaf hashes."""
        tree = Tree()
        tree._whole, tree._part = self._whole.copy(), self._part.copy()
        tree._edges = [edge.copy() for edge in self._edges]
        start = 0
        while start < len(leaves):
            edge = tree._edges[0]
            some = leaves[start : start + TILE_WIDTH - len(edge)]
            edge += some
            start += len(some)
            if len(some) == TILE_WIDTH:
                tree._complete(0, merkle.root(some))
                continue
            for leaf in some:
                tree._part.append(leaf)
            if len(edge) == TILE_WIDTH:
                tree._complete(0, tree._part.root())
                tree._part = Frontier()
        return tree

    def _complete(self, level: int, root: bytes) -> None:
        """Turn the full edge of a level into a tile, and those above that become full by it."""
        if level == 0:
            self._whole.append_subtree(root, TILE_HEIGHT)
        index = (self._whole.size >> TILE_HEIGHT * (level + 1)) - 1
        self.completed.append((level, index, root, b"".join(self._edges[level])))
        self._edges[level] = []
        if level + 1 == len(self._edges):
            self._edges.append([])
        above = self._edges[level + 1]
        above.append(root)
        if len(above) == TILE_WIDTH:
            self._complete(level + 1, merkle.root(above))


def _load(connection: Connection, size: int) -> Tree:
    """Read the edges from the rows below them, and build the frontiers from the top down."""
    tree = Tree()
    tree._edges = []
    while not tree._edges or size >> TILE_HEIGHT * len(tree._edges):
        level = len(tree._edges)
        hashes = size >> TILE_HEIGHT * level
        tree._edges.append(_edge(connection, level, hashes - hashes % TILE_WIDTH, hashes))
    for level in range(len(tree._edges) - 1, 0, -1):
        for node in tree._edges[level]:
            tree._whole.append_subtree(node, TILE_HEIGHT * level)
    for leaf in tree._edges[0]:
        tree._part.append(leaf)
    return tree


def _edge(connection: Connection, level: int, start: int, end: int) -> list[bytes]:
    if level == 0:
        table = schema.entry
        rows = select(table.c.leaf).where(table.c.index >= start, table.c.index < end)
    else:
        table = schema.tile
        rows = select(table.c.root).where(
            table.c.level == level - 1, table.c.index >= start, table.c.index < end
        )
    hashes = list(connection.execute(rows.order_by(table.c.index)).scalars())
    if len(hashes) != end - start:
        raise NotProven(f"the ledger lacks hashes of level {level} before {end}")
    return hashes
