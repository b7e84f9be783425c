# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Reasoning: series that go on and analogies that hold."""

from bastide.suites.foundation.square import Square, squares

__all__ = ["REASONING"]

_SQUARES: tuple[Square, ...] = (
    (
        "days",
        "{},",
        (
            ("Monday, Tuesday", "Wednesday"),
            ("Wednesday, Thursday", "Friday"),
            ("Friday, Saturday", "Sunday"),
            ("Saturday, Sunday", "Monday"),
        ),
    ),
    (
        "months",
        "{},",
        (
            ("January, February", "March"),
            ("April, May", "June"),
            ("August, September", "October"),
            ("October, November", "December"),
        ),
    ),
    (
        "homes",
        "Bird is to nest as {} is to",
        (
            ("bee", "hive"),
            ("spider", "web"),
            ("dog", "kennel"),
            ("horse", "stable"),
        ),
    ),
    (
        "clothes",
        "Hand is to glove as {} is to",
        (
            ("foot", "shoe"),
            ("head", "hat"),
            ("neck", "tie"),
            ("finger", "ring"),
        ),
    ),
    (
        "kin",
        "Man is to woman as {} is to",
        (
            ("king", "queen"),
            ("boy", "girl"),
            ("father", "mother"),
            ("uncle", "aunt"),
        ),
    ),
    (
        "series",
        "{},",
        (
            ("2,4,6", "8"),
            ("1,2,3", "4"),
            ("9,8,7", "6"),
            ("1,3,5", "7"),
        ),
    ),
    (
        "trades",
        "Baker is to bread as {} is to",
        (
            ("poet", "poem"),
            ("tailor", "clothes"),
            ("farmer", "wheat"),
            ("judge", "law"),
        ),
    ),
)

REASONING = squares("reasoning", _SQUARES)
