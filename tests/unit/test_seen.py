# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures that were seen: equal calls of a moment are answered, late replays are not."""

import fcntl
import hashlib
import multiprocessing
import os
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.app.seen import Seen, make_table
from bastide.core.errors import NotProven, Unavailable
from bastide.core.limits import SIGNATURE_REPEAT_S, SIGNATURE_SKEW_MAX_S

_LATE = SIGNATURE_REPEAT_S + 0.1


def signature(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@contextmanager
def table(places: int = 64) -> Generator[Seen]:
    descriptor = make_table(7, places)
    try:
        yield Seen(descriptor)
    finally:
        os.close(descriptor)


def test_equal_calls_of_one_moment_are_taken_and_a_late_replay_is_not() -> None:
    with table() as seen:
        seen.take(signature(1), 100.0)
        seen.take(signature(1), 100.0 + SIGNATURE_REPEAT_S)
        seen.take(signature(2), 101.0 + SIGNATURE_REPEAT_S)
        for later in (_LATE, SIGNATURE_SKEW_MAX_S, 2 * SIGNATURE_SKEW_MAX_S):
            with pytest.raises(NotProven, match="already used"):
                seen.take(signature(1), 100.0 + later)


def test_a_repetition_does_not_make_the_time_longer() -> None:
    with table() as seen:
        for step in range(int(SIGNATURE_REPEAT_S) + 1):
            seen.take(signature(1), float(step))
        with pytest.raises(NotProven):
            seen.take(signature(1), SIGNATURE_REPEAT_S + 1)


def test_what_was_seen_is_known_to_every_worker_and_to_the_next_one() -> None:
    descriptor = make_table(7)
    first, second = os.dup(descriptor), os.dup(descriptor)
    known = Seen(second)
    Seen(first).take(signature(1), 100.0)
    os.close(first)
    for seen in (known, Seen(descriptor)):
        assert seen.born_ms == 7
        with pytest.raises(NotProven):
            seen.take(signature(1), 100.0 + _LATE)
    os.close(second)
    os.close(descriptor)


@pytest.mark.attacks("C254")
def test_a_full_table_refuses_what_is_new_and_forgets_nothing() -> None:
    with table(places=64) as seen:
        for number in range(64):
            seen.take(signature(number), 0.0)
        with pytest.raises(Unavailable, match="Too many signed requests"):
            seen.take(signature(64), 1.0)
        for number in range(64):
            with pytest.raises(NotProven):
                seen.take(signature(number), _LATE)
        # A place is free once the time of what stands there is over, and not before.
        with pytest.raises(Unavailable):
            seen.take(signature(64), 2 * SIGNATURE_SKEW_MAX_S)
        seen.take(signature(64), 2 * SIGNATURE_SKEW_MAX_S + 1)
        with pytest.raises(NotProven):
            seen.take(signature(64), 2 * SIGNATURE_SKEW_MAX_S + 1 + _LATE)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100)), max_size=30))
def test_no_signature_is_taken_later_than_its_first_time_allows(
    steps: list[tuple[int, float]],
) -> None:
    first, now = {}, 0.0
    with table() as seen:
        for number, wait in steps:
            now += wait
            began = first.get(number, now)
            if now - began > 2 * SIGNATURE_SKEW_MAX_S:
                began = now  # forgotten: its own time has passed by then
            first[number] = began
            late = now - began > SIGNATURE_REPEAT_S
            try:
                seen.take(signature(number), now)
            except NotProven:
                assert late
            else:
                assert not late


def _hold(descriptor: int, held: Event, free: Event) -> None:
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    held.set()
    free.wait(60)


def _take(descriptor: int, taken: Event) -> None:
    Seen(descriptor).take(signature(1), 1.0)
    taken.set()


def test_one_worker_at_a_time_looks_for_a_place_and_a_killed_one_holds_nobody_up() -> None:
    """Else two find the same place free, and what one has seen is overwritten."""
    context = multiprocessing.get_context("fork")
    descriptor = make_table(7, 64)
    held, free, taken = context.Event(), context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(descriptor, held, free))
    taker = context.Process(target=_take, args=(descriptor, taken))
    holder.start()
    assert held.wait(60)
    taker.start()
    assert not taken.wait(0.5)
    holder.kill()
    assert taken.wait(60)
    taker.join(60)
    seen = Seen(descriptor)
    with pytest.raises(NotProven):
        seen.take(signature(1), 1.0 + _LATE)
    os.close(descriptor)
