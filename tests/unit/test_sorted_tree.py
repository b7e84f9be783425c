# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A key is proven to be in a sorted tree or not to be; a changed proof does not hold."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured, NotProven
from bastide.crypto.merkle import EMPTY_ROOT
from bastide.crypto.sorted_tree import prove, sorted_root, verify_absent, verify_present


def key_of(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def leaves_of(count: int) -> list[bytes]:
    return sorted(key_of(number) + key_of(-number - 1) for number in range(count))


@given(st.integers(0, 40), st.integers(0, 60))
def test_present_or_absent_and_never_both(count: int, number: int) -> None:
    leaves = leaves_of(count)
    root, size = sorted_root(leaves)
    key = key_of(number)
    proof = prove(key, leaves, size)
    leaf = key + key_of(-number - 1)
    if number < count:
        verify_present(proof, leaf, root)
        with pytest.raises(NotProven):
            verify_absent(proof, key, root)
    else:
        verify_absent(proof, key, root)
        with pytest.raises(NotProven):
            verify_present(proof, leaf, root)


def test_an_empty_tree_holds_nothing() -> None:
    proof = prove(key_of(1), [], 0)
    verify_absent(proof, key_of(1), EMPTY_ROOT)
    with pytest.raises(NotProven):
        verify_absent(proof, key_of(1), key_of(2))


@pytest.mark.parametrize(
    "change",
    [
        {"leaves": []},
        {"key": key_of(2).hex()},
        {"size": 9},
        "first",
        "second",
        "skipped",
        "not hexadecimal",
    ],
    ids=str,
)
def test_a_changed_proof_of_absence_does_not_hold(change: Any) -> None:
    leaves = leaves_of(8)
    root, size = sorted_root(leaves)
    key = next(key_of(at) for at in range(100, 999) if leaves[2] < key_of(at) < leaves[3])
    proof = prove(key, leaves, size)
    verify_absent(proof, key, root)
    low, high = proof.leaves
    shown = {
        "first": [low],
        "second": [high],
        "skipped": [low, prove(leaves[4][:32], leaves, size).leaves[0]],
        "not hexadecimal": [msgspec.structs.replace(low, leaf="x"), high],
    }
    fields = {"leaves": shown[change]} if isinstance(change, str) else change
    with pytest.raises(NotProven):
        verify_absent(msgspec.structs.replace(proof, **fields), key, root)


def test_a_neighbour_at_an_end_encloses_only_beyond_it() -> None:
    leaves = leaves_of(5)
    root, size = sorted_root(leaves)
    below = prove(bytes(32), leaves, size)
    verify_absent(below, bytes(32), root)
    above = prove(b"\xff" * 32, leaves, size)
    verify_absent(above, b"\xff" * 32, root)
    moved = msgspec.structs.replace(above, key=bytes(32).hex())
    with pytest.raises(NotProven, match="enclose"):
        verify_absent(moved, bytes(32), root)


@pytest.mark.parametrize("wrong", [lambda rows: rows[::-1], lambda rows: [rows[0], *rows]])
def test_unsorted_or_doubled_leaves_make_no_tree(wrong: Any) -> None:
    with pytest.raises(NotProven, match="not sorted"):
        sorted_root(wrong(leaves_of(4)))


def test_a_proof_over_other_leaves_than_there_are() -> None:
    with pytest.raises(Misconfigured, match="there are 4 leaves, not 5"):
        prove(key_of(1), leaves_of(4), 5)
