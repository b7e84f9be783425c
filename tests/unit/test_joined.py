# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Joined pieces say what the pieces said, in their order, and not too late."""

from hypothesis import given
from hypothesis import strategies as st

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.joined import Joined
from bastide.core.chat import CallPart, Delta, FinishReason, Hearing, Usage
from bastide.core.limits import WHOLE_FLUSH_S

FLUSH_MS = int(WHOLE_FLUSH_S * 1_000)
pieces = st.lists(st.text(max_size=5) | st.just(None), max_size=30)


def heard(deltas):
    hearing = Hearing()
    for delta in deltas:
        hearing.hear(delta)
    return hearing.said()


@given(pieces, st.lists(st.integers(0, 2 * FLUSH_MS), min_size=31, max_size=31))
def test_nothing_is_lost_and_counts_stay_true(texts, waits):
    clock = FixedClock()
    joined, given_out, taken, calls = Joined(clock), [], [], 0
    for number, text in enumerate(texts):
        clock.advance(waits[number])
        call = None
        if text is None:
            call, calls = CallPart(calls, f"c{calls}", "tool", "{}"), calls + 1
        taken.append(Delta(text or "", usage=Usage(3, number + 1), call=call))
        given_out += joined.take(taken[-1])
    taken.append(Delta("!", FinishReason.STOP, Usage(3, len(texts) + 1)))
    given_out += joined.take(taken[-1])
    assert heard(given_out) == heard(taken)
    assert (given_out[-1].finish, given_out[-1].usage) == (FinishReason.STOP, taken[-1].usage)
    assert all(delta.finish is None for delta in given_out[:-1])


def test_pieces_wait_for_each_other_but_not_for_long():
    clock = FixedClock()
    joined = Joined(clock)
    assert joined.take(Delta("a", usage=Usage(1, 1))) == []
    assert joined.take(Delta("b", usage=Usage(1, 2))) == []
    clock.advance(FLUSH_MS + 1)
    assert joined.take(Delta("c", usage=Usage(1, 3))) == [Delta("abc", usage=Usage(1, 3))]
    assert joined.take(Delta("d")) == []
