# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Google dialect against tests/vectors/google, and against the google-genai SDK's own types."""

import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.chat import (
    CallPart,
    Delta,
    FinishReason,
    GenerateRequest,
    Hearing,
    Message,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX, REQUEST_TOOLS_MAX
from bastide.dialects import google_generate
from bastide.dialects.google import GOOGLE, GOOGLE_ARRAY
from bastide.dialects.google_answer import ArrayWriter, AskedForWord, SseWriter
from bastide.dialects.google_errors import encode_problem
from bastide.dialects.google_schema import google_schema
from bastide.dialects.surface import (
    Asked,
    Context,
    Problem,
    problem_of,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "google"
HI = {"role": "user", "parts": [{"text": "Hi"}]}
decode = partial(google_generate.decode, model="m", stream=False)


def cases(name: str) -> list[Any]:
    rows = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return [pytest.param(row, id=row["name"]) for row in rows]


# Requests


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = decode(json.dumps(case["body"]).encode(), "ID")
    sampling = Sampling(**{**case["sampling"], "stop": tuple(case["sampling"]["stop"])})
    request = GenerateRequest(
        "ID",
        "m",
        tuple(message_of(turn) for turn in case["messages"]),
        None,
        sampling,
        tuple(
            Tool(
                row["name"],
                row["description"],
                compact(row["parameters"]),
                row.get("strict", False),
            )
            for row in case.get("tools", [])
        ),
        ToolChoice(*case.get("choice", ())),
        None if case.get("schema") is None else compact(case["schema"]),
    )
    kind = AskedForWord if case.get("word") else Asked
    assert asked == kind(request, False, True)


def message_of(turn: Any) -> Message:
    role, content, *more = turn
    if role == "tool":
        return Message(role, content, answers=more[0])
    return Message(role, content, tuple(ToolCall(*call) for call in (more or [[]])[0]))


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    body = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()
    with pytest.raises(Misconfigured) as caught:
        decode(body, "ID")
    problem = problem_of(caught.value)
    assert (problem.status, problem.param, problem.code) == (400, case["param"], case["code"])
    assert (problem.param or "").rpartition(".")[2] in problem.message
    error = json.loads(encode_problem(problem))["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")


def test_every_unsupported_field_is_named() -> None:
    image = {"role": "user", "parts": [{"inlineData": {}}]}
    body = {
        "contents": [image],
        "tools": [{"googleSearch": {}}],
        "generationConfig": {"logprobs": 1},
    }
    with pytest.raises(Misconfigured) as caught:
        decode(json.dumps(body).encode(), "ID")
    wanted = {
        "tools[0].googleSearch",
        "generationConfig.logprobs",
        "contents[0].parts[0].inlineData",
    }
    assert set(caught.value.reasons) == wanted


def test_a_refusal_of_much_is_short() -> None:
    body = {"contents": [{"parts": [{"inlineData": {}}] * 50_000}]}
    for refused in (body, {"x" * 100_000: 1}):
        with pytest.raises(Misconfigured) as caught:
            decode(json.dumps(refused).encode(), "ID")
        assert len(caught.value.message) < 2_000
        assert len(caught.value.place) < 100


def test_bounds_of_a_conversation() -> None:
    body = {"contents": [HI] * (REQUEST_MESSAGES_MAX + 1)}
    with pytest.raises(Misconfigured, match="at most"):
        decode(json.dumps(body).encode(), "ID")


def test_bounds_of_tools_and_schemas() -> None:
    def refused(**more: Any) -> str:
        with pytest.raises(Misconfigured) as caught:
            decode(json.dumps({"contents": [HI], **more}).encode(), "ID")
        return caught.value.message

    many = [{"name": f"f{index}"} for index in range(REQUEST_TOOLS_MAX + 1)]
    assert "at most" in refused(tools=[{"functionDeclarations": many}])
    calls = [{"functionCall": {"name": "f"}}] * (REQUEST_MESSAGES_MAX + 1)
    assert "at most" in refused(contents=[{"role": "model", "parts": calls}])
    deep: dict[str, Any] = {"type": "STRING"}
    for _ in range(700):
        deep = {"type": "ARRAY", "items": deep}
    large = {"type": "OBJECT", "properties": {f"p{index:09}": {} for index in range(10_000)}}
    for schema, why in ((deep, "nested deeper"), (large, "bytes")):
        declared = {"name": "f", "parameters": schema}
        assert why in refused(tools=[{"functionDeclarations": [declared]}])
        config = {"responseMimeType": "application/json", "responseSchema": schema}
        assert why in refused(generationConfig=config)


def test_what_is_counted() -> None:
    count = partial(google_generate.decode_count, model="m")
    whole = {"contents": [HI], "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    plain = count(json.dumps(whole).encode(), "ID")
    assert [turn.role for turn in plain.messages] == ["system", "user"]
    inside = {"generateContentRequest": {**whole, "model": "models/m", "safetySettings": []}}
    assert count(json.dumps(inside).encode(), "ID") == plain
    snake = {"generate_content_request": {"contents": [HI], "tools": [{"google_search": {}}]}}
    for body, place in (
        ({**inside, "contents": [HI]}, "generateContentRequest"),
        (snake, "tools[0].googleSearch"),
        ({}, "contents"),
        ({"contents": [HI], "safetySettings": []}, "safetySettings"),
    ):
        with pytest.raises(Misconfigured) as caught:
            count(json.dumps(body).encode(), "ID")
        assert caught.value.place == place


@pytest.mark.parametrize("field", ["x", "tools", "contents", "safetySettings"])
def test_deep_nesting_is_refused(field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(Misconfigured):
        decode(b'{"contents":[{"parts":[{"text":"x"}]}],"%b":%b}' % (field.encode(), deep), "ID")


NAMES = st.sampled_from(
    [
        *("contents", "parts", "text", "role", "systemInstruction", "tools", "inlineData", "x"),
        *("generationConfig", "generation_config", "temperature", "seed", "topP", "stopSequences"),
        *("maxOutputTokens", "toolConfig", "thinkingConfig", "functionDeclarations", "name"),
        *("functionCall", "functionResponse", "args", "response", "responseSchema", "type"),
        *("properties", "anyOf", "nullable", "functionCallingConfig", "mode", "enum"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.dictionaries(NAMES, VALUES, max_size=5).map(lambda row: json.dumps(row).encode())
)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Misconfigured):
        assert decode(body, "ID").request.messages


# Answers


def context(model: str = "smollm2", *, word: bool = False) -> Context:
    kind = AskedForWord if word else Asked
    asked = kind(GenerateRequest("ID", "m"), True, True)
    return Context("ID", 1_700_000_000, model, "sha256:ab", asked)


def delta_of(row: dict[str, Any]) -> Delta:
    return Delta(
        row.get("text", ""),
        FinishReason(row["finish"]) if "finish" in row else None,
        Usage(*row["usage"]) if "usage" in row else None,
        CallPart(*row["call"]) if "call" in row else None,
    )


def written(make: type[SseWriter], case: dict[str, Any]) -> bytes:
    asked = context(word=case.get("word", False))
    *deltas, last = map(delta_of, case["deltas"])
    hearing = Hearing()
    for delta in (*deltas, last):
        hearing.hear(delta)
    assert json.loads(make(asked).whole(hearing.said(), last)) == case["whole"]
    writer = make(asked)
    out = writer.first()
    for delta in deltas:
        out += writer.piece(delta.text) if delta.call is None else writer.call(delta.call)
    return out + writer.last(last)


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    events = written(SseWriter, case).split(b"\r\n\r\n")
    assert events.pop() == b""
    assert all(event.startswith(b"data: ") for event in events)
    assert [json.loads(event[6:]) for event in events] == case["chunks"]
    assert json.loads(written(ArrayWriter, case)) == case["chunks"]
    for row in [*case["chunks"], case["whole"]]:
        types.GenerateContentResponse.model_validate(row)


@given(st.text() | st.sampled_from(["\x85", "a\u2028b\u2029", "€\u2027"]))
def test_any_text_survives_a_chunk(text: str) -> None:
    event = SseWriter(context('m"\\u0000')).piece(text)
    assert len(event.decode().splitlines()) == 2  # no text can break out of its event
    array = ArrayWriter(context()).piece(text) + b"]"
    for value in (json.loads(event[6:]), json.loads(array)[0]):
        assert value["candidates"][0]["content"]["parts"][0]["text"] == text


ARGUMENTS = st.dictionaries(st.text(), st.none() | st.integers(-(2**53), 2**53) | st.text())


@given(ARGUMENTS, st.text(min_size=1), st.data())
def test_any_arguments_survive_wherever_they_are_cut(
    arguments: dict[str, Any], name: str, data: st.DataObject
) -> None:
    text = json.dumps(arguments)
    cut = data.draw(st.integers(0, len(text)))
    parts = [CallPart(0, "a", name, text[:cut]), CallPart(0, arguments=text[cut:])]
    writer = SseWriter(context())
    out = b"".join(writer.call(part) for part in parts)
    out += writer.call(CallPart(1, "b", "g", "{}"))
    out += writer.last(Delta("", FinishReason.TOOL_CALLS, Usage(1, 1)))
    events = [json.loads(row[6:]) for row in out.decode().split("\r\n\r\n")[:-1]]
    calls = [row["candidates"][0]["content"]["parts"][0]["functionCall"] for row in events]
    assert calls == [
        {"id": "a", "name": name, "args": arguments},
        {"id": "b", "name": "g", "args": {}},
    ]


@given(VALUES)
def test_any_schema_is_read_or_refused(value: Any) -> None:
    with contextlib.suppress(Misconfigured):
        assert isinstance(json.loads(google_schema(value, "x")), dict)


def test_failed_streams_end_in_an_error() -> None:
    problem = Problem(503, "gone")
    error = {"code": 503, "message": "gone", "status": "UNAVAILABLE", "details": []}
    event = GOOGLE.event(problem, "ID")
    assert event.endswith(b"\r\n\r\n")
    assert json.loads(event.removeprefix(b"data: ")) == {"error": error}
    array = ArrayWriter(context()).piece("x") + GOOGLE_ARRAY.event(problem, "ID")
    assert json.loads(array + b"]")[1] == {"error": error}  # which is not sent
