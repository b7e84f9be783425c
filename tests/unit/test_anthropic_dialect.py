# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Anthropic dialect against tests/vectors/anthropic, and the `anthropic` SDK's own types."""

import json
from typing import Any

import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bastide.core.chat import GenerateRequest
from bastide.core.errors import Exhausted, Misconfigured, NotFound
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects import anthropic_errors
from bastide.dialects.anthropic import ANTHROPIC
from bastide.dialects.anthropic_messages import MessageWriter, decode, decode_count, encode_count
from bastide.dialects.surface import BUSY, UNAUTHENTICATED, Asked, Context, Problem, problem_of
from unit.dialect_cases import (
    INPUTS,
    VALUES,
    VECTORS,
    calling,
    cases,
    deltas_of,
    request_of,
    said_in,
    stream_of,
)

BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "x"}],
}


@pytest.mark.parametrize("case", cases("anthropic", "requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = decode(json.dumps(case["body"]).encode(), "ID")
    assert (asked.request, asked.stream) == (request_of(case["request"]), case["stream"])


@pytest.mark.parametrize("case", cases("anthropic", "refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    body = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()
    with pytest.raises(Misconfigured) as caught:
        decode(body, "ID")
    problem = problem_of(caught.value)
    assert (problem.status, problem.param, problem.code) == (400, case["place"], case["code"])
    if problem.param:
        assert problem.param in problem.message


def test_every_unsupported_field_is_named() -> None:
    with pytest.raises(Misconfigured) as caught:
        decode(json.dumps({**BODY, "speed": "fast", "mcp_servers": [1]}).encode(), "ID")
    assert set(caught.value.reasons) == {"speed", "mcp_servers"}


def test_bounds_of_a_conversation() -> None:
    turns = BODY["messages"] * (REQUEST_MESSAGES_MAX + 1)
    with pytest.raises(Misconfigured, match="at most"):
        decode(json.dumps({**BODY, "messages": turns}).encode(), "ID")


@pytest.mark.parametrize("field", ["tools", "messages", "metadata", "x"])
def test_deep_nesting_is_refused(field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    body = b'{"model":"m","max_tokens":5,"%b":%b}' % (field.encode(), deep)
    with pytest.raises(Misconfigured):
        decode(body, "ID")


def test_a_refusal_does_not_repeat_what_is_long() -> None:
    for body in (
        {**BODY, "x" * 100_000: 1},
        {**BODY, "messages": [{"role": "user", "content": [{"type": "y" * 100_000}]}]},
        {**BODY, "messages": [{"role": "z" * 100_000, "content": "x"}]},
    ):
        with pytest.raises(Misconfigured) as caught:
            decode(json.dumps(body).encode(), "ID")
        assert len(caught.value.message) < 1_000


def test_what_is_counted() -> None:
    tool = {"name": "f", "input_schema": {"type": "object"}}
    body = {"model": "m", "messages": BODY["messages"], "system": "s", "tools": [tool]}
    request = decode_count(json.dumps(body).encode(), "ID")
    assert [(turn.role, turn.content) for turn in request.messages] == [
        ("system", "s"),
        ("user", "x"),
    ]
    assert [tool.name for tool in request.tools] == ["f"]
    assert encode_count(12) == b'{"input_tokens":12}'
    for field in ("model", "messages"):
        with pytest.raises(Misconfigured, match=field):
            decode_count(json.dumps({**body, field: None}).encode(), "ID")


def test_results_count_as_messages() -> None:
    calls = [
        {"type": "tool_use", "id": f"c{index}", "name": "f", "input": {}}
        for index in range(REQUEST_MESSAGES_MAX)
    ]
    results = [{"type": "tool_result", "tool_use_id": call["id"]} for call in calls]
    turns = [
        *BODY["messages"],
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
    ]
    with pytest.raises(Misconfigured, match="at most"):
        decode(json.dumps({**BODY, "messages": turns}).encode(), "ID")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(Misconfigured):
        decode(body, "ID")


_OPTIONS = ("tools", "tool_choice", "output_config", "output_format", "thinking")


@given(
    st.sampled_from([*BODY, "system", "stop_sequences", "temperature", "top_p", *_OPTIONS]),
    VALUES,
)
def test_any_value_of_a_field_is_read_or_refused(field: str, value: object) -> None:
    try:
        asked = decode(json.dumps({**BODY, field: value}).encode(), "ID")
    except Misconfigured as error:
        assert error.message
    else:
        assert asked.request.messages


_BLOCK_FIELDS = ("text", "id", "name", "input", "tool_use_id", "content", "is_error", "caller")


@given(
    st.sampled_from(["user", "assistant"]),
    st.sampled_from(["text", "tool_use", "tool_result"]),
    st.dictionaries(st.sampled_from(_BLOCK_FIELDS), VALUES),
)
def test_any_block_is_read_or_refused(role: str, kind: str, fields: dict[str, object]) -> None:
    turns = [{"role": role, "content": [{**fields, "type": kind}]}, *BODY["messages"]]
    try:
        asked = decode(json.dumps({**BODY, "messages": turns}).encode(), "ID")
    except Misconfigured as error:
        assert error.message
    else:
        assert asked.request.messages


def written(case: dict[str, Any]) -> tuple[list[dict[str, Any]], bytes]:
    top = json.loads((VECTORS / "anthropic" / "answers.json").read_text())
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    context = Context(top["ident"], top["created"], top["model"], top["release"], asked)
    deltas = deltas_of(case)
    rows = events_of(stream_of(MessageWriter(context), deltas))
    return rows, MessageWriter(context).whole(said_in(deltas), deltas[-1])


def events_of(stream: bytes) -> list[dict[str, Any]]:
    rows = []
    for event in stream.removesuffix(b"\n\n").split(b"\n\n"):
        name, data = event.split(b"\n")
        row = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + row["type"].encode()  # the SDK drops events without a name
        rows.append(row)
    return rows


@pytest.mark.parametrize("case", cases("anthropic", "answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    rows, whole = written(case)
    assert rows == case["events"]
    assert json.loads(whole) == case["whole"]


@pytest.mark.parametrize("case", cases("anthropic", "answers"))
def test_the_sdks_types_accept_an_answer(case: dict[str, Any]) -> None:
    rows, whole = written(case)
    SdkMessage.model_validate_json(whole, strict=True)
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for row in rows:
        if row["type"] != "ping":
            assert adapter.validate_python(row).type == row["type"]


@given(st.text())
def test_any_text_survives_a_piece(text: str) -> None:
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    writer = MessageWriter(Context("ID", 1, 'm"\\u0000', "sha256:ab", asked))
    writer.piece("begin")
    event = writer.piece(text)
    assert event.count(b"\n") == 3  # no text can break out of its event
    (row,) = events_of(event)
    assert row["delta"]["text"] == text


@given(st.lists(INPUTS, max_size=4), st.data())
def test_a_stream_says_what_the_whole_answer_says(
    inputs: list[dict[str, Any]], data: st.DataObject
) -> None:
    deltas = calling(inputs, data)
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    context = Context("ID", 1, "m", "sha256:ab", asked)
    whole = json.loads(MessageWriter(context).whole(said_in(deltas), deltas[-1]))
    said: dict[int, str] = {}
    for row in events_of(stream_of(MessageWriter(context), deltas)):
        if row["type"] == "content_block_delta" and "partial_json" in row["delta"]:
            said[row["index"]] = said.get(row["index"], "") + row["delta"]["partial_json"]
    assert [json.loads(text) for text in said.values()] == inputs
    assert [block["input"] for block in whole["content"][1:]] == inputs


@pytest.mark.parametrize(
    ("problem", "status", "kind"),
    [
        (Problem(400, "x"), 400, "invalid_request_error"),
        (UNAUTHENTICATED, 401, "authentication_error"),
        (Problem(403, "x"), 403, "permission_error"),
        (problem_of(NotFound("x")), 404, "not_found_error"),
        (Problem(405, "x"), 405, "invalid_request_error"),
        (Problem(409, "x"), 409, "invalid_request_error"),
        (Problem(413, "x"), 413, "request_too_large"),
        (BUSY, 429, "rate_limit_error"),
        (problem_of(Exhausted("x", retry_after_s=1)), 429, "rate_limit_error"),
        (Problem(500, "x"), 500, "api_error"),
        (Problem(503, "x"), 529, "overloaded_error"),
    ],
)
def test_errors(problem: Problem, status: int, kind: str) -> None:
    refused = ANTHROPIC.refusal(problem, "ID")
    assert refused.status == status
    assert json.loads(refused.body) == {
        "type": "error",
        "error": {"type": kind, "message": problem.message},
        "request_id": "req_ID",
    }
    assert (("retry-after", "1") in refused.headers) == (status in (429, 529))
    assert (("retry-after-ms", "1000") in refused.headers) == (status in (429, 529))
    final = status == 409 or problem.code == "insufficient_quota"
    assert (("x-should-retry", "false") in refused.headers) == final
    assert ANTHROPIC.event(problem, "ID") == b"event: error\ndata: " + refused.body + b"\n\n"
    assert json.loads(anthropic_errors.encode_error(problem, ""))["request_id"] is None
