# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""RFC 6962 Merkle trees over SHA-256: hashes, proofs, and the verifiers of proofs.

This module follows RFC 6962 section 2.1 (verifiers: RFC 9162 section 2.1.3.2 and 2.1.4.2), and
for subtrees draft-ietf-plants-merkle-tree-certs section 4. Proofs are therefore compatible with
Certificate Transparency and with C2SP tlog-tiles; tests/vectors/merkle proves it.

Provers come in two forms: over all leaf hashes in memory (`inclusion_proof`), or as the ranges
of leaves whose roots make up the proof (`inclusion_ranges`), for a store that reads those roots.
"""

import hashlib
from collections.abc import Sequence

from bastide.core.errors import Misconfigured, NotProven

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "consistency_proof",
    "consistency_ranges",
    "inclusion_proof",
    "inclusion_ranges",
    "leaf_hash",
    "node_hash",
    "perfect_subtrees",
    "root",
    "subtree_consistency_proof",
    "verify_consistency",
    "verify_inclusion",
    "verify_subtree_consistency",
    "verify_subtree_inclusion",
]

HASH_BYTES = 32
_SHA256 = hashlib.sha256  # the loop over a whole tree calls it directly
EMPTY_ROOT = hashlib.sha256().digest()

Range = tuple[int, int]  # leaves from the first number up to, not including, the second


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf: ``SHA-256(0x00 || data)``."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node: ``SHA-256(0x01 || left || right)``."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash (MTH) of a list of leaf hashes."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        odd = level[len(level) & ~1 :]
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [_SHA256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]


class Frontier:
    """The right edge of a growing tree: the roots of its perfect subtrees, largest first.

    Appending costs one or two hashes; the tree itself is not kept.
    """

    __slots__ = ("_size", "_stack")

    def __init__(self) -> None:
        self._size = 0
        self._stack: list[bytes] = []

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.append_subtree(leaf, 0)

    def append_subtree(self, node: bytes, height: int) -> None:
        """Add the root of a perfect subtree of ``2**height`` leaves.

        Raises Misconfigured if the tree does not end where such a subtree may begin.
        """
        order = self._size >> height
        if order << height != self._size:
            raise Misconfigured(f"a subtree of height {height} cannot start at {self._size}")
        stack = self._stack
        while order & 1:
            node = node_hash(stack.pop(), node)
            order >>= 1
        stack.append(node)
        self._size += 1 << height

    def root(self, tail: bytes | None = None) -> bytes:
        """The root of the whole tree; `tail` is the root of leaves that follow its last one."""
        lefts = self._stack.copy()
        if tail is None:
            tail = lefts.pop() if lefts else EMPTY_ROOT
        while lefts:
            tail = node_hash(lefts.pop(), tail)
        return tail

    def copy(self) -> "Frontier":
        """An independent frontier of the same tree."""
        twin = Frontier()
        twin._size, twin._stack = self._size, self._stack.copy()
        return twin


# Provers


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees whose roots are the inclusion proof (RFC 6962 2.1.1), in its order.

    Raises Misconfigured if there is no such leaf.
    """
    if not 0 <= index < size:
        raise Misconfigured(f"there is no entry {index} in a tree of {size}")
    ranges: list[Range] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def consistency_ranges(start: int, end: int, size: int) -> list[Range]:
    """The subtrees whose roots prove that ``[start, end)`` is part of a tree of `size`.

    With ``start`` 0 this is RFC 6962 section 2.1.2. Raises Misconfigured if ``[start, end)`` is
    empty, is no subtree, or ends after the tree.
    """
    if not (0 <= start < end <= size and _is_subtree(start, end)):
        raise Misconfigured(f"[{start}, {end}) is no subtree of a tree of {size}")
    ranges: list[Range] = []
    low, high, known = 0, size, True
    while (low, high) != (start, end):
        middle = low + _split(high - low)
        if end <= middle:
            ranges.append((middle, high))
            high = middle
        elif middle <= start:
            ranges.append((low, middle))
            low = middle
        else:  # The subtree is cut here; what the verifier knows is only its whole.
            ranges.append((low, middle))
            low = start = middle
            known = False
    if not known:
        ranges.append((low, high))
    return ranges[::-1]


def perfect_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Cut a subtree into perfect ones: (height, index at that height), largest first."""
    pieces = []
    while start < end:
        height = (end - start).bit_length() - 1
        pieces.append((height, start >> height))
        start += 1 << height
    return pieces


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Prove that the leaf at `index` is in the tree. Raises Misconfigured if there is none."""
    ranges = inclusion_ranges(index, len(leaf_hashes))
    return [root(leaf_hashes[low:high]) for low, high in ranges]


def consistency_proof(leaf_hashes: Sequence[bytes], old: int, new: int) -> list[bytes]:
    """Prove that the tree of the first `old` leaves is a prefix of that of the first `new`.

    Raises Misconfigured unless ``1 <= old <= new <= len(leaf_hashes)``.
    """
    if new > len(leaf_hashes):
        raise Misconfigured(f"there are only {len(leaf_hashes)} leaves, not {new}")
    return subtree_consistency_proof(leaf_hashes[:new], 0, old)


def subtree_consistency_proof(leaf_hashes: Sequence[bytes], start: int, end: int) -> list[bytes]:
    """Prove that the subtree ``[start, end)`` is part of the tree. Raises Misconfigured."""
    ranges = consistency_ranges(start, end, len(leaf_hashes))
    return [root(leaf_hashes[low:high]) for low, high in ranges]


# Verifiers


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf hash `leaf` stands at `index` in the tree of `size` with this root.

    Raises NotProven, saying which step failed.
    """
    # 1. The index lies inside the tree, and every value is a hash.
    if not 0 <= index < size:
        raise NotProven(f"inclusion: there is no entry {index} in a tree of {size}")
    if any(len(value) != HASH_BYTES for value in (leaf, root, *proof)):
        raise NotProven("inclusion: a value is not a SHA-256 hash")
    # 2. Climb from the leaf. Where the path is the right child, or a right edge that was
    #    promoted, the proof's hash stands on the left.
    node, last = leaf, size - 1
    for value in proof:
        if last == 0:
            raise NotProven("inclusion: the proof is too long")
        if index & 1 or index == last:
            node = node_hash(value, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, value)
        index, last = index >> 1, last >> 1
    # 3. The climb ended at the root, and it is the expected one.
    if last != 0:
        raise NotProven("inclusion: the proof is too short")
    if node != root:
        raise NotProven("inclusion: the proof leads to another root")


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of size `old` is a prefix of the tree of size `new`.

    Raises NotProven. A proof from an empty tree is refused: it would prove nothing.
    """
    if old < 1:
        raise NotProven("consistency: an empty tree proves nothing")
    verify_subtree_consistency(0, old, new, old_root, new_root, proof)


def verify_subtree_inclusion(
    leaf: bytes, index: int, start: int, end: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that `leaf` stands at `index` in the subtree ``[start, end)``. Raises NotProven."""
    if not (0 <= start < end and _is_subtree(start, end)):
        raise NotProven(f"inclusion: [{start}, {end}) is no subtree")
    verify_inclusion(leaf, index - start, end - start, proof, root)


def verify_subtree_consistency(
    start: int, end: int, size: int, node: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the subtree ``[start, end)`` with root `node` is part of the tree of `size`.

    An empty subtree is part of every tree, if `node` is the empty root. Raises NotProven.
    """
    # 1. The range is a subtree of the tree; the trivial cases end here.
    if not (0 <= start <= end <= size and _is_subtree(start, end)):
        raise NotProven(f"consistency: [{start}, {end}) is no subtree of a tree of {size}")
    if start == end or (start, end) == (0, size):
        expected = EMPTY_ROOT if start == end else root
        if proof or node != expected:
            raise NotProven("consistency: the trees have one size but not one root")
        return
    if any(len(value) != HASH_BYTES for value in (node, root, *proof)):
        raise NotProven("consistency: a value is not a SHA-256 hash")
    # 2. Find the largest perfect subtree at the right end of the range: the common start.
    first, last, tree = start, end - 1, size - 1
    while first != last and (last == tree or last & 1):
        first, last, tree = first >> 1, last >> 1, tree >> 1
    if first == last:
        common, rest = node, proof
    elif proof:
        common, rest = proof[0], proof[1:]
    else:
        raise NotProven("consistency: the proof is too short")
    # 3. Climb from there, rebuilding the subtree's root and the tree's root side by side.
    seen, whole = _climb(first, last, tree, common, rest)
    # 4. Both are the expected ones.
    if seen != node:
        raise NotProven("consistency: the proof leads to another old root")
    if whole != root:
        raise NotProven("consistency: the proof leads to another new root")


def _climb(
    first: int, last: int, tree: int, common: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    seen = whole = common
    for value in proof:
        if tree == 0:
            raise NotProven("consistency: the proof is too long")
        if last & 1 or last == tree:
            if first < last:
                seen = node_hash(value, seen)
            whole = node_hash(value, whole)
            while not last & 1 and last:
                first, last, tree = first >> 1, last >> 1, tree >> 1
        else:
            whole = node_hash(whole, value)
        first, last, tree = first >> 1, last >> 1, tree >> 1
    if tree != 0:
        raise NotProven("consistency: the proof is too short")
    return seen, whole


def _split(size: int) -> int:
    """The largest power of two that is smaller than `size` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _is_subtree(start: int, end: int) -> bool:
    """True if `start` is a multiple of the size, rounded up to a power of two."""
    return start == end or start % (1 << (end - start - 1).bit_length()) == 0
