# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools, calls and schemas of chat completions against tests/vectors/openai/tools.json."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from bastide.core.chat import (
    CallPart,
    ChoiceMode,
    Delta,
    FinishReason,
    GenerateRequest,
    Hearing,
    Message,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from bastide.core.errors import Misconfigured, NotFound, TooLong, Waiting
from bastide.dialects import openai_chat, openai_errors
from bastide.dialects.openai_chat_writer import ChatWriter, FunctionsAsked, MistralWriter
from bastide.dialects.surface import UNAUTHENTICATED, Asked, Context, Writer, problem_of

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "openai" / "tools.json").read_text()
)


def cases(name: str) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in VECTORS[name]]


def message_of(row: list[Any]) -> Message:
    role, content, calls, answers = row
    return Message(role, content, tuple(ToolCall(*call) for call in calls), answers)


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = openai_chat.decode(json.dumps(case["body"]).encode(), "ID")
    request = asked.request
    assert request.tools == tuple(Tool(*tool) for tool in case["tools"])
    mode, name, parallel = case["choice"]
    assert request.choice == ToolChoice(ChoiceMode(mode), name, parallel)
    assert request.schema == case["schema"]
    assert request.messages == tuple(map(message_of, case["messages"]))
    assert isinstance(asked, FunctionsAsked) == ("functions" in case["body"])


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        openai_chat.decode(json.dumps(case["body"]).encode(), "ID")
    problem = problem_of(caught.value)
    assert (problem.status, problem.param, problem.code) == (400, case["param"], case["code"])
    assert case["param"] in problem.message


def writer_of(kind: str) -> Writer:
    made = FunctionsAsked if kind == "functions" else Asked
    asked = made(GenerateRequest("ID", "m"), True, False)
    names = ("ident", "created", "model", "release")
    context = Context(*(VECTORS[name] for name in names), asked)
    return MistralWriter(context) if kind == "mistral" else ChatWriter(context)


def deltas_of(case: dict[str, Any]) -> list[Delta]:
    return [
        Delta(
            row.get("text", ""),
            FinishReason(row["finish"]) if "finish" in row else None,
            Usage(*row["usage"]) if "usage" in row else None,
            CallPart(*row["call"]) if "call" in row else None,
        )
        for row in case["deltas"]
    ]


def stream_of(writer: Writer, deltas: list[Delta]) -> list[Any]:
    out = writer.first()
    for delta in deltas:
        if delta.finish is not None:
            out += writer.last(delta)
        elif delta.call is not None:
            out += writer.call(delta.call)
        else:
            out += writer.piece(delta.text)
    *rows, done, empty = out.split(b"\n\n")
    assert (done, empty) == (b"data: [DONE]", b"")
    return [json.loads(row.removeprefix(b"data: ")) for row in rows]


def whole_of(writer: Writer, deltas: list[Delta]) -> Any:
    hearing = Hearing()
    for delta in deltas:
        hearing.hear(delta)
    return json.loads(writer.whole(hearing.said(), deltas[-1]))


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    deltas = deltas_of(case)
    events = stream_of(writer_of(case["writer"]), deltas)
    whole = whole_of(writer_of(case["writer"]), deltas)
    assert events == case["events"]
    assert whole == case["whole"]
    # And the SDK's own types accept it.
    ChatCompletion.model_validate_json(json.dumps(whole), strict=True)
    for event in events:
        ChatCompletionChunk.model_validate_json(json.dumps(event), strict=True)


CALLS = st.lists(
    st.tuples(st.text(min_size=1, max_size=8), st.lists(st.text(max_size=6), max_size=4)),
    min_size=1,
    max_size=4,
)


@given(CALLS, st.text(max_size=6), st.sampled_from(["openai", "mistral"]))
def test_streamed_arguments_are_those_of_the_whole_answer(
    calls: list[tuple[str, list[str]]], text: str, kind: str
) -> None:
    deltas = [Delta(text)] if text else []
    for index, (name, pieces) in enumerate(calls):
        deltas.append(Delta(call=CallPart(index, f"c{index}", name)))
        deltas += [Delta(call=CallPart(index, arguments=piece)) for piece in pieces]
    deltas.append(Delta("", FinishReason.TOOL_CALLS, Usage(1, 1)))
    whole = whole_of(writer_of(kind), deltas)["choices"][0]["message"]
    heard: dict[int, dict[str, str]] = {}
    said = ""
    for event in stream_of(writer_of(kind), deltas):
        delta = event["choices"][0]["delta"]
        said += delta.get("content") or ""
        for row in delta.get("tool_calls", []):
            one = heard.setdefault(row["index"], {"arguments": "", "name": ""})
            one["arguments"] += row["function"]["arguments"]
            one["name"] += row["function"].get("name", "")
    assert list(heard.values()) == [row["function"] for row in whole["tool_calls"]]
    assert said == (whole["content"] or "")


WORDS = st.sampled_from(
    ["f", "auto", "none", "function", "tool", "user", "assistant", "c1", "text", "json_schema", ""]
)
NAMES = st.sampled_from(
    ["type", "function", "name", "parameters", "id", "arguments", "role", "content", "tool_calls",
     "tool_call_id", "text", "json_schema", "schema", "allowed_tools", "tools", "mode"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["tools", "tool_choice", "functions", "function_call", "response_format", "messages",
     "parallel_tool_calls"]
)  # fmt: skip


@given(st.dictionaries(FIELDS, VALUES, max_size=4))
def test_anything_is_read_or_refused(fields: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    try:
        asked = openai_chat.decode(json.dumps(body).encode(), "ID")
    except Misconfigured as refused:
        assert refused.message
    else:
        name = asked.request.choice.name
        assert name is None or name in {tool.name for tool in asked.request.tools}
        assert all(isinstance(json.loads(tool.parameters), dict) for tool in asked.request.tools)


def test_a_prompt_that_is_too_long_has_a_code_of_its_own() -> None:
    problem = problem_of(TooLong("the prompt has 9 tokens"))
    assert (problem.status, problem.code) == (400, "context_length_exceeded")
    assert problem_of(NotFound("x", reasons=["response_not_found"])).code == "response_not_found"


def test_where_trying_again_is_of_no_use_the_refusal_says_so() -> None:
    no = ("x-should-retry", "false")
    for problem in (problem_of(Waiting("x")), problem_of(Misconfigured("x")), UNAUTHENTICATED):
        assert no in openai_errors.headers(problem)
    busy = openai_errors.headers(problem_of(NotFound("x")))
    assert no in busy
