# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Money, in whole numbers only: no amount is ever a float.

A price is micro-euros (10^-6 EUR) for a million tokens. So a token costs as many pico-euros
(10^-12 EUR) as its price says, and the cost of any number of tokens is a whole number of them.
"""

import re
from dataclasses import dataclass

from bastide.core.chat import Usage
from bastide.core.errors import Misconfigured
from bastide.core.limits import PRICE_MICROEUR_MAX

__all__ = ["PICO_PER_EUR", "PICO_PER_MICRO", "Price", "euros", "micro_euros"]

PICO_PER_MICRO = 10**6
PICO_PER_EUR = 10**12
_AMOUNT = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of a model cost, in micro-euros. `cached` are of the prompt."""

    input: int
    output: int
    cached: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= PRICE_MICROEUR_MAX:
                most = PRICE_MICROEUR_MAX // 10**6
                raise Misconfigured(f"the price of {name} tokens is over {most} EUR a million")

    def cost(self, usage: Usage) -> int:
        """What some tokens cost, in pico-euros."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        fresh = usage.prompt_tokens - cached
        return fresh * self.input + cached * self.cached + usage.completion_tokens * self.output


def micro_euros(text: str) -> int:
    """Read an amount such as ``0.15``, exactly. Raises Misconfigured."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise Misconfigured(
            f"{text!r} is no amount of EUR", fix="digits, and at most six after a point: 12.50"
        )
    return int(found[1]) * 10**6 + int((found[2] or "").ljust(6, "0"))


def euros(pico: int) -> str:
    """An amount of pico-euros in EUR, exactly, with at least two decimals."""
    whole, rest = divmod(abs(pico), PICO_PER_EUR)
    decimals = f"{rest:012}".rstrip("0").ljust(2, "0")
    return f"{'-' if pico < 0 else ''}{whole}.{decimals}"
