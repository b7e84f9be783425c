# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A used-up budget as each SDK sees it: its own exception, and no attempt that cannot help.

Every client has the retries that it has by default. What is counted are the calls that come to
the place where budgets are enforced, so an attempt that a client hides is seen, too.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest
from botocore.exceptions import ClientError
from google import genai
from google.genai import errors as google_errors
from google.genai import types
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

from bastide.core.budget import Budget, Per, Scope, Spent, Unit
from bastide.core.money import Price
from bastide.gateway.spending import Spending
from paths import bedrock_rig
from paths.gateway_rig import KEY, MODEL, Rig

TURNS: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with bedrock_rig.signing_gateway() as made:
        row = Budget(Scope("acme"), Unit.TOKENS, Per.DAY, 100, 80)
        now_ms = made.clock.now_ms()
        spent = Spent(row, 100, now_ms + 3_600_000)
        made.publish(budgets=(spent,), prices={MODEL: Price(1, 1, 1)}, issued_ms=now_ms)
        yield made


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each call that asked for its part of the budgets."""
    seen: list[str] = []
    real = Spending.reserve

    def counted(self: Spending, *given: Any, **more: Any) -> Any:
        seen.append("asked")
        return real(self, *given, **more)

    monkeypatch.setattr(Spending, "reserve", counted)
    return seen


def openai_(rig: Rig, stream: bool) -> None:
    client = openai.OpenAI(base_url=f"{rig.url}/v1", api_key=KEY)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=TURNS, stream=stream)
    assert caught.value.code == "insufficient_quota"


def azure(rig: Rig, stream: bool) -> None:
    client = openai.AzureOpenAI(azure_endpoint=rig.url, api_version="2024-10-21", api_key=KEY)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=TURNS, stream=stream)
    assert caught.value.code == "429"  # what Azure says for every limit


def anthropic_(rig: Rig, stream: bool) -> None:
    client = anthropic.Anthropic(base_url=rig.url, api_key=KEY)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model=MODEL, max_tokens=9, messages=TURNS, stream=stream)
    assert caught.value.body["error"]["type"] == "rate_limit_error"  # type: ignore[index,call-overload]


def bedrock(rig: Rig, stream: bool) -> None:
    client = bedrock_rig.client(rig)
    call = client.converse_stream if stream else client.converse
    with pytest.raises(client.exceptions.ServiceQuotaExceededException) as caught:
        call(**bedrock_rig.ASK)
    assert isinstance(caught.value, ClientError)
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def google(rig: Rig, stream: bool) -> None:
    options = types.HttpOptions(base_url=rig.url, timeout=20_000)
    client = genai.Client(api_key=KEY, http_options=options)
    with pytest.raises(google_errors.ClientError) as caught:
        if stream:
            list(client.models.generate_content_stream(model=MODEL, contents="Hi"))
        else:
            client.models.generate_content(model=MODEL, contents="Hi")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


def ollama_(rig: Rig, stream: bool) -> None:
    client = ollama.Client(host=rig.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20)
    with pytest.raises(ollama.ResponseError) as caught:
        made = client.chat(MODEL, TURNS, stream=stream)
        list(made)
    assert caught.value.status_code == 429


def mistral(rig: Rig, stream: bool) -> None:
    client = Mistral(api_key=KEY, server_url=rig.url, timeout_ms=20_000)
    with pytest.raises(SDKError) as caught:
        if stream:
            client.chat.stream(model=MODEL, messages=TURNS)
        else:
            client.chat.complete(model=MODEL, messages=TURNS)
    assert caught.value.status_code == 429


SDKS = [openai_, azure, anthropic_, bedrock, google, ollama_, mistral]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("ask", SDKS, ids=lambda ask: ask.__name__)
def test_a_used_up_budget_is_told_once(
    rig: Rig, attempts: list[str], ask: Callable[[Rig, bool], None], stream: bool
) -> None:
    ask(rig, stream)
    assert len(attempts) == 1
    assert rig.engine.running == 0


def test_the_async_clients_try_once_too(rig: Rig, attempts: list[str]) -> None:
    async def run() -> None:
        async with anthropic.AsyncAnthropic(base_url=rig.url, api_key=KEY) as asking:
            with pytest.raises(anthropic.RateLimitError):
                await asking.messages.create(model=MODEL, max_tokens=9, messages=TURNS)
        async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=KEY) as chatting:
            with pytest.raises(openai.RateLimitError):
                await chatting.chat.completions.create(model=MODEL, messages=TURNS)

    asyncio.run(run())
    assert len(attempts) == 2
