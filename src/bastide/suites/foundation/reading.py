# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: CC0-1.0
"""Reading: the ending stands in the text before it."""

from bastide.suites.foundation.square import Square, squares

__all__ = ["READING"]

_SQUARES: tuple[Square, ...] = (
    (
        "towns",
        "Anna lives in Rome, Ben in Oslo, Carl in Lima and Dora in Bonn. The one in {} is",
        (
            ("Rome", "Anna"),
            ("Oslo", "Ben"),
            ("Lima", "Carl"),
            ("Bonn", "Dora"),
        ),
    ),
    (
        "table",
        "The cup is red, the plate blue, the bowl green, the spoon white. The {} thing is the",
        (
            ("red", "cup"),
            ("blue", "plate"),
            ("green", "bowl"),
            ("white", "spoon"),
        ),
    ),
    (
        "meals",
        "Mia ate soup, Tom ate rice, Ida ate fish and Leo ate cake. {} ate",
        (
            ("Mia", "soup"),
            ("Tom", "rice"),
            ("Ida", "fish"),
            ("Leo", "cake"),
        ),
    ),
)

READING = squares("reading", _SQUARES)
