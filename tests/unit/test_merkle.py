# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Laws of the Merkle tree, and agreement with pymerkle, another implementation of RFC 6962."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from bastide.core.errors import Misconfigured, NotProven
from bastide.crypto import merkle

LEAVES = [merkle.leaf_hash(b"leaf %d" % index) for index in range(300)]
sizes = st.integers(1, len(LEAVES))


def definition(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 defines it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return merkle.node_hash(definition(leaves[:split]), definition(leaves[split:]))


def flip(proof: list[bytes], where: int) -> list[bytes]:
    position, bit = divmod(where % (len(proof) * 256), 256)
    changed = bytearray(proof[position])
    changed[bit // 8] ^= 1 << bit % 8
    return [*proof[:position], bytes(changed), *proof[position + 1 :]]


@pytest.mark.parametrize("size", [*range(40), 255, 256, 257])
def test_root_is_the_definition(size):
    frontier = merkle.Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    assert frontier.size == size
    assert merkle.root(LEAVES[:size]) == frontier.root() == definition(LEAVES[:size])


def test_pymerkle_has_the_same_roots_and_proofs():
    tree = InmemoryTree(algorithm="sha256")
    for index in range(70):
        tree.append_entry(b"leaf %d" % index)
        assert tree.get_root() == merkle.root(LEAVES[: index + 1])
    for index in range(70):
        ours = merkle.inclusion_proof(LEAVES[:70], index)
        theirs = tree.prove_inclusion(index + 1, 70)
        assert [bytes.fromhex(value) for value in theirs.serialize()["path"]][1:] == ours


@given(size=sizes, data=st.data())
def test_inclusion(size, data):
    index = data.draw(st.integers(0, size - 1))
    root = merkle.root(LEAVES[:size])
    proof = merkle.inclusion_proof(LEAVES[:size], index)
    merkle.verify_inclusion(LEAVES[index], index, size, proof, root)

    wrong = data.draw(st.integers(0, len(LEAVES) - 1).filter(lambda other: other != index))
    with pytest.raises(NotProven):
        merkle.verify_inclusion(LEAVES[wrong], index, size, proof, root)
    with pytest.raises(NotProven):
        merkle.verify_inclusion(LEAVES[index], wrong, size, proof, root)
    with pytest.raises(NotProven):
        merkle.verify_inclusion(LEAVES[index], index, size, [*proof, LEAVES[0]], root)
    if proof:
        with pytest.raises(NotProven):
            merkle.verify_inclusion(LEAVES[index], index, size, proof[:-1], root)
        with pytest.raises(NotProven):
            changed = flip(proof, data.draw(st.integers(0)))
            merkle.verify_inclusion(LEAVES[index], index, size, changed, root)


@given(new=sizes, data=st.data())
def test_consistency(new, data):
    old = data.draw(st.integers(1, new))
    roots = merkle.root(LEAVES[:old]), merkle.root(LEAVES[:new])
    proof = merkle.consistency_proof(LEAVES, old, new)
    merkle.verify_consistency(old, new, *roots, proof)

    forged = merkle.root([*LEAVES[: old - 1], LEAVES[-1] if old < 300 else LEAVES[0]])
    with pytest.raises(NotProven):
        merkle.verify_consistency(old, new, forged, roots[1], proof)
    with pytest.raises(NotProven):
        merkle.verify_consistency(old, new, roots[0], forged, proof)
    with pytest.raises(NotProven):
        merkle.verify_consistency(old, new, *roots, [*proof, LEAVES[0]])
    if proof:
        with pytest.raises(NotProven):
            merkle.verify_consistency(old, new, *roots, proof[:-1])
        with pytest.raises(NotProven):
            merkle.verify_consistency(old, new, *roots, flip(proof, data.draw(st.integers(0))))


@given(size=sizes, data=st.data())
def test_subtrees(size, data):
    width = data.draw(st.integers(1, size))
    step = 1 << (width - 1).bit_length()
    start = data.draw(st.integers(0, (size - width) // step)) * step
    leaves = LEAVES[start : start + width]
    node, root = merkle.root(leaves), merkle.root(LEAVES[:size])
    place = (start, start + width)
    proof = merkle.subtree_consistency_proof(LEAVES[:size], *place)
    merkle.verify_subtree_consistency(*place, size, node, root, proof)
    with pytest.raises(NotProven):
        merkle.verify_subtree_consistency(*place, size, LEAVES[-1][::-1], root, proof)
    index = data.draw(st.integers(0, width - 1))
    inside = merkle.inclusion_proof(leaves, index)
    merkle.verify_subtree_inclusion(leaves[index], start + index, *place, inside, node)


@given(start=st.integers(0, 9), width=st.integers(0, 2**20), shift=st.integers(0, 20))
def test_perfect_subtrees_cover_the_range_without_overlap(start, width, shift):
    low = start << shift
    width %= (1 << shift) + 1
    position = low
    for height, index in merkle.perfect_subtrees(low, low + width):
        assert index << height == position
        position += 1 << height
    assert position == low + width


def test_a_frontier_takes_whole_subtrees():
    frontier = merkle.Frontier()
    frontier.append_subtree(merkle.root(LEAVES[:256]), 8)
    frontier.append_subtree(merkle.root(LEAVES[256:272]), 4)
    frontier.append(LEAVES[272])
    assert frontier.root() == merkle.root(LEAVES[:273])
    twin = frontier.copy()
    twin.append(LEAVES[273])
    assert (frontier.size, twin.size) == (273, 274)
    assert frontier.root() == merkle.root(LEAVES[:273])
    with pytest.raises(Misconfigured):
        frontier.append_subtree(LEAVES[0], 1)


@pytest.mark.parametrize("place", [(0, 0), (-1, 5), (5, 5)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(place):
    with pytest.raises(Misconfigured):
        merkle.inclusion_ranges(*place)


@pytest.mark.parametrize("place", [(0, 0, 5), (0, 6, 5), (1, 3, 8), (2, 5, 8)])
def test_there_is_no_consistency_proof_of_what_is_no_subtree(place):
    with pytest.raises(Misconfigured):
        merkle.consistency_ranges(*place)
