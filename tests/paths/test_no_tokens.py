# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An answer of no tokens: each SDK gets what its own vendor answers to a bound of 0.

Anthropic's clients warm the cache with it, plain completions of OpenAI may have it, Ollama takes it
for no bound, and the others refuse it.
"""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from bastide.core.chat import FinishReason
from paths.gateway_rig import KEY, MODEL, Rig, bugs, gateway, read_response, request_bytes

ASKED: list[Any] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def the_receipt(rig: Rig) -> tuple[str, int, int, int]:
    """Its finish, and how many tokens it counts: of the prompt, found in the cache, answered."""
    (row,) = rig.control.receipts
    return row.finish, row.prompt_tokens, row.cached_tokens, row.completion_tokens


def test_anthropic_reads_the_prompt_and_says_nothing(rig: Rig) -> None:
    asking = anthropic.Anthropic(base_url=rig.url, api_key=KEY, max_retries=0)
    answer = asking.messages.create(model=MODEL, max_tokens=0, messages=ASKED)
    assert answer.content == []
    assert answer.stop_reason == "max_tokens"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 0)
    assert the_receipt(rig) == ("length", 9, 4, 0)
    # No engine says less than one token; that one is given to nobody and not billed.
    assert [row.sampling.max_tokens for row in rig.engine.requests] == [1]


def test_anthropic_streams_nothing(rig: Rig) -> None:
    asking = anthropic.Anthropic(base_url=rig.url, api_key=KEY, max_retries=0)
    with asking.messages.stream(model=MODEL, max_tokens=0, messages=ASKED) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_message()
    assert "content_block_start" not in kinds
    assert kinds[-1] == "message_stop"
    assert (answer.content, answer.stop_reason) == ([], "max_tokens")
    assert answer.usage.output_tokens == 0


def test_a_plain_completion_may_have_no_token(rig: Rig) -> None:
    asking = openai.OpenAI(base_url=f"{rig.url}/v1", api_key=KEY, max_retries=0)
    answer = asking.completions.create(model=MODEL, prompt="Hi", max_tokens=0)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("", "length")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 0)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_chat_of_openai_is_refused_in_its_words(rig: Rig, field: str) -> None:
    asking = openai.OpenAI(base_url=f"{rig.url}/v1", api_key=KEY, max_retries=0)
    bound: dict[str, Any] = {field: 0}
    with pytest.raises(openai.BadRequestError) as refused:
        asking.chat.completions.create(model=MODEL, messages=ASKED, **bound)
    assert (refused.value.param, refused.value.code) == (field, "integer_below_min_value")
    assert "Expected a value >= 1, but got 0 instead." in refused.value.message
    assert rig.engine.requests == []


def test_ollama_takes_it_for_no_bound(rig: Rig) -> None:
    asking = ollama.Client(host=rig.url, headers={"Authorization": f"Bearer {KEY}"})
    answer = asking.chat(model=MODEL, messages=ASKED, options={"num_predict": 0})
    assert answer.message.content == "Hello wörld!"
    assert rig.engine.requests[0].sampling.max_tokens is None


def test_google_refuses_it(rig: Rig) -> None:
    options = google_types.HttpOptions(base_url=rig.url)
    asking = genai.Client(api_key=KEY, http_options=options)
    config = google_types.GenerateContentConfig(max_output_tokens=0)
    with pytest.raises(google_errors.ClientError) as refused:
        asking.models.generate_content(model=MODEL, contents="Hi", config=config)
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")


def test_bedrock_refuses_it(rig: Rig) -> None:
    """boto3 checks it itself and sends nothing, so this is what other SDKs of AWS would send."""
    asked = {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {"maxTokens": 0},
    }
    with rig.connect() as talking:
        talking.sendall(request_bytes(json.dumps(asked).encode(), path=f"/model/{MODEL}/converse"))
        response = read_response(talking)
    assert response.status == 400
    assert response.headers["x-amzn-errortype"].startswith("ValidationException")


@pytest.mark.parametrize("finish", [FinishReason.STOP, FinishReason.LENGTH])
def test_whatever_ends_the_one_token_the_bound_was_reached(rig: Rig, finish: FinishReason) -> None:
    rig.engine.words, rig.engine.finish = ("x",), finish
    asking = anthropic.Anthropic(base_url=rig.url, api_key=KEY, max_retries=0)
    answer = asking.messages.create(model=MODEL, max_tokens=0, messages=ASKED)
    assert (answer.content, answer.stop_reason) == ([], "max_tokens")


def test_an_engine_that_fails_meanwhile_is_told(rig: Rig) -> None:
    rig.engine.fails_after = 0
    asking = anthropic.Anthropic(base_url=rig.url, api_key=KEY, max_retries=0)
    with pytest.raises(anthropic.APIStatusError) as failed:
        asking.messages.create(model=MODEL, max_tokens=0, messages=ASKED)
    assert failed.value.status_code in (503, 529)
