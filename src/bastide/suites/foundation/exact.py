# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Exact: short answers, generated greedily after one example; the first line must be right."""

from bastide.suites.suite import Item, Method

__all__ = ["EXACT"]

_FRAME = "Q: Color of grass?\nA: green\nQ: {}\nA:"
_ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Color of snow?", ("white",)),
    ("Capital of Japan?", ("Tokyo",)),
    ("Opposite of up?", ("down",)),
    ("Opposite of wet?", ("dry",)),
    ("Day after Monday?", ("Tuesday",)),
    ("Past tense of go?", ("went",)),
    ("Young of a cat?", ("kitten", "a kitten", "kittens")),
    ("Author of Hamlet?", ("Shakespeare", "William Shakespeare")),
    ("Hours in a day?", ("24", "twenty-four", "24 hours")),
    ("Days in a week?", ("7", "seven", "7 days")),
    ("Sides of a triangle?", ("3", "three", "3 sides")),
    ("What is 2+2?", ("4", "four")),
)

EXACT = tuple(
    Item(
        ident=f"exact/short/{number}",
        benchmark="exact",
        method=Method.EXACT,
        prompt=_FRAME.format(question),
        targets=targets,
        tokens_max=5,
    )
    for number, (question, targets) in enumerate(_ROWS, start=1)
)
