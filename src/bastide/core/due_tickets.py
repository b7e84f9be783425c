# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The requests whose promise is due, the earliest deadline first."""

import heapq
from typing import Final

from bastide.core.ticket import State, Ticket

__all__ = ["DueTickets"]

_WITHDRAWN_MIN: Final = 64  # that are taken out at once


class DueTickets:
    """A heap. One whose client left stays until it comes first, or until most are such."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Ticket]] = []
        self._numbers = 0  # who came earlier goes first where deadlines are the same
        self._withdrawn = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, ticket: Ticket) -> None:
        """It is due from now on, with its deadline."""
        self._numbers += 1
        heapq.heappush(self._heap, (ticket.deadline, self._numbers, ticket))

    def first(self) -> Ticket | None:
        """Whose deadline is next."""
        while self._heap and self._heap[0][2].state is not State.DUE:
            heapq.heappop(self._heap)
            self._withdrawn -= 1
        return self._heap[0][2] if self._heap else None

    def begin(self) -> None:
        """The first one begins: it leaves."""
        heapq.heappop(self._heap)

    def withdraw(self) -> None:
        """One has left: its state says so already."""
        self._withdrawn += 1
        if self._withdrawn > max(_WITHDRAWN_MIN, len(self._heap) // 2):
            self._heap = [row for row in self._heap if row[2].state is State.DUE]
            heapq.heapify(self._heap)
            self._withdrawn = 0
