# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Responses API against tests/vectors/openai/responses.json, and the SDK's own types."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from bastide.core.chat import (
    CallPart,
    ChoiceMode,
    Delta,
    FinishReason,
    Hearing,
    Message,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from bastide.core.errors import Misconfigured, Unavailable
from bastide.dialects.openai import OPENAI
from bastide.dialects.openai_responses import decode
from bastide.dialects.openai_responses_writer import ResponseWriter
from bastide.dialects.surface import Context, problem_of

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "openai" / "responses.json").read_text()
)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def cases(name: str) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in VECTORS[name]]


def message_of(row: list[Any]) -> Message:
    role, content, calls, answers = row
    return Message(role, content, tuple(ToolCall(*call) for call in calls), answers)


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = decode(json.dumps(case["body"]).encode(), "ID")
    request = asked.request
    assert (request.ident, request.model, request.prompt) == ("ID", "smollm2", None)
    assert request.messages == tuple(map(message_of, case["messages"]))
    assert request.tools == tuple(Tool(*tool) for tool in case["tools"])
    mode, name, parallel = case["choice"]
    assert request.choice == ToolChoice(ChoiceMode(mode), name, parallel)
    assert request.schema == case["schema"]
    assert request.sampling.max_tokens == case["max_tokens"]
    assert asked.stream == case["stream"]


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        decode(json.dumps(case["body"]).encode(), "ID")
    problem = problem_of(caught.value)
    assert (problem.status, problem.param, problem.code) == (400, case["param"], case["code"])
    assert case["param"] in problem.message


def test_what_was_not_kept_is_said() -> None:
    body = {"model": "m", "input": "x", "previous_response_id": "resp_1", "background": True}
    with pytest.raises(Misconfigured, match="No response is kept here") as caught:
        decode(json.dumps(body).encode(), "ID")
    assert set(caught.value.reasons) == {"previous_response_id", "background"}


def writer_of(**body: Any) -> ResponseWriter:
    asked = decode(json.dumps({"model": "m", "input": "x", **body}).encode(), "ID")
    return ResponseWriter(Context("ID", 1_700_000_000, "smollm2", "sha256:ab", asked))


def stream_of(writer: ResponseWriter, deltas: list[Delta]) -> list[Any]:
    out = writer.first()
    for delta in deltas:
        if delta.finish is not None:
            out += writer.last(delta)
        elif delta.call is not None:
            out += writer.call(delta.call)
        else:
            out += writer.piece(delta.text)
    return rows_of(out)


def rows_of(out: bytes) -> list[Any]:
    *blocks, empty = out.split(b"\n\n")
    assert empty == b""
    rows = []
    for block in blocks:
        name, _, data = block.partition(b"\ndata: ")
        rows.append(json.loads(data))
        assert name == b"event: " + rows[-1]["type"].encode()
    return rows


def whole_of(writer: ResponseWriter, deltas: list[Delta]) -> Any:
    hearing = Hearing()
    for delta in deltas:
        hearing.hear(delta)
    return json.loads(writer.whole(hearing.said(), deltas[-1]))


MIXED = [
    Delta("Hé"),
    Delta('"\0\n'),
    Delta(call=CallPart(0, "call_1", "f")),
    Delta(call=CallPart(0, arguments='{"a"')),
    Delta(call=CallPart(0, arguments=":1}")),
    Delta(call=CallPart(1, "call_2", "g", "{}")),
    Delta("", FinishReason.TOOL_CALLS, Usage(12, 9, 8)),
]


def test_a_stream_of_text_and_calls() -> None:
    rows = stream_of(writer_of(), MIXED)
    assert [row["type"].removeprefix("response.") for row in rows] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [row["sequence_number"] for row in rows] == list(range(len(rows)))
    for row in rows:
        EVENT.validate_python(row)
    added = [row for row in rows if row["type"] == "response.output_item.added"]
    assert [row["output_index"] for row in added] == [0, 1, 2]
    idents = {row["item"]["id"] for row in added}
    assert idents == {row["item_id"] for row in rows if "item_id" in row}
    whole = whole_of(writer_of(), MIXED)
    assert rows[-1]["response"] == whole
    Response.model_validate_json(json.dumps(whole), strict=True)
    assert whole["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 21,
    }


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (FinishReason.STOP, "completed", None),
        (FinishReason.LENGTH, "incomplete", "max_output_tokens"),
        (FinishReason.FILTERED, "incomplete", "content_filter"),
    ],
)
def test_an_end(finish: FinishReason, status: str, reason: str | None) -> None:
    deltas = [Delta("x"), Delta("", finish, Usage(1, 1))]
    rows = stream_of(writer_of(), deltas)
    assert rows[-1]["type"] == f"response.{status}"
    response = rows[-1]["response"]
    assert response == whole_of(writer_of(), deltas)
    assert (response["status"], response["output"][0]["status"]) == (status, status)
    assert response["incomplete_details"] == (reason and {"reason": reason})


def test_an_answer_of_nothing_has_an_empty_message() -> None:
    deltas = [Delta("", FinishReason.STOP, Usage(1, 0))]
    rows = stream_of(writer_of(), deltas)
    assert rows[-1]["response"] == whole_of(writer_of(), deltas)
    assert Response.model_validate(rows[-1]["response"]).output_text == ""


def test_an_answer_repeats_its_request() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    writer = writer_of(
        instructions="Brief.",
        tools=[tool],
        tool_choice="none",
        text={"format": form},
        metadata={"a": "b"},
        store=True,
        max_output_tokens=7,
        parallel_tool_calls=False,
    )
    whole = whole_of(writer, [Delta("{}"), Delta("", FinishReason.STOP, Usage(1, 1))])
    assert whole["tools"] == [{**tool, "description": None}]
    assert whole["text"] == {"format": {**form, "description": None}, "verbosity": "medium"}
    assert (whole["instructions"], whole["tool_choice"]) == ("Brief.", "none")
    assert (whole["max_output_tokens"], whole["parallel_tool_calls"]) == (7, False)
    assert (whole["store"], whole["previous_response_id"]) == (False, None)
    Response.model_validate_json(json.dumps(whole), strict=True)


@pytest.mark.parametrize(
    "part",
    [
        b'"text":{"\xff":1}',
        b'"text":{"format":{"type":"text","x":"\xff"}}',
        b'"tool_choice":{"type":"function","name":"f","x":"\xff"},'
        b'"tools":[{"type":"function","name":"f"}]',
    ],
)
def test_bytes_that_are_no_text_are_not_repeated(part: bytes) -> None:
    try:
        asked = decode(b'{"model":"m","input":"x",' + part + b"}", "ID")
    except Misconfigured:
        return
    writer = ResponseWriter(Context("ID", 1, "m", "sha256:ab", asked))
    writer.first().decode()  # raises if such bytes are in it


def test_a_stream_that_fails() -> None:
    writer = writer_of()
    rows = rows_of(
        writer.first() + writer.piece("x") + writer.failed(problem_of(Unavailable("gone")))
    )
    *_, failed, error = rows
    assert [row["sequence_number"] for row in rows] == list(range(len(rows)))
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "server_error", "message": "gone"}
    assert (error["type"], error["message"]) == ("error", "gone")
    assert error["error"]["message"] == "gone"  # what makes the client for Python raise
    for row in rows:
        EVENT.validate_python(row)


def test_paths_below_responses() -> None:
    for path in ("/v1/responses", "/v1/responses/resp_1", "/v1/responses/a/cancel"):
        assert OPENAI.route(path, "", {}) is not None
    for path in ("/v1/responsesx", "/v1/response", "/responses"):
        assert OPENAI.route(path, "", {}) is None


@given(st.lists(st.text(max_size=6), max_size=6), st.lists(st.text(max_size=6), max_size=6))
def test_what_is_streamed_is_the_whole_answer(texts: list[str], arguments: list[str]) -> None:
    deltas = [Delta(text) for text in texts if text]
    deltas.append(Delta(call=CallPart(0, "c", "f")))
    deltas += [Delta(call=CallPart(0, arguments=piece)) for piece in arguments]
    deltas.append(Delta("", FinishReason.TOOL_CALLS, Usage(1, 1)))
    rows = stream_of(writer_of(), deltas)
    assert rows[-1]["response"] == whole_of(writer_of(), deltas)
    said = {"response.output_text.delta": "", "response.function_call_arguments.delta": ""}
    for row in rows:
        if row["type"] in said:
            said[row["type"]] += row["delta"]
    assert list(said.values()) == ["".join(texts), "".join(arguments)]


WORDS = st.sampled_from(
    ["f", "auto", "function", "message", "function_call", "function_call_output", "user", "c1",
     "assistant", "input_text", "json_schema", "allowed_tools", "required", ""]
)  # fmt: skip
NAMES = st.sampled_from(
    ["type", "name", "parameters", "call_id", "arguments", "role", "content", "output", "text",
     "format", "schema", "tools", "mode", "effort"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["input", "tools", "tool_choice", "text", "reasoning", "include", "metadata", "instructions"]
)


@given(st.dictionaries(FIELDS, VALUES, max_size=4))
def test_anything_is_read_or_refused(fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "input": "x", **fields}).encode()
    try:
        asked = decode(body, "ID")
    except Misconfigured as refused:
        assert refused.message
        return
    writer = ResponseWriter(Context("ID", 1, "m", "sha256:ab", asked))
    assert rows_of(writer.first())[0]["type"] == "response.created"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(Misconfigured):
        decode(body, "ID")


@pytest.mark.parametrize("field", ["x", "input", "tools", "text", "tool_choice", "prompt"])
def test_deep_nesting_is_refused(field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(Misconfigured):
        decode(b'{"model":"m","input":"x","%b":%b}' % (field.encode(), deep), "ID")
