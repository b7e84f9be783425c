# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Arithmetic: sums of small numbers whose result is one digit or one word."""

from bastide.suites.foundation.square import Square, squares

__all__ = ["ARITHMETIC"]

_SQUARES: tuple[Square, ...] = (
    (
        "add",
        "{}=",
        (
            ("2+1", "3"),
            ("2+3", "5"),
            ("5+2", "7"),
            ("4+5", "9"),
        ),
    ),
    (
        "sum",
        "{}=",
        (
            ("1+3", "4"),
            ("5+1", "6"),
            ("4+4", "8"),
            ("1+1", "2"),
        ),
    ),
    (
        "subtract",
        "{}=",
        (
            ("9-1", "8"),
            ("8-2", "6"),
            ("7-3", "4"),
            ("5-4", "1"),
        ),
    ),
    (
        "multiply",
        "{}=",
        (
            ("2*3", "6"),
            ("2*4", "8"),
            ("3*3", "9"),
            ("1*4", "4"),
        ),
    ),
    (
        "words",
        "{} is",
        (
            ("Two plus three", "five"),
            ("Three plus four", "seven"),
            ("Four plus four", "eight"),
            ("One plus one", "two"),
        ),
    ),
    (
        "halves",
        "Half of {} is",
        (
            ("ten", "five"),
            ("four", "two"),
            ("sixteen", "eight"),
            ("two", "one"),
        ),
    ),
)

ARITHMETIC = squares("arithmetic", _SQUARES)
