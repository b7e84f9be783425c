# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Squares: four statements that share four endings, each the right one exactly once.

A model that ignores the statement picks the same ending four times and scores one in four,
whatever it prefers; so the chance level of a square is 0.25 without calibration.
"""

from collections.abc import Iterable

from bastide.suites.suite import Item, Method

__all__ = ["Square", "squares"]

# The group's name, the statement with {} for its blank, and (blank, ending) four times.
Square = tuple[str, str, tuple[tuple[str, str], ...]]


def squares(benchmark: str, rows: Iterable[Square]) -> tuple[Item, ...]:
    """The items of a benchmark, four for each square."""
    return tuple(
        Item(
            ident=f"{benchmark}/{name}/{number}",
            benchmark=benchmark,
            method=Method.CHOICE,
            prompt=frame.format(blank),
            targets=(ending,),
            options=tuple(other for _, other in pairs),
        )
        for name, frame, pairs in rows
        for number, (blank, ending) in enumerate(pairs, start=1)
    )
