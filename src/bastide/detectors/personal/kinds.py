# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""KINDS: the kinds of personal data that rules find, and Rule, one written form of one of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["KINDS", "MODEL_KINDS", "Rule", "Span"]

KINDS: Final = (
    "email",
    "phone",
    "ip-address",
    "iban",
    "card",
    "national-id",
    "tax-number",
    "vat-number",
    "health-number",
    "id-card",
    "passport",
    "plate",
    "birth-date",
    "secret",
)

MODEL_KINDS: Final = ("name", "address")  # for which no rule is honest: a finder is asked


@dataclass(frozen=True, slots=True)
class Rule:
    """One written form of one state's number.

    shape: matched at the first character of the number. holds: the checksum, over the number
    without its separators (`plain`) or as written. words: those of which one must stand near, as
    a regular expression that both RE2 and Python read; "" if the form is enough.
    """

    kind: str
    state: str
    shape: re.Pattern[str]
    holds: Callable[[str], bool]
    words: str = ""
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """Something found: bytes from `start` to `end` of the UTF-8 text, and `value`, in the form in
    which two spellings of the same are equal. It holds the value in clear: never write one down.
    """

    start: int
    end: int
    kind: str
    state: str
    value: str

    def __repr__(self) -> str:
        # Where a debugger or an error would print it.
        return f"Span({self.start}, {self.end}, {self.kind!r}, {self.state!r})"
