# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Ollama dialect against tests/vectors/ollama, and against the `ollama` SDK's own types."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse, GenerateResponse, ListResponse, ProcessResponse, ShowResponse

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
from bastide.core.errors import Misconfigured, NotAllowed, NotFound
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.core.snapshot import Served
from bastide.dialects import ollama_models
from bastide.dialects.families import find_route
from bastide.dialects.ollama import OLLAMA
from bastide.dialects.surface import BUSY, Asked, Context, Deny, Generate, Route, problem_of

VECTORS = Path(__file__).parent.parent / "vectors" / "ollama"
TYPES = {"/api/chat": ChatResponse, "/api/generate": GenerateResponse}
SERVED = Served("m", "sha256:" + "ab" * 32, "sha256:d", "m.sock", "node", "box", 2, 2048, 1)


def load(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / f"{name}.json").read_text())


def cases(name: str) -> list[Any]:
    return [pytest.param(row, id=f"{row['path'][5:]} {row['name']}") for row in load(name)["cases"]]


def route_of(path: str) -> Route:
    family, route = find_route(path, "", {})
    assert family is OLLAMA
    assert route is not None
    return route


def asked_of(path: str, body: bytes) -> Asked:
    action = route_of(path).action
    assert isinstance(action, Generate)
    return action.decode(body, "ID")


def message_of(turn: Any) -> Message:
    role, content, *more = turn
    if role == "tool":
        return Message(role, content, answers=more[0])
    return Message(role, content, tuple(ToolCall(*call) for call in (more or [[]])[0]))


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = asked_of(case["path"], json.dumps(case["body"]).encode())
    want = case["request"]
    assert asked.request == GenerateRequest(
        "ID",
        want["model"],
        tuple(message_of(turn) for turn in want["messages"]),
        want["prompt"],
        Sampling(**{**want["sampling"], "stop": tuple(want["sampling"]["stop"])}),
        tuple(
            Tool(
                row["name"],
                row["description"],
                compact(row["parameters"]),
                row.get("strict", False),
            )
            for row in want.get("tools", [])
        ),
        ToolChoice(),
        None if want.get("schema") is None else compact(want["schema"]),
    )
    assert asked.stream == case["stream"]


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        asked_of(case["path"], json.dumps(case["body"]).encode())
    refused = OLLAMA.refusal(problem_of(caught.value), "ID")
    assert refused.status == 400
    assert f"'{case['names']}'" in json.loads(refused.body)["error"]


def test_every_unsupported_field_is_named() -> None:
    body = {"model": "m", "prompt": "x", "think": True, "options": {"tfs_z": 3, "min_p": 0.1}}
    with pytest.raises(Misconfigured) as caught:
        asked_of("/api/generate", json.dumps(body).encode())
    assert set(caught.value.reasons) == {"think", "options.tfs_z", "options.min_p"}


def test_bounds_of_a_conversation() -> None:
    turns = [{"role": "user", "content": "x"}] * (REQUEST_MESSAGES_MAX + 1)
    with pytest.raises(Misconfigured, match="at most"):
        asked_of("/api/chat", json.dumps({"model": "m", "messages": turns}).encode())


@pytest.mark.parametrize("field", ["x", "tools", "messages", "format", "options"])
def test_deep_nesting_is_refused(field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    turns = b'"messages":[{"role":"user","content":"x"}]'
    with pytest.raises(Misconfigured):
        asked_of("/api/chat", b'{"model":"m",%b,"%b":%b}' % (turns, field.encode(), deep))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for path in TYPES:
        with pytest.raises(Misconfigured):
            asked_of(path, body)
    with pytest.raises(Misconfigured):
        ollama_models.named(body)


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    top = load("answers")
    route = route_of(case["path"])
    assert route.stream_type == "application/x-ndjson"
    assert isinstance(route.action, Generate)
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    context = Context(top["ident"], top["created"], top["model"], top["release"], asked, lambda: 5)
    *deltas, last = [
        Delta(
            row.get("text", ""),
            FinishReason(row["finish"]) if "finish" in row else None,
            Usage(*row["usage"]) if "usage" in row else None,
            CallPart(*row["call"]) if "call" in row else None,
        )
        for row in case["deltas"]
    ]
    writer, hearing = route.action.writer(context), Hearing()
    stream = writer.first()
    for delta in deltas:
        hearing.hear(delta)
        stream += writer.piece(delta.text) if delta.call is None else writer.call(delta.call)
    hearing.hear(last)
    *lines, rest = (stream + writer.last(last)).split(b"\n")
    assert rest == b""
    assert [json.loads(line) for line in lines] == case["events"]
    whole = route.action.writer(context).whole(hearing.said(), last)
    assert json.loads(whole) == case["whole"]
    for line in (*lines, whole):
        TYPES[case["path"]].model_validate_json(line)


@given(
    st.dictionaries(st.text(), st.none() | st.integers(-(2**53), 2**53) | st.text()),
    st.text(min_size=1),
    st.data(),
)
def test_any_arguments_survive_wherever_they_are_cut(
    arguments: dict[str, Any], name: str, data: st.DataObject
) -> None:
    context = Context("ID", 1, "m", "sha256:ab", Asked(GenerateRequest("ID", "m"), True, True))
    action = route_of("/api/chat").action
    assert isinstance(action, Generate)
    writer, text = action.writer(context), json.dumps(arguments)
    cut = data.draw(st.integers(0, len(text)))
    out = writer.call(CallPart(0, "a", name, text[:cut]))
    out += writer.call(CallPart(0, arguments=text[cut:]))
    out += writer.last(Delta("", FinishReason.TOOL_CALLS, Usage(1, 1)))
    line, end = map(json.loads, out.splitlines())
    (call,) = line["message"]["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == (name, arguments)
    assert (line["done"], end["done"], end["done_reason"]) == (False, True, "stop")


@given(st.text())
def test_any_text_survives_a_line(text: str) -> None:
    context = Context("ID", 1, "m", "sha256:ab", Asked(GenerateRequest("ID", "m"), True, True))
    for path, names in (("/api/chat", ("message", "content")), ("/api/generate", ("response",))):
        action = route_of(path).action
        assert isinstance(action, Generate)
        line = action.writer(context).piece(text)
        assert line.count(b"\n") == 1  # no text can break out of its line
        value = json.loads(line)
        for name in names:
            value = value[name]
        assert value == text


def test_models() -> None:
    row = ListResponse.model_validate_json(ollama_models.encode_tags([SERVED], "e")).models[0]
    assert (row.model, row.digest) == ("m", "ab" * 32)
    running = ProcessResponse.model_validate_json(ollama_models.encode_running([SERVED], "e"))
    assert running.models[0].context_length == 2048
    shown = ShowResponse.model_validate_json(ollama_models.encode_model(SERVED, "e"))
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["bastide.release"] == SERVED.release
    assert "version" in json.loads(ollama_models.encode_version([], "e"))


@pytest.mark.parametrize("field", ["model", "name"])
def test_the_model_that_is_shown(field: str) -> None:
    assert ollama_models.named(json.dumps({field: "m:latest", "verbose": True}).encode()) == "m"


@pytest.mark.parametrize("action", ["delete", "pull", "push", "create", "copy", "blobs/sha256:ab"])
def test_what_would_change_models_is_forbidden(action: str) -> None:
    deny = route_of(f"/api/{action}").action
    assert isinstance(deny, Deny)
    with pytest.raises(NotAllowed) as caught:
        deny.refuse(b'{"model":"m"}', "ID")
    assert OLLAMA.refusal(problem_of(caught.value), "").status == 403


def test_errors() -> None:
    problem = problem_of(NotFound("gone"))
    refused = OLLAMA.refusal(problem, "ID")
    assert (refused.status, json.loads(refused.body)) == (404, {"error": "gone"})
    assert OLLAMA.event(problem, "ID") == refused.body + b"\n"
    assert ("retry-after", "1") in OLLAMA.refusal(BUSY, "").headers
