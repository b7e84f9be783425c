# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The answers of the Bedrock dialect, with botocore's decoder of frames, and its errors."""

import base64
import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.chat import CallPart, Delta, FinishReason, GenerateRequest, Said, Usage
from bastide.core.errors import Busy, Exhausted
from bastide.dialects.bedrock import BEDROCK
from bastide.dialects.bedrock_converse import ConverseWriter
from bastide.dialects.bedrock_invoke import Invocation
from bastide.dialects.eventstream import encode_frame, event_headers, exception_headers
from bastide.dialects.surface import (
    BUSY,
    STOPPING,
    UNAUTHENTICATED,
    Asked,
    Context,
    Problem,
    Writer,
    problem_of,
)
from unit.dialect_cases import INPUTS, calling, cases, deltas_of, said_in, stream_of


def context(latency_ms: int = 25) -> Context:
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    return Context("ID", 1, "m", "sha256:ab", asked, lambda: latency_ms)


def frames(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    found = [(message.headers, message.payload) for message in buffer]
    assert sum(len(encode_frame(b"", body)) for _, body in found) <= len(data)
    return found


@pytest.mark.parametrize("case", cases("bedrock", "answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    deltas = deltas_of(case)
    heads, events = zip(*events_of(stream_of(ConverseWriter(context()), deltas)), strict=True)
    assert set(heads) == {"event"}
    assert list(events) == case["events"]
    whole = ConverseWriter(context()).whole(said_in(deltas), deltas[-1])
    assert json.loads(whole) == case["whole"]


def events_of(data: bytes) -> list[tuple[str, list[Any]]]:
    return [
        (head[":message-type"], [head[":event-type"], json.loads(body)])
        for head, body in frames(data)
    ]


def chunks_of(data: bytes) -> list[dict[str, Any]]:
    """The objects in the chunks of an InvokeModel stream."""
    rows = events_of(data)
    assert {(head, event[0]) for head, event in rows} == {("event", "chunk")}
    return [json.loads(base64.b64decode(event[1]["bytes"])) for _, event in rows]


@given(st.lists(INPUTS, max_size=4), st.data())
def test_a_stream_says_what_the_whole_answer_says(
    inputs: list[dict[str, Any]], data: st.DataObject
) -> None:
    deltas = calling(inputs, data)
    whole = json.loads(ConverseWriter(context()).whole(said_in(deltas), deltas[-1]))
    said: dict[int, str] = {}
    for _, (kind, row) in events_of(stream_of(ConverseWriter(context()), deltas)):
        if kind == "contentBlockDelta" and "toolUse" in row["delta"]:
            index = row["contentBlockIndex"]
            said[index] = said.get(index, "") + row["delta"]["toolUse"]["input"]
    assert [json.loads(text) for text in said.values()] == inputs
    blocks = whole["output"]["message"]["content"][1:]
    assert [block["toolUse"]["input"] for block in blocks] == inputs


def invoked(model: str, body: dict[str, Any], *, stream: bool) -> Writer:
    invocation = Invocation(model, stream=stream, headers={})
    asked = invocation.decode(json.dumps(body).encode(), "ID")
    return invocation.writer(Context("ID", 1, "m", "sha256:ab", asked, lambda: 25))


ANTHROPIC_BODY = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}
METRICS = {
    "inputTokenCount": 4,
    "outputTokenCount": 3,
    "cacheReadInputTokenCount": 8,
    "cacheWriteInputTokenCount": 0,
    "invocationLatency": 25,
    "firstByteLatency": 25,
}


def test_a_titan_answer() -> None:
    end = Delta("", FinishReason.STOP, Usage(12, 3, 8))
    whole = invoked("m", {"inputText": "x"}, stream=False).whole(Said("Hé"), end)
    assert json.loads(whole) == {
        "inputTextTokenCount": 12,
        "results": [{"tokenCount": 3, "outputText": "Hé", "completionReason": "FINISH"}],
    }
    deltas = [Delta("Hé\n\n"), Delta("!"), Delta("", FinishReason.LENGTH, Usage(12, 3, 8))]
    rows = chunks_of(stream_of(invoked("m", {"inputText": "x"}, stream=True), deltas))
    assert [row["outputText"] for row in rows] == ["Hé\n\n", "!", ""]
    assert [row["completionReason"] for row in rows] == [None, None, "LENGTH"]
    last = rows[-1]
    assert (last["inputTextTokenCount"], last["totalOutputTextTokenCount"]) == (12, 3)
    assert last["amazon-bedrock-invocationMetrics"] == METRICS
    for finish in (FinishReason.STOP, FinishReason.LENGTH, FinishReason.FILTERED):
        assert b"completionReason" in invoked("m", {"inputText": "x"}, stream=False).whole(
            Said("x"), Delta("", finish, Usage())
        )


def test_an_answer_to_an_openai_body() -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
    deltas = [Delta("Hé\n\n"), Delta("", FinishReason.STOP, Usage(12, 3, 8))]
    whole = invoked("openai.m", body, stream=False).whole(Said("Hé"), deltas[-1])
    assert json.loads(whole)["choices"][0]["message"]["content"] == "Hé"
    rows = chunks_of(stream_of(invoked("openai.m", body, stream=True), deltas))
    assert {row["object"] for row in rows} == {"chat.completion.chunk"}
    texts = [row["choices"][0]["delta"].get("content") or "" for row in rows]
    assert "".join(texts) == "Hé\n\n"
    assert rows[-1]["choices"][0]["finish_reason"] == "stop"
    assert rows[-1]["amazon-bedrock-invocationMetrics"] == METRICS
    body["stream_options"] = {"include_usage": True}
    rows = chunks_of(stream_of(invoked("openai.m", body, stream=True), deltas))
    assert rows[-1]["usage"]["total_tokens"] == 15
    assert "amazon-bedrock-invocationMetrics" in rows[-1]


def test_an_invoke_stream_has_the_events_of_the_anthropic_api() -> None:
    end = Delta("!", FinishReason.STOP, Usage(12, 3, 8))
    events = chunks_of(stream_of(invoked("m", ANTHROPIC_BODY, stream=True), [Delta("Hé\n\n"), end]))
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event["delta"]["text"] for event in events[2:4]] == ["Hé\n\n", "!"]
    assert events[-1]["amazon-bedrock-invocationMetrics"] == METRICS


def test_a_call_in_an_invoke_stream() -> None:
    call = [Delta(call=CallPart(0, "c0", "f")), Delta(call=CallPart(0, arguments='{"x":1}'))]
    end = Delta("", FinishReason.TOOL_CALLS, Usage(12, 3, 8))
    events = chunks_of(stream_of(invoked("m", ANTHROPIC_BODY, stream=True), [*call, end]))
    kinds = [event["type"] for event in events]
    assert kinds[1:4] == ["content_block_start", "content_block_delta", "content_block_stop"]
    assert events[1]["content_block"]["name"] == "f"
    assert events[2]["delta"] == {"type": "input_json_delta", "partial_json": '{"x":1}'}


@given(st.text(), st.integers(0, 400))
def test_any_text_survives_a_frame_that_is_cut(text: str, cut: int) -> None:
    data = ConverseWriter(context()).piece(text)
    buffer = EventStreamBuffer()
    found = []
    for part in (data[:cut], data[cut:]):
        buffer.add_data(part)
        found += list(buffer)
    assert [json.loads(message.payload)["delta"]["text"] for message in found] == [text]


@given(st.binary(max_size=300), st.data())
def test_a_flipped_bit_in_a_frame_is_found(payload: bytes, data: st.DataObject) -> None:
    frame = bytearray(encode_frame(event_headers("chunk"), payload))
    assert frames(bytes(frame))[0][1] == payload
    # The first eight bytes are the lengths: botocore waits for more if the total has grown.
    index = data.draw(st.integers(8, len(frame) - 1))
    frame[index] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ChecksumMismatch):
        frames(bytes(frame))


@pytest.mark.parametrize(
    ("problem", "status", "name"),
    [
        (Problem(400, "m", "invalid_value"), 400, "ValidationException"),
        (Problem(413, "m"), 400, "ValidationException"),
        (Problem(422, "m", "not-proven"), 400, "ValidationException"),
        (UNAUTHENTICATED, 403, "UnrecognizedClientException"),
        (Problem(403, "m", "invalid_signature"), 403, "InvalidSignatureException"),
        (Problem(403, "m", "model_not_allowed"), 403, "AccessDeniedException"),
        (Problem(404, "m", "model_not_found"), 404, "ResourceNotFoundException"),
        (BUSY, 429, "ThrottlingException"),
        (Problem(408, "m"), 408, "ModelTimeoutException"),
        (Problem(408, "m", "request_timeout"), 408, "RequestTimeoutException"),
        (Problem(424, "m"), 424, "ModelErrorException"),
        (Problem(405, "m"), 405, "UnknownOperationException"),
        (Problem(503, "m", "model_not_ready"), 429, "ModelNotReadyException"),
        (problem_of(Exhausted("m", retry_after_s=1)), 400, "ServiceQuotaExceededException"),
        (STOPPING, 503, "ServiceUnavailableException"),
        (Problem(500, "m"), 500, "InternalServerException"),
    ],
)
def test_problems_are_exceptions(problem: Problem, status: int, name: str) -> None:
    refusal = BEDROCK.refusal(problem, "ID")
    headers = dict(refusal.headers)
    assert (refusal.status, headers["x-amzn-ErrorType"]) == (status, name)
    assert ("x-amz-retry-after" in headers) == (status in (429, 503))
    assert list(json.loads(refusal.body)) == ["message"]
    [(head, payload)] = frames(BEDROCK.event(problem, "ID"))
    assert head[":message-type"] == "exception"
    assert head[":exception-type"].lower() == name.lower()
    assert payload == refusal.body


def test_when_to_come_back_is_said_in_milliseconds() -> None:
    problem = problem_of(Busy("m", retry_after_s=2.5))
    assert dict(BEDROCK.refusal(problem, "ID").headers)["x-amz-retry-after"] == "2500"


def test_exception_frames_are_not_events() -> None:
    [(head, _)] = frames(encode_frame(exception_headers("throttlingException"), b"{}"))
    assert ":event-type" not in head
