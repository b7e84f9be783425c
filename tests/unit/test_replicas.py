# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which replica is asked: the same for one conversation, never by another tenant's words."""

import os
import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.chat import GenerateRequest, Message
from bastide.core.limits import REPLICA_PAUSE_S
from bastide.core.replicas import Replicas, affinity

SYSTEM = Message("system", "You are the assistant of the town hall. " * 50)


def chat(*texts: str, tenant: str = "acme") -> GenerateRequest:
    roles = ("user", "assistant")
    said = [Message(roles[number % 2], text) for number, text in enumerate(texts)]
    return GenerateRequest("id", "m", (SYSTEM, *said), tenant=tenant)


def plain(text: str, tenant: str = "acme") -> GenerateRequest:
    return GenerateRequest("id", "m", prompt=text, tenant=tenant)


def test_all_turns_of_a_conversation_have_one_affinity():
    first = affinity(chat("How do I register?"))
    assert affinity(chat("How do I register?", "At the desk.", "When?")) == first
    text = "Once upon a time there was a town with a wall, and a gate in it. " * 4
    assert affinity(plain(text)) == affinity(plain(text + "It had four towers."))


def test_conversations_under_one_system_prompt_are_spread():
    keys = {affinity(chat(f"Question {number}")) for number in range(100)}
    assert len(keys) == 100
    # A long document with different questions after it is one beginning.
    document = "Article 1. " * 200
    assert affinity(chat(document + "What is it?")) == affinity(chat(document + "Who wrote it?"))


@pytest.mark.attacks("C111")
@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_tenants_never_share_an_affinity(text, one, other):
    if one != other:
        assert affinity(chat(text, tenant=one)) != affinity(chat(text, tenant=other))
        assert affinity(plain(text, tenant=one)) != affinity(plain(text, tenant=other))


def test_where_one_tenant_goes_says_nothing_of_where_another_goes():
    """Same words, two tenants: they meet at a replica as often as chance has it."""
    routing = Replicas(4, 8)
    met = 0
    for number in range(4_000):
        text = f"Question {number}"
        one, other = (affinity(chat(text, tenant=tenant)) for tenant in ("acme", "globex"))
        met += routing.choose(0, "acme", one) == routing.choose(0, "globex", other)
    assert 0.22 < met / 4_000 < 0.28


def test_every_process_has_the_same_affinity():
    """`hash` would be salted: two gateways would send one conversation to two replicas."""
    code = (
        "from bastide.core.chat import GenerateRequest as G; from bastide.core.replicas import *;"
        "print(affinity(G('i', 'm', prompt='a town with a wall', tenant='acme')))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1] == f"{affinity(plain('a town with a wall'))}\n"


@pytest.mark.parametrize("count", [2, 3, 5, 8, 64])
def test_conversations_are_spread_evenly_and_few_move(count):
    chance = random.Random(1)
    keys = [chance.getrandbits(64) for _ in range(20_000)]
    before, after = Replicas(count, 1_000), Replicas(count + 1, 1_000)
    chosen = [before.choose(0, "a", key) for key in keys]
    counts = Counter(chosen)
    assert len(counts) == count
    mean = len(keys) / count
    assert max(counts.values()) < mean + 5 * mean**0.5
    assert min(counts.values()) > mean - 5 * mean**0.5
    moved = [
        (old, new)
        for key, old in zip(keys, chosen, strict=True)
        if (new := after.choose(0, "a", key)) != old
    ]
    assert all(new == count for _, new in moved), "only to the new one"
    assert len(moved) < 1.3 * len(keys) / (count + 1)


def test_a_hot_prompt_does_not_stand_in_line_beside_free_replicas():
    routing = Replicas(4, 8)
    for _ in range(16):
        routing.enter("a", routing.choose(0, "a", 42))
    assert max(routing.loads) == 5, "half of its slots, or 5/4 of the mean of four"
    for _ in range(400):
        routing.enter("a", routing.choose(0, "a", 42))
    assert max(routing.loads) <= 1.25 * 417 / 4 + 1


@given(st.integers(2, 9), st.integers(1, 33), st.lists(st.tuples(st.integers(0, 3), st.integers())))
def test_nobody_has_more_than_a_bound_and_the_books_close(count, slots, asks):
    routing = Replicas(count, slots)
    placed = []
    for tenant, key in asks:
        chosen = routing.choose(0, f"t{tenant}", key % 2**64)
        assert chosen is not None
        routing.enter(f"t{tenant}", chosen)
        placed.append((f"t{tenant}", chosen))
        assert max(routing.loads) <= max(slots, 1.25 * len(placed) / count + 1)
    for tenant, chosen in placed:
        routing.leave(tenant, chosen)
    assert set(routing.loads) == {0} and not routing._own


def test_one_tenant_s_load_moves_another_only_when_a_replica_is_full():
    routing = Replicas(2, 8)
    home = routing.choose(0, "b", 7)
    for _ in range(7):
        routing.enter("a", home)
    assert routing.choose(0, "b", 7) == home
    routing.enter("a", home)
    assert routing.choose(0, "b", 7) == 1 - home


def test_who_was_down_is_passed_over_for_a_pause_unless_all_were():
    routing = Replicas(3, 8)
    first = routing.choose(0.0, "a", 99)
    routing.fell(0.0, first)
    second = routing.choose(0.1, "a", 99)
    assert second != first == routing.choose(REPLICA_PAUSE_S + 0.1, "a", 99)
    for replica in range(3):
        routing.fell(10.0, replica)
    assert routing.choose(10.1, "a", 99) == first
    assert routing.choose(10.1, "a", 99, [first]) == second
    assert routing.choose(10.1, "a", 99, [0, 1, 2]) is None


def test_who_has_no_beginning_goes_to_the_least_loaded():
    routing = Replicas(3, 8)
    for _ in range(9):
        routing.enter("a", routing.choose(0, "a", None))
    assert routing.loads == (3, 3, 3)
    routing.leave("a", 1)
    assert routing.choose(0, "a", None) == 1


def test_each_gateway_takes_its_part_of_the_slots():
    routing = Replicas(2, 8, gateways=4)
    home = routing.choose(0, "a", 5)
    routing.enter("b", home)
    routing.enter("b", home)
    assert routing.choose(0, "a", 5) == 1 - home
