# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Slots and prefixes: nobody reuses what another asked, whatever becomes of requests; within a
tenant what begins alike meets again."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bastide.core.limits import PREFIX_BLOCK_CHARS, PREFIX_BLOCKS_MAX
from bastide.core.prefix import prefix_of, shared
from bastide.core.slots import Lease, Slots

SLOTS = 3
BLOCK = "x" * PREFIX_BLOCK_CHARS
TENANTS = (None, "a", "b", "c")


def blocks(text: str) -> str:
    """A prompt with one block for each letter."""
    return "".join(letter * PREFIX_BLOCK_CHARS for letter in text)


def use(slots: Slots, owner: str | None, text: str) -> Lease:
    lease = slots.take(owner, prefix_of(blocks(text)))
    slots.read(lease)
    slots.release(lease)
    return lease


class Engine(RuleBasedStateMachine):
    """An engine's slots as llama.cpp keeps them, and all that can become of a request.

    `held` is whose words are in a slot. A request that the engine refuses leaves them there, and
    one that is given up at the wrong moment may come into its slot at any time later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(SLOTS)
        self.held: list[set[str | None]] = [set() for _ in range(SLOTS)]
        self.leases: list[Lease] = []
        self.strays: list[Lease] = []

    def begins(self, lease: Lease) -> None:
        """The engine reads the prompt: it keeps what it may reuse, else it forgets all."""
        if not lease.reuse:
            self.held[lease.slot] = set()
        self.held[lease.slot].add(lease.owner)

    @precondition(lambda self: len(self.leases) < SLOTS)
    @rule(owner=st.sampled_from(TENANTS), text=st.text("pqr", max_size=4))
    def take(self, owner: str | None, text: str) -> None:
        lease = self.slots.take(owner, prefix_of(blocks(text)))
        assert lease.slot not in {other.slot for other in self.leases}
        if lease.reuse:
            assert owner is not None
            assert self.held[lease.slot] <= {owner}
        self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), end=st.sampled_from(("answered", "refused", "cut", "stray")))
    def end(self, data: st.DataObject, end: str) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        if end in ("answered", "cut"):
            self.begins(lease)
        if end == "answered":
            self.slots.read(lease)
        if end == "stray":
            self.strays.append(lease)
        self.slots.release(lease, sure=end != "stray")

    @precondition(lambda self: self.strays)
    @rule(data=st.data())
    def a_stray_comes_in(self, data: st.DataObject) -> None:
        lease = self.strays[data.draw(st.integers(0, len(self.strays) - 1))]
        if lease.slot not in {other.slot for other in self.leases}:
            self.begins(lease)

    @invariant()
    def a_slot_is_never_lost(self) -> None:
        assert sum(row.free for row in self.slots._rows) == SLOTS - len(self.leases)


Engine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestEngine = Engine.TestCase


uses = st.lists(st.tuples(st.sampled_from(TENANTS), st.text("pqr", max_size=4)), max_size=20)


@pytest.mark.attacks("C91")
@given(history=uses, owner=st.sampled_from(TENANTS), text=st.text("pqr", max_size=4))
def test_what_others_asked_changes_no_choice(history, owner, text):
    """Same times and same tenants, other words: the asker gets the same slot, just as warm."""
    slots = Slots(SLOTS)
    for other, words in history:
        use(slots, other, words)
    secret = copy.deepcopy(slots)
    for row in secret._rows:
        if row.owner != owner:
            row.prefix = prefix_of(blocks(text))  # as if they had asked just this
    wanted = prefix_of(blocks(text))
    assert slots.take(owner, wanted) == secret.take(owner, wanted)


@given(history=uses, text=st.text("pqr", min_size=1, max_size=4))
def test_the_same_beginning_meets_the_same_slot_while_it_is_free(history, text):
    slots = Slots(SLOTS)
    for owner, words in history:
        use(slots, owner, words)
    first = use(slots, "new", text)
    assert not first.reuse
    again = use(slots, "new", text + "z")
    assert (again.slot, again.reuse) == (first.slot, True)
    other = use(slots, "newer", text)
    assert not other.reuse


def test_the_longest_common_beginning_wins_and_a_long_slot_is_not_spent_on_a_short_one():
    slots = Slots(3)
    short, long = use(slots, "a", "pq"), use(slots, "a", "xyzxyz")
    assert use(slots, "a", "xyzxyzr").slot == long.slot
    assert use(slots, "a", "pqr").slot == short.slot
    # Two blocks of seven are not worth the other five.
    assert use(slots, "a", "xyp").slot not in (short.slot, long.slot)


def test_a_busy_slot_is_passed_over():
    slots = Slots(2)
    first = slots.take("a", prefix_of(blocks("pq")))
    slots.read(first)
    second = slots.take("a", prefix_of(blocks("pq")))
    assert second.slot != first.slot and not second.reuse


def test_slots_that_nobody_owns_go_first_then_the_one_not_used_for_longest():
    slots = Slots(3)
    assert [use(slots, owner, "p").slot for owner in ("a", "b", "c")] == [0, 1, 2]
    use(slots, "a", "p")
    assert use(slots, "d", "p").slot == 1
    refused = slots.take("e")
    assert refused.slot == 2
    slots.release(refused)
    assert use(slots, "f", "p").slot == 2


def test_a_refused_request_does_not_own_its_slot():
    """The engine keeps what the slot held: whoever asks next must not meet it."""
    slots = Slots(1)
    use(slots, "a", "pq")
    refused = slots.take("b", prefix_of(blocks("pq")))
    slots.release(refused)
    assert not refused.reuse
    assert not slots.take("b", prefix_of(blocks("pq"))).reuse


def test_a_slot_into_which_a_request_may_yet_come_is_never_reused():
    slots = Slots(1)
    slots.release(slots.take("a"), sure=False)
    assert not any(use(slots, "a", "pq").reuse for _ in range(3))


@given(one=st.text("pqr"), other=st.text("pqr"), tail=st.text("s", max_size=70))
def test_prefixes_agree_as_far_as_the_texts_do(one, other, tail):
    common = 0
    while common < min(len(one), len(other)) and one[common] == other[common]:
        common += 1
    first, second = prefix_of(blocks(one)), prefix_of(blocks(other) + tail[:63])
    assert shared(first, second) == common
    assert len(first) == len(one)


def test_a_prefix_is_bounded_and_forgets_an_unfinished_block():
    assert prefix_of(BLOCK[:-1]) == ()
    assert len(prefix_of(BLOCK * (PREFIX_BLOCKS_MAX + 5))) == PREFIX_BLOCKS_MAX
