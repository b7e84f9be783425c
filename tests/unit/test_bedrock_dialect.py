# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Bedrock dialect against tests/vectors/bedrock, with botocore's decoder of frames."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Sampling, Usage
from bastide.core.errors import BastideError, Misconfigured, NotFound
from bastide.core.snapshot import Served
from bastide.dialects.bedrock import BEDROCK
from bastide.dialects.bedrock_converse import ConverseWriter
from bastide.dialects.bedrock_invoke import InvokeWriter
from bastide.dialects.eventstream import encode_frame, event_headers, exception_headers
from bastide.dialects.families import find_route
from bastide.dialects.surface import BUSY, STOPPING, UNAUTHENTICATED, Asked, Context, Problem

VECTORS = Path(__file__).parent.parent / "vectors" / "bedrock"
VERBS = ("converse", "converse-stream", "invoke", "invoke-with-response-stream")


def cases(name: str) -> list[Any]:
    rows = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return [pytest.param(row, id=f"{row.get('path', '')} {row['name']}") for row in rows]


def read(path: str, body: bytes, headers: dict[bytes, bytes] | None = None) -> Asked:
    family, route = find_route(path, "", headers or {})
    assert family is BEDROCK and route is not None and route.decode is not None
    assert route.methods == ("POST",)
    return route.decode(body, "ID")


def context(latency_ms: int = 25) -> Context:
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    return Context("ID", 1, "m", "sha256:ab", asked, lambda: latency_ms)


def frames(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    found = [(message.headers, message.payload) for message in buffer]
    assert sum(len(encode_frame(b"", body)) for _, body in found) <= len(data)
    return found


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = read(case["path"], json.dumps(case["body"]).encode())
    want = case["request"]
    assert (asked.request.ident, asked.request.model) == ("ID", want["model"])
    assert asked.request.messages == tuple(Message(*turn) for turn in want["messages"])
    sampling = {**want["sampling"], "stop": tuple(want["sampling"]["stop"])}
    assert asked.request.sampling == Sampling(**sampling)
    assert asked.stream == case["stream"]


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused_by_name(case: dict[str, Any]) -> None:
    body = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()
    headers = {name.encode(): value.encode() for name, value in case.get("headers", {}).items()}
    with pytest.raises(Misconfigured) as caught:
        read(case["path"], body, headers)
    assert case["named"] in caught.value.message


@pytest.mark.parametrize("verb", VERBS)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(verb: str, body: bytes) -> None:
    with pytest.raises(Misconfigured):
        read(f"/model/m/{verb}", body)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("field", ["x", "toolConfig", "messages", "system", "tools"])
def test_deep_nesting_is_refused(verb: str, field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(Misconfigured):
        read(f"/model/m/{verb}", b'{"%b":%b}' % (field.encode(), deep))


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    deltas = [
        Delta(
            row["text"],
            FinishReason(row["finish"]) if "finish" in row else None,
            Usage(*row["usage"]) if "usage" in row else None,
        )
        for row in case["deltas"]
    ]
    writer = ConverseWriter(context())
    data = writer.first() + b"".join(writer.piece(delta.text) for delta in deltas[:-1])
    found = frames(data + writer.last(deltas[-1]))
    assert {head[":message-type"] for head, _ in found} == {"event"}
    assert [[head[":event-type"], json.loads(body)] for head, body in found] == case["events"]
    text = "".join(delta.text for delta in deltas)
    assert json.loads(writer.whole(text, deltas[-1])) == case["whole"]


def test_an_invoke_stream_has_the_events_of_the_anthropic_api() -> None:
    writer = InvokeWriter(context())
    end = Delta("!", FinishReason.STOP, Usage(12, 3, 8))
    data = writer.first() + writer.piece("Hé\n\n") + writer.last(end)
    found = frames(data)
    assert {head[":event-type"] for head, _ in found} == {"chunk"}
    events = [json.loads(base64.b64decode(json.loads(body)["bytes"])) for _, body in found]
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
    assert events[-1]["amazon-bedrock-invocationMetrics"] == {
        "inputTokenCount": 4,
        "outputTokenCount": 3,
        "cacheReadInputTokenCount": 8,
        "cacheWriteInputTokenCount": 0,
        "invocationLatency": 25,
        "firstByteLatency": 25,
    }


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


def test_exception_frames_are_not_events() -> None:
    [(head, _)] = frames(encode_frame(exception_headers("throttlingException"), b"{}"))
    assert ":event-type" not in head


SERVED = Served("smollm2", "sha256:r", "sha256:d", "s", "n", "bubblewrap", 2, 2048, 1)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("byOutputModality=TEXT", 1),
        ("byOutputModality=EMBEDDING", 0),
        ("byInferenceType=ON_DEMAND&byProvider=Test", 1),
        ("byProvider=Anthropic", 0),
        ("byCustomizationType=FINE_TUNING", 0),
    ],
)
def test_the_list_is_filtered(query: str, count: int) -> None:
    _, route = find_route("/foundation-models", query, {})
    assert route is not None and route.listing is not None
    assert len(json.loads(route.listing([SERVED], "test"))["modelSummaries"]) == count


def test_a_filter_that_is_no_filter_is_refused() -> None:
    _, route = find_route("/foundation-models", "byInferenceType=LATER", {})
    assert route is not None and route.listing is not None
    with pytest.raises(Misconfigured, match="byInferenceType"):
        route.listing([SERVED], "test")


def test_other_signed_operations_are_refused_in_this_familys_words() -> None:
    scope = b"AWS4-HMAC-SHA256 Credential=BST0/20260101/eu-west-1/bedrock/aws4_request, x"
    family, route = find_route("/inference-profiles", "", {b"authorization": scope})
    assert family is BEDROCK and route is not None and route.decode is not None
    with pytest.raises(NotFound):
        route.decode(b"", "ID")
    assert find_route("/inference-profiles", "", {})[1] is None
    with pytest.raises(BastideError, match="ApplyGuardrail"):
        read("/guardrail/g/version/1/apply", b"{}")
