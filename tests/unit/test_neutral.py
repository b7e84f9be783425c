# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What pseudonyms hide decides nothing: neither does the key that made them.

Broken once to prove the tests: with signatures of the texts as they are, with an order by digests
alone, and with the keys of masked names, they fail.
"""

import hashlib
from itertools import pairwise

from bastide.core.dataset import document_key
from bastide.core.document import Document
from bastide.filters.near_duplicate import NearDuplicate
from bastide.filters.neutral import neutral, neutral_order, order_key
from bastide.filters.pseudonym import pseudonym

KEYS = (bytes(32), bytes(range(32)))
VALUES = ("anna@example.fi", "bert@example.be", "cleo@example.gr")


def letter(key: bytes, value: str) -> str:
    return f"Write to {pseudonym(key, 'email', value)} or {pseudonym(key, 'aws-key', value)}."


def test_each_kind_has_one_mark_whatever_the_key() -> None:
    assert {neutral(letter(key, value)) for key in KEYS for value in VALUES} == {
        "Write to <EMAIL> or <AWS-KEY>."
    }


def test_what_only_looks_like_a_pseudonym_stays() -> None:
    for text in ("a < b", "<EMAIL>", "<EMAIL:short>", "<email:bcdfghjklmnpqrst>", "<A:" + "b" * 17):
        assert neutral(text) == text


def test_signatures_do_not_depend_on_the_key() -> None:
    near = NearDuplicate()
    first, second = (near.signature(letter(key, VALUES[0])) for key in KEYS)
    assert first == second != b""
    assert first != near.signature("Write to the harbour or the lighthouse.")


def ordered(text: str) -> bytes:
    return neutral_order(text, hashlib.sha256(text.encode()).digest())


def test_equal_texts_and_no_others_have_one_order() -> None:
    texts = [letter(KEYS[0], value) for value in VALUES] + ["plain", "Write to <EMAIL>."]
    assert len({ordered(text) for text in texts}) == len(texts)
    assert ordered("plain") == hashlib.sha256(b"plain").digest()[:16]


def test_texts_stand_in_one_order_under_any_key() -> None:
    """What differs in pseudonyms alone may change places, nothing else may."""
    orders = []
    for key in KEYS:
        texts = {f"{n} {letter(key, v)}": n for n in range(40) for v in VALUES}
        found = [texts[text] for text in sorted(texts, key=ordered)]
        orders.append(found)
        assert sum(one != other for one, other in pairwise(found)) == 39
    assert orders[0] == orders[1]


def test_a_masked_name_is_ordered_by_what_is_neutral() -> None:
    def order(key: bytes, value: str, text: str) -> bytes:
        one = Document(ident=pseudonym(key, "id", value), text=text, source="s")
        return order_key(one, document_key("s", one.ident))

    first, second = (order(key, VALUES[0], letter(key, VALUES[1])) for key in KEYS)
    assert first == second
    assert first != order(KEYS[0], VALUES[0], "another text")


def test_a_plain_name_is_ordered_by_its_key() -> None:
    one = Document(ident="a", text=letter(KEYS[0], VALUES[0]), source="s")
    assert order_key(one, document_key("s", "a")) == document_key("s", "a")
