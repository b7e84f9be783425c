# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The real `anthropic` SDK against a running gateway."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message as SdkMessage

from bastide.core.chat import Message
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_BODY_BYTES_MAX
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    STRANGE_KEY,
    Rig,
    bugs,
    gateway,
    make_snapshot,
    read_response,
    request_bytes,
)

TEXT = "Hello wörld!"
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
STREAM_BODY = json.dumps({**ASK, "stream": True}).encode()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def client(rig: Rig, key: str = KEY, **options: Any) -> anthropic.Anthropic:
    settings: dict[str, Any] = {"max_retries": 0, "timeout": 20, **options}
    return anthropic.Anthropic(base_url=rig.url, api_key=key, **settings)


def text_of(message: SdkMessage) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


# Answers


def test_a_whole_answer(rig: Rig) -> None:
    raw = client(rig).messages.with_raw_response.create(
        **ASK, system="Be brief.", stop_sequences=["END"], metadata={"user_id": "u"}
    )
    answer = raw.parse()
    assert text_of(answer) == TEXT
    assert (answer.role, answer.model, answer.stop_reason) == ("assistant", MODEL, "end_turn")
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (5, 4, 4)
    request = rig.engine.requests[0]
    assert request.messages == (Message("system", "Be brief."), Message("user", "Hi"))
    assert (request.sampling.max_tokens, request.sampling.stop) == (64, ("END",))
    # One name for the request, the answer and its receipt.
    ident = answer.id.removeprefix("msg_")
    assert answer._request_id == f"req_{ident}"
    assert raw.headers["x-bastide-receipt"] == f"r_{ident}" == rig.control.receipts[0].ident


def test_a_stop_sequence_that_was_met_is_named(rig: Rig) -> None:
    rig.engine.met = "END"
    ask: dict[str, Any] = {**ASK, "stop_sequences": ["x", "END"]}
    answer = client(rig).messages.create(**ask)
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "END")
    with client(rig).messages.stream(**ask) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", "END")


def test_top_k_reaches_the_engine(rig: Rig) -> None:
    client(rig).messages.create(**ASK, extra_body={"top_k": 5})
    assert rig.engine.requests[0].sampling.top_k == 5


def test_old_clients(rig: Rig) -> None:
    """The releases before 2: another key header, another version, and sampling."""
    body = json.dumps({**ASK, "temperature": 0.5, "top_p": 0.9}).encode()
    for headers in ("anthropic-version: 2023-06-01\r\n", ""):
        head = request_bytes(body, path="/v1/messages", headers=f"X-Api-Key: {KEY}\r\n{headers}")
        with rig.connect() as talking:
            talking.sendall(head.replace(b"Authorization: Bearer " + KEY.encode(), b"X-Other: x"))
            response = read_response(talking)
        assert response.status == 200
        assert json.loads(response.body)["content"][0]["text"] == TEXT
    sampling = rig.engine.requests[0].sampling
    assert (sampling.temperature, sampling.top_p) == (0.5, 0.9)


def test_stream_events(rig: Rig) -> None:
    with client(rig).messages.create(**ASK, stream=True) as stream:
        assert stream.response.headers["x-bastide-receipt"].startswith("r_")
        assert stream.response.headers["request-id"].startswith("req_")
        kinds = [event.type for event in stream]
    deltas = ["content_block_delta"] * 4
    start, end = ["message_start", "content_block_start"], ["content_block_stop", "message_delta"]
    assert kinds == [*start, *deltas, *end, "message_stop"]


def test_the_stream_helper(rig: Rig) -> None:
    with client(rig).messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == TEXT
        final = stream.get_final_message()
    assert (text_of(final), final.stop_reason) == (TEXT, "end_turn")
    assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 4)


def test_the_answer_goes_back_as_history(rig: Rig) -> None:
    answer = client(rig).messages.create(**ASK)
    more = {"role": "user", "content": [{"type": "text", "text": "More"}]}
    turns = [*ASK["messages"], {"role": "assistant", "content": answer.content}, more]
    client(rig).messages.create(**{**ASK, "messages": turns})
    assert rig.engine.requests[1].messages[1:] == (
        Message("assistant", TEXT),
        Message("user", "More"),
    )


def test_the_beta_client(rig: Rig) -> None:
    answer = client(rig).beta.messages.create(**ASK, betas=["x-2026-01-01"])
    assert [block.text for block in answer.content if block.type == "text"] == [TEXT]


def test_the_asynchronous_client(rig: Rig) -> None:
    async def talk() -> list[str]:
        options: dict[str, Any] = {"base_url": rig.url, "api_key": KEY, "max_retries": 0}
        async with anthropic.AsyncAnthropic(**options) as asking:

            async def whole() -> str:
                return text_of(await asking.messages.create(**ASK))

            async def streamed() -> str:
                async with asking.messages.stream(**ASK) as stream:
                    return "".join([text async for text in stream.text_stream])

            return await asyncio.gather(*(f() for _ in range(3) for f in (whole, streamed)))

    assert asyncio.run(talk()) == [TEXT] * 6


def test_models(rig: Rig) -> None:
    assert [row.id for row in client(rig).models.list()] == ["other", MODEL]
    assert [row.id for row in client(rig).models.list(limit=1)] == ["other", MODEL]  # two pages
    model = client(rig).models.retrieve(MODEL)
    assert (model.type, model.display_name, model.max_input_tokens) == ("model", MODEL, 2048)
    assert model.created_at.timestamp() == 1_700_000_000
    assert [row.id for row in client(rig, NARROW_KEY).models.list()] == ["other"]
    with pytest.raises(anthropic.NotFoundError):
        client(rig).models.retrieve("nope")
    with pytest.raises(anthropic.PermissionDeniedError):
        client(rig, NARROW_KEY).models.retrieve(MODEL)
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        client(rig).models.list(limit=0)


# Errors


def test_refusals_are_the_sdks_exceptions(rig: Rig) -> None:
    with pytest.raises(anthropic.AuthenticationError) as unknown:
        client(rig, STRANGE_KEY).messages.create(**ASK)
    assert unknown.value.type == "authentication_error"
    assert str(unknown.value.request_id).startswith("req_")
    assert unknown.value.body["request_id"] == unknown.value.request_id
    with pytest.raises(anthropic.PermissionDeniedError):
        client(rig, NARROW_KEY).messages.create(**ASK)
    with pytest.raises(anthropic.NotFoundError) as missing:
        client(rig).messages.create(**{**ASK, "model": "claude-opus-4-8"})
    assert missing.value.type == "not_found_error"
    assert missing.value.body["request_id"] == missing.value.request_id
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.0\.type") as bad:
        search: Any = {"type": "web_search_20250305", "name": "web_search"}
        client(rig).messages.create(**ASK, tools=[search])
    assert bad.value.type == "invalid_request_error"
    with pytest.raises(anthropic.BadRequestError, match="speed"):
        client(rig).messages.create(**ASK, extra_body={"speed": "fast"})
    with pytest.raises(anthropic.BadRequestError, match="prefill"):
        turns = [*ASK["messages"], {"role": "assistant", "content": "("}]
        client(rig).messages.create(**{**ASK, "messages": turns})
    with pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
        client(rig).messages.create(**ASK, extra_headers={"anthropic-version": "1999-01-01"})
    with pytest.raises(anthropic.AuthenticationError):
        client(rig).messages.create(**ASK, extra_headers={"x-api-key": STRANGE_KEY})
    assert rig.engine.requests == []


def test_what_is_not_there_is_said_once_the_key_is_known(rig: Rig) -> None:
    with pytest.raises(anthropic.NotFoundError, match="batches is not supported"):
        client(rig).messages.batches.list()
    with pytest.raises(anthropic.AuthenticationError):
        client(rig, STRANGE_KEY).messages.batches.list()


def test_a_body_that_is_too_large(rig: Rig) -> None:
    headers = f"Content-Length: {REQUEST_BODY_BYTES_MAX + 1}\r\n"
    head = request_bytes(b"", path="/v1/messages", headers="anthropic-version: 2026-10-21\r\n")
    with rig.connect() as talking:
        talking.sendall(head.replace(b"Content-Length: 0\r\n", headers.encode()))
        response = read_response(talking)
    assert response.status == 413
    assert json.loads(response.body)["error"]["type"] == "request_too_large"
    turns = [{"role": "user", "content": "x" * REQUEST_BODY_BYTES_MAX}]
    with pytest.raises((anthropic.ContentTooLargeError, anthropic.APIConnectionError)):
        client(rig).messages.create(**{**ASK, "messages": turns})


def test_only_what_may_pass_is_retried(rig: Rig) -> None:
    rig.engine.fails_after, rig.engine.fault = 0, Misconfigured("the prompt is too long")
    with pytest.raises(anthropic.BadRequestError, match="too long"):
        client(rig, max_retries=2).messages.create(**ASK)
    assert len(rig.engine.requests) == 1


def test_a_stale_snapshot_is_an_overload(rig: Rig) -> None:
    rig.control.snapshot = None
    with pytest.raises(anthropic.OverloadedError) as stale:
        client(rig).messages.create(**ASK)
    assert (stale.value.status_code, stale.value.type) == (529, "overloaded_error")
    assert stale.value.response.headers["retry-after"] == "1"


def test_full_slots(rig: Rig) -> None:
    rig.engine.hangs_after = 0
    waiting = [rig.connect() for _ in range(10)]
    for talking in waiting:
        talking.sendall(request_bytes(STREAM_BODY, path="/v1/messages"))
    engine = rig.pool.engine(make_snapshot().served[MODEL], make_snapshot())
    rig.until(lambda: engine.inside == 10)
    with pytest.raises(anthropic.RateLimitError) as busy:
        client(rig).messages.create(**ASK)
    assert busy.value.type == "rate_limit_error"
    for talking in waiting:
        talking.close()


def test_an_engine_that_fails_at_once(rig: Rig) -> None:
    rig.engine.fails_after = 0
    with pytest.raises(anthropic.OverloadedError, match="engine died") as failed:
        client(rig).messages.create(**ASK, stream=True)
    assert failed.value.response.headers["x-bastide-receipt"] == rig.control.receipts[0].ident


def test_an_engine_that_fails_in_the_middle(rig: Rig) -> None:
    rig.engine.fails_after = 2
    seen = ""
    with (
        pytest.raises(anthropic.APIStatusError, match="engine died") as failed,
        client(rig).messages.stream(**ASK) as stream,
    ):
        for text in stream.text_stream:
            seen += text
    assert seen == "Hello "
    assert failed.value.type == "overloaded_error"

    async def talk() -> None:
        options: dict[str, Any] = {"base_url": rig.url, "api_key": KEY, "max_retries": 0}
        async with anthropic.AsyncAnthropic(**options) as asking:
            async for _ in await asking.messages.create(**ASK, stream=True):
                pass

    with pytest.raises(anthropic.APIStatusError, match="engine died"):
        asyncio.run(talk())
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY, path="/v1/messages"))
        response = read_response(talking)
    assert not response.whole  # who ignores the event still sees a broken answer
    assert b"message_stop" not in response.body
    assert response.body.split(b"\n\n")[-2].startswith(b"event: error\n")


def test_no_stream_ends_before_its_receipt_is_durable(rig: Rig) -> None:
    rig.do(rig.control.confirming.clear)
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY, path="/v1/messages"))
        response = read_response(talking)
    assert not response.whole
    assert b"end_turn" not in response.body
    assert b"message_stop" not in response.body
    with pytest.raises(anthropic.OverloadedError):
        client(rig).messages.create(**ASK)
