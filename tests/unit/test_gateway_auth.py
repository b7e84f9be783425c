# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures that were seen: equal calls of a moment are answered, late replays are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import NotProven
from bastide.core.limits import (
    SIGNATURE_REPEAT_S,
    SIGNATURE_SKEW_MAX_S,
    SIGNATURES_SEEN_MAX,
)
from bastide.gateway.auth import Seen


def signature(number: int) -> str:
    return f"{number:064x}"


def test_equal_calls_of_one_moment_are_taken_and_a_late_replay_is_not() -> None:
    seen = Seen()
    seen.take(signature(1), 100.0)
    seen.take(signature(1), 100.0 + SIGNATURE_REPEAT_S)
    seen.take(signature(2), 101.0 + SIGNATURE_REPEAT_S)
    for later in (SIGNATURE_REPEAT_S + 0.1, SIGNATURE_SKEW_MAX_S, 2 * SIGNATURE_SKEW_MAX_S):
        with pytest.raises(NotProven, match="already used"):
            seen.take(signature(1), 100.0 + later)


def test_a_repetition_does_not_make_the_time_longer() -> None:
    seen = Seen()
    for step in range(int(SIGNATURE_REPEAT_S) + 1):
        seen.take(signature(1), float(step))
    with pytest.raises(NotProven):
        seen.take(signature(1), SIGNATURE_REPEAT_S + 1)


def test_it_is_remembered_for_as_long_as_it_could_be_valid() -> None:
    # At most twice the skew: a clock that is ahead by it, and one that is behind.
    seen = Seen()
    seen.take(signature(1), 0.0)
    seen.take(signature(2), 2 * SIGNATURE_SKEW_MAX_S + 1)
    assert len(seen) == 1


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    seen = Seen()
    for number in range(SIGNATURES_SEEN_MAX + 10):
        seen.take(signature(number), number / 1_000)
    assert len(seen) == SIGNATURES_SEEN_MAX
    late = SIGNATURES_SEEN_MAX / 1_000 + SIGNATURE_REPEAT_S + 1
    with pytest.raises(NotProven):
        seen.take(signature(SIGNATURES_SEEN_MAX), late)
    seen.take(signature(0), late)  # the limit's comment says so


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100)), max_size=30))
def test_no_signature_is_taken_later_than_its_first_time_allows(
    steps: list[tuple[int, float]],
) -> None:
    seen, first, now = Seen(), {}, 0.0
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
