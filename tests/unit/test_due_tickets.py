# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The heap of what is due: the earliest deadline first, and no larger for those who left."""

from hypothesis import given
from hypothesis import strategies as st

from bastide.core.due_tickets import DueTickets
from bastide.core.ticket import State, Ticket

DEEDS = st.lists(st.tuples(st.sampled_from(["add", "leave", "begin"]), st.integers(0, 50)))


def due(deadline: float) -> Ticket:
    ticket = Ticket("acme", 0.0, 1.0, 1.0, 1.0)
    ticket.state, ticket.deadline = State.DUE, deadline
    return ticket


@given(DEEDS)
def test_the_first_is_the_earliest_of_those_that_wait(deeds: list[tuple[str, int]]) -> None:
    heap, waiting = DueTickets(), list[Ticket]()
    for deed, number in deeds:
        if deed == "add":
            waiting.append(due(number))
            heap.add(waiting[-1])
        elif deed == "leave" and waiting:
            waiting.pop(number % len(waiting)).state = State.ENDED
            heap.withdraw()
        elif deed == "begin" and (ticket := heap.first()) is not None:
            heap.begin()
            ticket.state = State.RUNNING
            waiting.remove(ticket)
        found = heap.first()
        # Who came earlier goes first where deadlines are the same.
        assert found is min(waiting, key=lambda ticket: ticket.deadline, default=None)


def test_who_asks_and_leaves_again_and_again_takes_no_memory() -> None:
    """Broken once to prove it: before, each stayed as long as one with an earlier deadline."""
    heap = DueTickets()
    heap.add(due(0.0))
    for _ in range(1_000):
        ticket = due(1.0)
        heap.add(ticket)
        ticket.state = State.ENDED
        heap.withdraw()
    assert len(heap) <= 130
