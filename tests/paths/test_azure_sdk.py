# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway as `openai.AzureOpenAI` sees it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    STRANGE_KEY,
    Rig,
    bugs,
    gateway,
    read_response,
    request_bytes,
)

TEXT = "Hello wörld!"
VERSION = "2024-10-21"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def options(rig: Rig, **more: Any) -> dict[str, Any]:
    given = {"azure_endpoint": rig.url, "api_version": VERSION, "timeout": 20, "api_key": KEY}
    return {name: value for name, value in {**given, **more}.items() if value is not None}


def client(rig: Rig, **more: Any) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(**options(rig, **more))


def test_a_whole_answer(rig: Rig) -> None:
    answer = client(rig).chat.completions.create(**ASK, max_tokens=7)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 13
    assert choice.to_dict()["content_filter_results"] == {}
    filtered = answer.to_dict()["prompt_filter_results"]
    assert filtered == [{"prompt_index": 0, "content_filter_results": {}}]
    assert rig.engine.requests[0].sampling.max_tokens == 7
    assert rig.control.receipts[0].requested_model == MODEL


def test_a_stream(rig: Rig) -> None:
    asking = client(rig).chat.completions
    chunks = list(asking.create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices == []
    assert "prompt_filter_results" in chunks[0].to_dict()
    assert chunks[1].choices[0].delta.role == "assistant"
    assert "".join(row.choices[0].delta.content or "" for row in chunks if row.choices) == TEXT
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 13


def test_the_deployment_names_the_model(rig: Rig) -> None:
    answer = client(rig, azure_deployment=MODEL).chat.completions.create(
        **{**ASK, "model": "gpt-4o"}
    )
    assert answer.choices[0].message.content == TEXT
    assert answer.model == MODEL
    assert rig.engine.requests[0].model == MODEL


def test_plain_completions(rig: Rig) -> None:
    asking = client(rig).completions
    assert asking.create(model=MODEL, prompt="Once").choices[0].text == TEXT
    rows = list(asking.create(model=MODEL, prompt="Once", stream=True))
    assert "".join(row.choices[0].text for row in rows if row.choices) == TEXT


@pytest.mark.parametrize(
    "key",
    [{"azure_ad_token": KEY}, {"azure_ad_token_provider": lambda: KEY}],
    ids=["token", "provider"],
)
def test_bearer_tokens(rig: Rig, key: dict[str, Any]) -> None:
    answer = client(rig, api_key=None, **key).chat.completions.create(**ASK)
    assert answer.choices[0].message.content == TEXT


def test_models(rig: Rig) -> None:
    for asking in (client(rig), client(rig, azure_deployment=MODEL)):
        assert [row.id for row in asking.models.list()] == ["other", MODEL]
        assert asking.models.retrieve(MODEL).id == MODEL


def test_the_path_of_v1(rig: Rig) -> None:
    asking = openai.OpenAI(base_url=f"{rig.url}/openai/v1/", api_key=KEY)
    answer = asking.chat.completions.create(**ASK)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].to_dict()["content_filter_results"] == {}
    rows = list(asking.completions.create(model=MODEL, prompt="Once", stream=True))
    assert "".join(row.choices[0].text for row in rows if row.choices) == TEXT
    assert [row.id for row in asking.models.list()] == ["other", MODEL]
    assert asking.models.retrieve(MODEL).id == MODEL
    both = openai.OpenAI(
        base_url=f"{rig.url}/openai/v1/", api_key=KEY, default_headers={"api-key": KEY}
    )
    assert both.chat.completions.create(**ASK).choices[0].message.content == TEXT


def test_the_asynchronous_sdk(rig: Rig) -> None:
    async def talk() -> list[str]:
        async with openai.AsyncAzureOpenAI(**options(rig)) as asking:

            async def whole() -> str:
                answer = await asking.chat.completions.create(**ASK)
                return answer.choices[0].message.content or ""

            async def streamed() -> str:
                text = ""
                async for row in await asking.chat.completions.create(**ASK, stream=True):
                    text += (row.choices[0].delta.content or "") if row.choices else ""
                return text

            async def listed() -> str:
                return "".join([row.id async for row in asking.models.list()])

            return await asyncio.gather(whole(), streamed(), listed())

    assert asyncio.run(talk()) == [TEXT, TEXT, "other" + MODEL]


def test_refusals_are_the_sdks_exceptions_and_are_not_tried_again(rig: Rig) -> None:
    # The SDK may try again here, and says in its request how often it did.
    with pytest.raises(openai.AuthenticationError) as unknown:
        client(rig, api_key=STRANGE_KEY).chat.completions.create(**ASK)
    assert unknown.value.code == "401"
    with pytest.raises(openai.PermissionDeniedError):
        client(rig, api_key=NARROW_KEY).chat.completions.create(**ASK)
    with pytest.raises(openai.NotFoundError) as missing:
        client(rig).chat.completions.create(**{**ASK, "model": "gpt-4o"})
    assert missing.value.code == "DeploymentNotFound"
    with pytest.raises(openai.BadRequestError) as bad:
        client(rig).chat.completions.create(**ASK, n=3)
    assert (bad.value.param, bad.value.code) == ("n", "unsupported_parameter")
    with pytest.raises(openai.BadRequestError, match="embeddings"):
        client(rig).embeddings.create(model=MODEL, input="x")
    for error in (unknown, missing, bad):
        assert error.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert rig.engine.requests == []


def test_an_error_has_azures_shape(rig: Rig) -> None:
    body = json.dumps(ASK).encode()
    with rig.connect() as talking:
        talking.sendall(request_bytes(body, path="/openai/deployments/nope/chat/completions"))
        response = read_response(talking)
    assert response.status == 404
    assert set(json.loads(response.body)["error"]) == {"code", "message"}


def test_two_keys_that_differ_are_no_key(rig: Rig) -> None:
    body = json.dumps(ASK).encode()
    path = f"/openai/deployments/{MODEL}/chat/completions?api-version={VERSION}"
    for other, status in ((KEY, 200), (NARROW_KEY, 401)):
        with rig.connect() as talking:
            talking.sendall(request_bytes(body, path=path, headers=f"api-key: {other}\r\n"))
            assert read_response(talking).status == status


def test_an_engine_that_fails_in_the_middle(rig: Rig) -> None:
    rig.engine.fails_after = 2
    seen = ""
    with pytest.raises(openai.APIError, match="engine died"):
        for row in client(rig).chat.completions.create(**ASK, stream=True):
            seen += (row.choices[0].delta.content or "") if row.choices else ""
    assert seen == "Hello "


def test_an_engine_that_fails_at_once(rig: Rig) -> None:
    rig.engine.fails_after = 0
    with pytest.raises(openai.InternalServerError, match="engine died") as failed:
        client(rig, max_retries=0).chat.completions.create(**ASK)
    assert failed.value.code == "ServiceUnavailable"
