# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Billing: which receipts count, and that nothing is counted twice or lost."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bastide.core.billing import Accounts, Biller
from bastide.core.budget import Budget, Per, Scope, Unit, period
from bastide.core.chat import Usage
from bastide.core.errors import Misconfigured
from bastide.core.limits import RETRY_MS
from bastide.core.money import Price, euros, micro_euros
from bastide.core.receipt import Receipt

NOW_MS = 1_800_000_000_000
DAY = Budget(Scope("acme"), Unit.TOKENS, Per.DAY, 10**9, 80)
BLANK = Receipt(
    "r_1", NOW_MS, "acme", "k_1", "m", "r", "d", "p", "n", "s", "c", "c", 10, 5, "stop",
    fingerprint="f", cost_picoeur=7,
)  # fmt: skip


def billed(*receipts: Receipt) -> int:
    accounts = Accounts()
    for receipt in receipts:
        accounts.take(receipt)
    (spent,) = accounts.spent([DAY], NOW_MS)
    return spent.used


def failed(**changes: object) -> Receipt:
    return replace(BLANK, finish="error", **changes)


def test_an_answer_counts_its_tokens() -> None:
    assert billed(BLANK, BLANK) == 30


def test_a_failure_of_which_nothing_was_sent_counts_nothing() -> None:
    assert billed(failed(delivered=False)) == 0
    assert billed(failed(delivered=True)) == 15


def test_a_client_that_left_pays_for_what_was_made() -> None:
    assert billed(replace(BLANK, finish="cancelled", completion_tokens=2)) == 12


def test_a_retry_takes_the_place_of_the_attempt_that_failed() -> None:
    retry = replace(BLANK, retry=True, completion_tokens=8)
    assert billed(failed(), retry) == 18
    assert billed(failed(), replace(retry, fingerprint="other")) == 15 + 18
    assert billed(failed(), replace(retry, key="k_2")) == 15 + 18
    assert billed(failed(), replace(retry, time_ms=NOW_MS + RETRY_MS + 1)) == 15 + 18


def test_a_retry_replaces_only_one_attempt_and_only_once() -> None:
    retry = replace(BLANK, retry=True)
    assert billed(failed(), failed(), retry) == 30
    assert billed(failed(), retry, retry) == 30


def test_an_answer_that_was_sent_counts_even_if_it_is_asked_for_again() -> None:
    assert billed(BLANK, replace(BLANK, retry=True)) == 30


rows = st.builds(
    lambda key, finish, sent, retry, print_, tokens: replace(
        BLANK, key=key, finish=finish, delivered=sent, retry=retry, fingerprint=print_,
        prompt_tokens=tokens,
    ),
    st.sampled_from(["k_1", "k_2"]),
    st.sampled_from(["stop", "error", "cancelled"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "f", "g"]),
    st.integers(0, 50),
)  # fmt: skip


@given(st.lists(rows, max_size=40))
def test_what_counts_is_never_negative_and_never_more_than_was_made(receipts) -> None:
    made = sum(row.prompt_tokens + row.completion_tokens for row in receipts)
    assert 0 <= billed(*receipts) <= made
    biller = Biller()
    bills = [biller.take(row) for row in receipts]
    credited = [bill.credited for bill in bills if bill.credited is not None]
    assert all(row.finish == "error" or not row.delivered for row in credited)


@given(st.lists(rows, max_size=40), st.integers(0, 40))
def test_a_restart_counts_the_same(receipts, cut) -> None:
    """Control counts the book again; in one go or piece by piece makes no difference."""
    whole, pieces = Accounts(), Accounts()
    for row in receipts:
        whole.take(row)
    for part in (receipts[:cut], receipts[cut:]):
        for row in part:
            pieces.take(row)
    assert whole.spent([DAY], NOW_MS) == pieces.spent([DAY], NOW_MS)


def test_a_budget_is_of_its_day_or_month_and_of_its_scope() -> None:
    start_ms, end_ms = period(Per.DAY, NOW_MS)
    assert (end_ms - start_ms, start_ms % 86_400_000) == (86_400_000, 0)
    month_ms, next_ms = period(Per.MONTH, NOW_MS)
    assert month_ms <= start_ms < end_ms <= next_ms
    accounts = Accounts()
    for time_ms in (start_ms - 1, start_ms, end_ms - 1, end_ms):
        accounts.take(replace(BLANK, time_ms=time_ms))
    budgets = [
        DAY,
        dataclasses.replace(DAY, per=Per.MONTH),
        dataclasses.replace(DAY, unit=Unit.EUR),
        dataclasses.replace(DAY, scope=Scope("acme", key="k_2")),
        dataclasses.replace(DAY, scope=Scope("other")),
    ]
    assert [row.used for row in accounts.spent(budgets, NOW_MS)] == [30, 60, 14, 0, 0]


@given(st.integers(0, 250 * 10**6), st.integers(0, 10**7), st.integers(0, 10**7))
def test_money_is_exact(price, prompt, answer) -> None:
    cost = Price(price, price, 0).cost(Usage(prompt, answer))
    assert cost == price * (prompt + answer)
    assert isinstance(cost, int)


def test_amounts_are_read_exactly_or_not_at_all() -> None:
    assert micro_euros("0.15") == 150_000
    assert micro_euros("12") == 12_000_000
    assert euros(150_000 * 10**6) == "0.15"
    for text in ("0,15", "-1", "1e3", "", "0.1234567", "NaN"):
        with pytest.raises(Misconfigured):
            micro_euros(text)
