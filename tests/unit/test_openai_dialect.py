# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The OpenAI dialect against tests/vectors/openai, and against the `openai` SDK's own types."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from bastide.core.chat import (
    Delta,
    FinishReason,
    GenerateRequest,
    Message,
    Said,
    Sampling,
    ToolCall,
    Usage,
)
from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotAllowed,
    NotFound,
    Unavailable,
    Waiting,
)
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects import openai_chat, openai_completions
from bastide.dialects.openai_errors import encode_event, encode_problem
from bastide.dialects.surface import Asked, Context, problem_of

VECTORS = Path(__file__).parent.parent / "vectors" / "openai"
DECODE = {
    "/v1/chat/completions": openai_chat.decode,
    "/v1/completions": openai_completions.decode,
}
WRITER = {
    "/v1/chat/completions": openai_chat.ChatWriter,
    "/v1/completions": openai_completions.CompletionWriter,
}


def cases(name: str) -> list[Any]:
    rows = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return [pytest.param(row, id=f"{row['endpoint'][4:]} {row['name']}") for row in rows]


def message_of(
    role: str, text: str, calls: Sequence[Sequence[str]] = (), answers: str = ""
) -> Message:
    return Message(role, text, tuple(ToolCall(*call) for call in calls), answers)


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = DECODE[case["endpoint"]](json.dumps(case["body"]).encode(), "ID")
    want = case["request"]
    assert asked.request.ident == "ID"
    assert asked.request.model == want["model"]
    assert asked.request.messages == tuple(message_of(*turn) for turn in want["messages"])
    assert asked.request.prompt == want["prompt"]
    sampling = {**want["sampling"], "stop": tuple(want["sampling"]["stop"])}
    assert asked.request.sampling == Sampling(**sampling)
    assert (asked.stream, asked.usage) == (case["stream"], case["usage"])


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    body = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()
    with pytest.raises(Misconfigured) as caught:
        DECODE[case["endpoint"]](body, "ID")
    problem = problem_of(caught.value)
    assert (problem.status, problem.param, problem.code) == (400, case["param"], case["code"])
    if problem.param:
        assert problem.param in problem.message


def test_every_unsupported_field_is_named() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "logprobs": True, "n": 3}
    with pytest.raises(Misconfigured) as caught:
        openai_chat.decode(json.dumps(body).encode(), "ID")
    assert set(caught.value.reasons) == {"logprobs", "n"}


def test_bounds_of_a_conversation() -> None:
    turn = {"role": "user", "content": "x"}
    body = {"model": "m", "messages": [turn] * (REQUEST_MESSAGES_MAX + 1)}
    with pytest.raises(Misconfigured, match="at most"):
        openai_chat.decode(json.dumps(body).encode(), "ID")


@pytest.mark.attacks("C55")
@pytest.mark.parametrize("field", ["x", "tools", "messages", "response_format"])
def test_deep_nesting_is_refused(field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"%b":%b}' % (
        field.encode(),
        deep,
    )
    with pytest.raises(Misconfigured):
        openai_chat.decode(body, "ID")


@pytest.mark.attacks("C55")
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for decode in DECODE.values():
        with pytest.raises(Misconfigured):
            decode(body, "ID")


def deltas_of(case: dict[str, Any]) -> list[Delta]:
    return [
        Delta(
            row["text"],
            FinishReason(row["finish"]) if "finish" in row else None,
            Usage(*row["usage"]) if "usage" in row else None,
        )
        for row in case["deltas"]
    ]


def written(case: dict[str, Any]) -> tuple[bytes, bytes]:
    top = json.loads((VECTORS / "answers.json").read_text())
    asked = Asked(GenerateRequest("ID", "m"), True, case["usage"])
    context = Context(top["ident"], top["created"], top["model"], top["release"], asked)
    writer = WRITER[case["endpoint"]](context)
    *pieces, last = deltas_of(case)
    stream = writer.first() + b"".join(writer.piece(delta.text) for delta in pieces)
    text = "".join(row["text"] for row in case["deltas"])
    return stream + writer.last(last), writer.whole(Said(text), last)


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    stream, whole = written(case)
    assert stream.endswith(b"\n\n")
    events = [
        event.removeprefix(b"data: ") for event in stream.removesuffix(b"\n\n").split(b"\n\n")
    ]
    assert events.pop() == b"[DONE]"
    assert [json.loads(event) for event in events] == case["events"][:-1]
    assert json.loads(whole) == case["whole"]


@pytest.mark.parametrize("case", cases("answers"))
def test_the_sdks_types_accept_an_answer(case: dict[str, Any]) -> None:
    stream, whole = written(case)
    chat = case["endpoint"].startswith("/v1/chat")
    (ChatCompletion if chat else Completion).model_validate_json(whole, strict=True)
    if chat:  # for plain completions the SDK's type forbids the null that the API sends
        for event in stream.split(b"\n\n")[:-2]:
            ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: "), strict=True)


@given(st.text())
def test_any_text_survives_a_chunk(text: str) -> None:
    for writer_class, path in (
        (openai_chat.ChatWriter, ("delta", "content")),
        (openai_completions.CompletionWriter, ("text",)),
    ):
        asked = Asked(GenerateRequest("ID", "m"), True, False)
        writer = writer_class(Context("ID", 1, 'm"\\u0000', "sha256:ab", asked))
        event = writer.piece(text)
        assert event.count(b"\n") == 2  # no text can break out of its event
        value = json.loads(event.removeprefix(b"data: "))["choices"][0]
        for name in path:
            value = value[name]
        assert value == text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Misconfigured("x", place="n"), 400, "invalid_value"),
        (NotAllowed("x"), 403, "model_not_allowed"),
        (NotFound("x"), 404, "model_not_found"),
        (Unavailable("x"), 503, "service_unavailable"),
        (Waiting("x"), 409, "waiting"),
    ],
)
def test_errors_become_problems(error: BastideError, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    body = json.loads(encode_problem(problem))["error"]
    assert set(body) == {"message", "type", "param", "code"}
    assert encode_event(problem) == b"data: " + encode_problem(problem) + b"\n\n"
