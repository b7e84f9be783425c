# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Presence and absence in an RFC 6962 tree whose leaves are sorted by a key of 32 bytes.

A leaf begins with its key, and no key stands twice. A proof of presence is the leaf with its
inclusion proof. A proof of absence shows the two neighbours between which the key would stand, or
the one neighbour at an end. It rests on the leaves being sorted, which whoever made the tree
states, and whoever has all leaves can check: `Sorted` refuses any other order while it hashes.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from bastide.core.errors import Misconfigured, NotProven
from bastide.crypto.merkle import EMPTY_ROOT, Frontier, inclusion_ranges, leaf_hash
from bastide.crypto.merkle import verify_inclusion as verify_leaf

__all__ = [
    "KEY_BYTES",
    "Neighbour",
    "Proof",
    "prove",
    "sorted_root",
    "verify_absent",
    "verify_present",
]

KEY_BYTES: Final = 32


class Neighbour(msgspec.Struct, frozen=True):
    """One leaf in hexadecimal, where it stands, and its inclusion proof in hexadecimal."""

    index: int
    leaf: str
    path: list[str]


class Proof(msgspec.Struct, frozen=True):
    """That a key is in a tree of `size` (then one leaf has it), or is not (then none has)."""

    key: str
    size: int
    root: str
    leaves: list[Neighbour]


def sorted_root(leaves: Iterable[bytes]) -> tuple[bytes, int]:
    """Root and size of a tree. Raises NotProven if the leaves are not sorted, each key once."""
    frontier = Frontier()
    for leaf in _in_order(leaves):
        frontier.append(leaf_hash(leaf))
    return frontier.root(), frontier.size


def prove(key: bytes, leaves: Iterable[bytes], size: int) -> Proof:
    """Make the proof for a key, in two readings of nothing more than one leaf at a time.

    `leaves` MUST be something that can be iterated twice. Raises Misconfigured if it has another
    size, NotProven if it is not sorted.
    """
    wanted, chosen = _places(key, leaves, size)
    ranges = {at: inclusion_ranges(at, size) for at in wanted}
    bounds = sorted({span for spans in ranges.values() for span in spans})
    roots, whole = _roots(leaves, bounds)
    shown = [
        Neighbour(at, chosen[at].hex(), [roots[span].hex() for span in ranges[at]]) for at in wanted
    ]
    return Proof(key.hex(), size, whole.hex(), shown)


def verify_present(proof: Proof, leaf: bytes, root: bytes) -> None:
    """Check that the tree with this root holds this leaf. Raises NotProven."""
    found = _verified(proof, root)
    if len(found) != 1 or found[0][1] != leaf or leaf[:KEY_BYTES].hex() != proof.key:
        raise NotProven("presence: the proof is about another leaf")


def verify_absent(proof: Proof, key: bytes, root: bytes) -> None:
    """Check that the tree with this root has no leaf of this key. Raises NotProven."""
    # 1. The proof is about this key, and the leaves that it shows stand in the tree.
    found = _verified(proof, root)
    if proof.key != key.hex():
        raise NotProven("absence: the proof is about another key")
    # 2. They are neighbours, or the end that the key would stand beyond, and the key between them.
    places = [index for index, _ in found]
    keys = [leaf[:KEY_BYTES] for _, leaf in found]
    match places:
        case []:
            holds = proof.size == 0 and root == EMPTY_ROOT
        case [only]:
            holds = (only == 0 and key < keys[0]) or (only == proof.size - 1 and key > keys[0])
        case [low, high]:
            holds = high == low + 1 and keys[0] < key < keys[1]
        case _:
            holds = False
    if not holds:
        raise NotProven("absence: the leaves that are shown do not enclose the key")


def _verified(proof: Proof, root: bytes) -> list[tuple[int, bytes]]:
    found = []
    for shown in proof.leaves:
        try:
            leaf, path = bytes.fromhex(shown.leaf), [bytes.fromhex(text) for text in shown.path]
        except ValueError as error:
            raise NotProven("a leaf of the proof is not hexadecimal") from error
        verify_leaf(leaf_hash(leaf), shown.index, proof.size, path, root)
        found.append((shown.index, leaf))
    return found


def _places(key: bytes, leaves: Iterable[bytes], size: int) -> tuple[list[int], dict[int, bytes]]:
    """Where the key stands, or its neighbours, with their leaves."""
    before: tuple[int, bytes] | None = None
    count = 0
    shown: list[tuple[int, bytes]] = []
    settled = False
    for index, leaf in enumerate(_in_order(leaves)):
        count += 1
        if settled:
            continue
        if leaf[:KEY_BYTES] < key:
            before = index, leaf
            continue
        settled = True
        shown = [(index, leaf)]
        if leaf[:KEY_BYTES] != key and before is not None:
            shown = [before, (index, leaf)]
    if not settled and before is not None:
        shown = [before]
    if count != size:
        raise Misconfigured(f"there are {count} leaves, not {size}")
    return [index for index, _ in shown], dict(shown)


def _roots(
    leaves: Iterable[bytes], spans: list[tuple[int, int]]
) -> tuple[dict[tuple[int, int], bytes], bytes]:
    """The roots of some ranges of leaves, and of all."""
    whole = Frontier()
    open_spans = {span: Frontier() for span in spans}
    for index, leaf in enumerate(leaves):
        node = leaf_hash(leaf)
        whole.append(node)
        for (low, high), frontier in open_spans.items():
            if low <= index < high:
                frontier.append(node)
    return {span: frontier.root() for span, frontier in open_spans.items()}, whole.root()


def _in_order(leaves: Iterable[bytes]) -> Iterable[bytes]:
    last = b""
    for leaf in leaves:
        if leaf[:KEY_BYTES] <= last:
            raise NotProven("the leaves are not sorted by key, or a key stands twice")
        last = leaf[:KEY_BYTES]
        yield leaf
