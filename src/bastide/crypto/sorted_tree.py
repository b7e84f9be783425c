# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Presence and absence in an RFC 6962 tree whose leaves are sorted by a key of 32 bytes.

A leaf begins with its key, and no key stands twice. A proof of presence is the leaf with its
inclusion proof. A proof of absence shows the two neighbours between which the key would stand, or
the one neighbour at an end. It rests on the leaves being sorted, which whoever made the tree
states, and whoever has all leaves can check: `Sorted` refuses any other order while it hashes.
"""

from collections.abc import Iterable, Sequence, Set
from typing import Final

import msgspec

from bastide.core.errors import Misconfigured, NotProven
from bastide.crypto.merkle import EMPTY_ROOT, Frontier, inclusion_ranges, leaf_hash, node_hash
from bastide.crypto.merkle import verify_inclusion as verify_leaf

__all__ = [
    "KEY_BYTES",
    "Neighbour",
    "Proof",
    "prove",
    "prove_all",
    "sorted_root",
    "verify_absent",
    "verify_present",
]

KEY_BYTES: Final = 32

Range = tuple[int, int]  # leaves from the first number up to, not including, the second


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
    return prove_all([key], leaves, size)[0]


def prove_all(keys: Sequence[bytes], leaves: Iterable[bytes], size: int) -> list[Proof]:
    """The proofs for some keys, in their order and in the same two readings as for one."""
    places = _places(keys, leaves, size)
    ranges = {at: inclusion_ranges(at, size) for shown in places.values() for at, _ in shown}
    roots, whole = _roots(leaves, {span for spans in ranges.values() for span in spans}, size)
    return [
        Proof(
            key.hex(),
            size,
            whole.hex(),
            [
                Neighbour(at, leaf.hex(), [roots[span].hex() for span in ranges[at]])
                for at, leaf in places[key]
            ],
        )
        for key in keys
    ]


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


def _places(
    keys: Sequence[bytes], leaves: Iterable[bytes], size: int
) -> dict[bytes, list[tuple[int, bytes]]]:
    """For each key the leaf that has it, or its neighbours, and where they stand."""
    wanted = iter(sorted(set(keys)))
    shown: dict[bytes, list[tuple[int, bytes]]] = {}
    before: list[tuple[int, bytes]] = []
    key = next(wanted, None)
    count = 0
    for index, leaf in enumerate(_in_order(leaves)):
        count += 1
        while key is not None and key <= leaf[:KEY_BYTES]:
            here = [(index, leaf)]
            shown[key] = here if key == leaf[:KEY_BYTES] else before + here
            key = next(wanted, None)
        before = [(index, leaf)]
    while key is not None:
        shown[key] = before
        key = next(wanted, None)
    if count != size:
        raise Misconfigured(f"there are {count} leaves, not {size}")
    return shown


def _roots(
    leaves: Iterable[bytes], wanted: Set[Range], size: int
) -> tuple[dict[Range, bytes], bytes]:
    """The roots of some subtrees, and of the whole, from one reading.

    A subtree is perfect, and then stands on the stack for a moment, or it ends with the tree, and
    then is made of the last of what is left there.
    """
    stack: list[tuple[int, bytes]] = []  # first leaf and root of each perfect subtree
    roots: dict[Range, bytes] = {}
    for index, leaf in enumerate(leaves):
        low, node, done = index, leaf_hash(leaf), index + 1
        if (low, done) in wanted:
            roots[low, done] = node
        while not done & (done - low):
            low, left = stack.pop()
            node = node_hash(left, node)
            if (low, done) in wanted:
                roots[low, done] = node
        stack.append((low, node))
    tail = b""
    for low, node in reversed(stack):
        tail = node_hash(node, tail) if tail else node
        roots[low, size] = tail
    return roots, tail or EMPTY_ROOT


def _in_order(leaves: Iterable[bytes]) -> Iterable[bytes]:
    last = b""
    for leaf in leaves:
        if leaf[:KEY_BYTES] <= last:
            raise NotProven("the leaves are not sorted by key, or a key stands twice")
        last = leaf[:KEY_BYTES]
        yield leaf
