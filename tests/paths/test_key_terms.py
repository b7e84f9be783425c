# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a key may do, and what a budget lets it do, as real clients of a gateway meet it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anthropic
import openai
import pytest

from bastide.core import apikey
from bastide.core.budget import Budget, Per, Scope, Spent, Unit
from bastide.core.chat import FinishReason
from bastide.core.errors import Unavailable
from bastide.core.money import Price
from bastide.core.snapshot import KeyGrant
from bastide.gateway.auth import inside
from paths.bedrock_rig import client as aws_client
from paths.bedrock_rig import refused, signing_gateway
from paths.gateway_rig import KEY, MODEL, PEPPER, Rig, bugs, gateway

ASK: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 4,
}
TENANT, PROJECT, KEY_ID = "acme", "p_1", "k_wide"
SPENT_BY_ONE = 9 + 4  # the rig's engine counts nine tokens of a prompt and four of its answer


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def grant(rig: Rig, **terms: Any) -> None:
    mac = apikey.mac(PEPPER, KEY)
    row = replace(KeyGrant(KEY_ID, TENANT, ("*",), PROJECT), **terms)
    rig.publish(keys={mac: row})


def budget(rig: Rig, limit: int, used: int = 0, **scope: str) -> None:
    """Give the rig's tenant a budget, with a price by which a token costs one pico-euro."""
    end_ms = rig.clock.now_ms() + 3_600_000
    row = Budget(Scope(TENANT, **scope), Unit.TOKENS, Per.DAY, limit, 80)
    mac = apikey.mac(PEPPER, KEY)
    rig.publish(
        keys={mac: KeyGrant(KEY_ID, TENANT, ("*",), PROJECT)},
        budgets=(Spent(row, used, end_ms),),
        prices={MODEL: Price(1, 1, 1)},
        issued_ms=rig.clock.now_ms(),
    )


def client(rig: Rig, **options: Any) -> openai.OpenAI:
    settings: dict[str, Any] = {"max_retries": 0, **options}
    return openai.OpenAI(base_url=rig.url + "/v1", api_key=KEY, **settings)


# Terms of keys


def test_a_key_ends_by_itself(rig: Rig) -> None:
    grant(rig, expires_ms=rig.clock.now_ms() + 1_000)
    assert client(rig).chat.completions.create(**ASK).choices
    rig.do(lambda: rig.clock.advance(1_000))
    with pytest.raises(openai.AuthenticationError):
        client(rig).chat.completions.create(**ASK)


def test_a_key_that_ended_signs_nothing() -> None:
    with signing_gateway() as rig:
        mac = apikey.mac(PEPPER, KEY)
        ended = KeyGrant(KEY_ID, TENANT, ("*",), expires_ms=rig.clock.now_ms() - 1)
        rig.publish(keys={mac: ended})
        asked = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
        status, code, _ = refused(aws_client(rig).converse, **asked)
        assert (status, code) == (403, "UnrecognizedClientException")


def test_a_key_serves_only_its_families(rig: Rig) -> None:
    grant(rig, dialects=("anthropic",))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client(rig).chat.completions.create(**ASK)
    assert caught.value.code == "dialect_not_allowed"
    other = anthropic.Anthropic(base_url=rig.url, api_key=KEY, max_retries=0)
    assert other.messages.create(**ASK).content


def test_a_key_serves_only_its_networks(rig: Rig) -> None:
    grant(rig, networks=("10.0.0.0/8", "127.0.0.0/8"))
    assert client(rig).models.list().data
    grant(rig, networks=("10.0.0.0/8",))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client(rig).models.list()
    assert caught.value.code == "network_not_allowed"


@pytest.mark.parametrize(
    ("address", "true"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("11.0.0.1", False),
        ("2001:db9::1", False),
        ("", False),
        ("10.1.2.3.4", False),
    ],
)
def test_networks_hold_addresses_of_both_kinds(address: str, true: bool) -> None:
    assert inside(("10.0.0.0/8", "2001:db8::/32"), address) is true


# Budgets


def test_a_used_up_budget_stops_inference_only_and_is_not_asked_again(rig: Rig) -> None:
    budget(rig, 100, used=100)
    with pytest.raises(openai.RateLimitError) as caught:
        client(rig, max_retries=2).chat.completions.create(**ASK)
    assert caught.value.code == "insufficient_quota"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.headers["retry-after"] == "3600"
    assert rig.engine.requests == [] and rig.control.receipts == []
    assert client(rig).models.list().data


@pytest.mark.parametrize("scope", [{}, {"project": PROJECT}, {"key": KEY_ID}])
def test_a_budget_counts_for_its_scope(rig: Rig, scope: dict[str, str]) -> None:
    budget(rig, 10, used=10, **scope)
    with pytest.raises(openai.RateLimitError):
        client(rig).chat.completions.create(**ASK)


@pytest.mark.parametrize("scope", [{"project": "p_2"}, {"key": "k_other"}])
def test_a_budget_of_others_does_not_count(rig: Rig, scope: dict[str, str]) -> None:
    budget(rig, 10, used=10, **scope)
    assert client(rig).chat.completions.create(**ASK).choices


def test_what_control_has_not_counted_yet_counts(rig: Rig) -> None:
    """The snapshot stays the same; the gateway remembers what it let in since."""
    budget(rig, 2 * SPENT_BY_ONE)
    for _ in range(2):
        client(rig).chat.completions.create(**ASK)
    with pytest.raises(openai.RateLimitError):
        client(rig).chat.completions.create(**ASK)
    # A later snapshot has counted them.
    rig.do(lambda: rig.clock.advance(3_000))
    budget(rig, 4 * SPENT_BY_ONE, used=2 * SPENT_BY_ONE)
    assert client(rig).chat.completions.create(**ASK).choices


def test_a_running_answer_counts_by_its_estimate_until_it_ends(rig: Rig) -> None:
    budget(rig, 4)
    rig.engine.hangs_after = 1
    with client(rig).chat.completions.create(**ASK, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as caught:
            client(rig).chat.completions.create(**ASK)
        # Nothing is used yet: the client may come back soon, and is not told that the day is over.
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.response.headers["retry-after"] == "2"
    rig.until(lambda: rig.control.receipts)


def test_callers_are_warned_before_the_end(rig: Rig) -> None:
    budget(rig, 1_000, used=799)
    raw = client(rig).chat.completions.with_raw_response
    assert "x-bastide-budget" not in raw.create(**ASK).headers
    budget(rig, 1_000, used=830)
    assert raw.create(**ASK).headers["x-bastide-budget"] == "tokens per day: 83 % used"


def test_money_is_counted_by_the_price_list(rig: Rig) -> None:
    budget(rig, 100)
    client(rig).chat.completions.create(**ASK)
    receipt = rig.control.receipts[0]
    assert (receipt.project, receipt.cached_tokens, receipt.cost_picoeur) == (PROJECT, 4, 13)


# What a receipt says of attempts


def test_a_stream_that_broke_off_was_sent_and_a_whole_answer_was_not(rig: Rig) -> None:
    rig.engine.fails_after = 2
    for stream in (False, True):
        with pytest.raises(openai.APIError):
            list(client(rig).chat.completions.create(**ASK, stream=stream) or ())
    whole, streamed = rig.control.receipts
    assert (whole.delivered, streamed.delivered) == (False, True)
    assert whole.completion_tokens == streamed.completion_tokens == 2
    assert {row.finish for row in (whole, streamed)} == {FinishReason.ERROR}


def test_a_retry_is_recognised_as_an_attempt_at_the_same_call(rig: Rig) -> None:
    rig.engine.fails_after = 0
    rig.engine.fault = Unavailable("the engine died")
    with pytest.raises(openai.InternalServerError):
        client(rig, max_retries=1).chat.completions.create(**ASK)
    first, second = rig.control.receipts
    assert first.fingerprint == second.fingerprint != ""
    assert (first.retry, second.retry) == (False, True)
