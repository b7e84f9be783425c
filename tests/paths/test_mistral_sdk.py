# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway as the `mistralai` package sees it, whose types demand more than OpenAI's."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from mistralai.client import Mistral, errors, models

from paths.gateway_rig import KEY, MODEL, NARROW_KEY, STRANGE_KEY, Rig, bugs, gateway

TEXT = "Hello wörld!"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def client(rig: Rig, key: str = KEY) -> Mistral:
    return Mistral(api_key=key, server_url=rig.url, timeout_ms=20_000)


def test_a_whole_answer(rig: Rig) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    asked: Any = {"model": MODEL, "messages": turns, "random_seed": 3, "max_tokens": 7}
    answer = client(rig).chat.complete(**asked, safe_prompt=False, tool_choice="auto")
    assert answer.choices[0].message is not None
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 4)
    request = rig.engine.requests[0]
    assert (request.sampling.seed, request.sampling.max_tokens) == (3, 7)
    assert [turn.role for turn in request.messages] == ["system", "user", "assistant", "user"]


def test_a_stream_ends_with_the_usage(rig: Rig) -> None:
    with client(rig).chat.stream(**ASK) as stream:
        chunks = [event.data for event in stream]
    texts = [row.choices[0].delta.content for row in chunks]
    assert "".join(text for text in texts if isinstance(text, str)) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 13
    assert all(row.usage is None for row in chunks[:-1])


def test_the_asynchronous_sdk(rig: Rig) -> None:
    async def talk() -> list[Any]:
        async with client(rig) as asking:
            answer = await asking.chat.complete_async(**ASK)
            assert answer.choices[0].message is not None
            text = ""
            async with await asking.chat.stream_async(**ASK) as stream:
                async for event in stream:
                    text += str(event.data.choices[0].delta.content or "")
            listed = await asking.models.list_async()
            with pytest.raises(errors.SDKError) as missing:
                await asking.chat.complete_async(**{**ASK, "model": "nope"})
            assert missing.value.status_code == 404
            return [answer.choices[0].message.content, text, len(listed.data or [])]

    assert asyncio.run(talk()) == [TEXT, TEXT, 2]


def test_models(rig: Rig) -> None:
    rows = client(rig).models.list().data or []
    assert [row.id for row in rows if isinstance(row, models.BaseModelCard)] == ["other", MODEL]
    one = client(rig).models.retrieve(model_id=MODEL)
    assert isinstance(one, models.BaseModelCard)
    assert (one.id, one.max_context_length, one.owned_by) == (MODEL, 2048, "test")
    can = one.capabilities
    assert (can.completion_chat, can.function_calling, can.vision) == (True, True, False)
    with pytest.raises(errors.SDKError) as missing:
        client(rig).models.retrieve(model_id="nope")
    assert missing.value.status_code == 404


@pytest.mark.parametrize(
    ("key", "more", "status", "names"),
    [
        (STRANGE_KEY, {}, 401, "invalid_api_key"),
        (NARROW_KEY, {}, 403, "model_not_allowed"),
        (KEY, {"model": "nope"}, 404, "model_not_found"),
        (KEY, {"safe_prompt": True}, 400, "safe_prompt"),
        (KEY, {"tool_choice": "any"}, 400, "tool_choice"),
        (KEY, {"prompt_mode": "reasoning"}, 400, "prompt_mode"),
        (KEY, {"n": 2}, 400, "'n'"),
    ],
)
def test_refusals_are_the_sdks_exceptions(
    rig: Rig, key: str, more: dict[str, Any], status: int, names: str
) -> None:
    for ask in (client(rig, key).chat.complete, client(rig, key).chat.stream):
        with pytest.raises(errors.SDKError) as refused:
            ask(**{**ASK, **more})
        assert refused.value.status_code == status
        assert names in refused.value.body
    assert rig.engine.requests == []


def test_a_prefix_is_refused(rig: Rig) -> None:
    turns = [*ASK["messages"], {"role": "assistant", "content": "He", "prefix": True}]
    with pytest.raises(errors.SDKError, match="prefix"):
        client(rig).chat.complete(model=MODEL, messages=turns)


def test_an_engine_that_fails(rig: Rig) -> None:
    rig.engine.fails_after = 2
    seen = ""
    with pytest.raises(errors.ResponseValidationError), client(rig).chat.stream(**ASK) as stream:
        for event in stream:
            seen += str(event.data.choices[0].delta.content or "")
    assert seen == "Hello "
    with pytest.raises(errors.SDKError) as failed:
        client(rig).chat.complete(**ASK)
    assert failed.value.status_code == 503
