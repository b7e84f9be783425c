# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ids of requests and receipts: 48 bits of time and 80 of chance, in 26 characters."""

from hypothesis import given
from hypothesis import strategies as st

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.core.standing import Cut
from bastide.gateway.idents import Idents

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Chance:
    """Gives bytes that a test has chosen, again and again."""

    def __init__(self, given: bytes) -> None:
        self._given = given

    def token(self, size: int) -> bytes:
        return (self._given * size)[:size]


class Clock(FixedClock):
    def __init__(self, now: int) -> None:
        super().__init__()
        self.now = now

    def now_ms(self) -> int:
        return self.now


def number_of(ident: str) -> int:
    number = 0
    for sign in ident:
        number = number << 5 | CROCKFORD.index(sign)
    return number


@given(now=st.integers(0, 2**48 - 1), chance=st.binary(min_size=17, max_size=17))
def test_an_id_is_its_time_and_chance(now: int, chance: bytes) -> None:
    ident = Idents(Clock(now), Chance(chance)).new()
    assert len(ident) == 26
    number = number_of(ident)
    assert number & 3 == 0  # 130 bits, of which 128 are used
    assert number >> 82 == now
    bits = chance[0] & 3
    for byte in chance[1:16]:
        bits = bits << 5 | byte & 31
    assert number >> 2 & (1 << 80) - 1 == bits << 3 | chance[16] & 7


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=30))
def test_ids_sort_by_time_whatever_the_clock_does(times: list[int]) -> None:
    clock = Clock(0)
    idents = Idents(clock, SeededEntropy(b"ids"))
    made = []
    for now in times:
        clock.now = now
        made.append((now, idents.new()))
    by_ident = sorted(made, key=lambda row: row[1])
    assert [now for now, _ in by_ident] == sorted(times)


def test_every_bit_of_chance_is_used_and_none_comes_twice() -> None:
    idents = Idents(Clock(1), SeededEntropy(b"many"))
    made = [idents.new() for _ in range(2_000)]
    assert len(set(made)) == len(made)
    every, none = 0, (1 << 130) - 1
    for ident in made:
        every |= number_of(ident)
        none &= number_of(ident)
    chance = (1 << 82) - 4
    assert every & chance == chance
    assert none & chance == 0


def test_a_receipt_may_have_such_an_id() -> None:
    ident = "r_" + Idents(Clock(1_700_000_000_000), SeededEntropy(b"one")).new()
    commitment = "hmac-sha256:" + "0" * 64
    Cut(ident, "k", "m", commitment, commitment, 1).verify_form()
