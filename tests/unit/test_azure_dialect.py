# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Azure dialect against tests/vectors/azure: OpenAI's bodies with Azure's paths and fields."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Said, Sampling, Usage
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotFound, Unavailable
from bastide.dialects.azure import AZURE
from bastide.dialects.families import find_route
from bastide.dialects.openai import OPENAI
from bastide.dialects.surface import (
    BUSY,
    UNAUTHENTICATED,
    Asked,
    Context,
    Deny,
    Generate,
    Headers,
    Problem,
    Route,
    Single,
    Writer,
    problem_of,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "azure"
CHAT = "/openai/deployments/smollm2/chat/completions"


def load(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / f"{name}.json").read_text())


def cases(name: str) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in load(name)["cases"]]


def route_of(path: str) -> Route:
    family, route = find_route(path, "api-version=2024-10-21", {})
    assert family is AZURE
    assert route is not None
    return route


def asked_of(path: str, body: bytes) -> Asked:
    action = route_of(path).action
    if isinstance(action, Deny):
        return action.refuse(body, "ID")
    assert isinstance(action, Generate)
    return action.decode(body, "ID")


def writer_of(path: str, context: Context) -> Writer:
    action = route_of(path).action
    assert isinstance(action, Generate)
    return action.writer(context)


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = asked_of(case["path"], json.dumps(case["body"]).encode())
    want = case["request"]
    sampling = Sampling(**{**want["sampling"], "stop": tuple(want["sampling"]["stop"])})
    turns = tuple(Message(*turn) for turn in want["messages"])
    assert asked.request == GenerateRequest("ID", want["model"], turns, want["prompt"], sampling)
    assert (asked.stream, asked.usage) == (case["stream"], case["usage"])


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        asked_of(case["path"], json.dumps(case["body"]).encode())
    refused = AZURE.refusal(problem_of(caught.value), "ID")
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["param"], error["code"]) == (400, case["param"], case["code"])
    assert case["param"] in error["message"]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for path in (CHAT, "/openai/deployments/m/completions", "/openai/v1/chat/completions"):
        with pytest.raises(Misconfigured):
            asked_of(path, body)


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=60))
def test_any_path_is_known_or_not(rest: str) -> None:
    for root in ("/openai", "/openai/", "/openai/deployments/", "/openai/v1/"):
        AZURE.route(root + rest, "", {})
    route = AZURE.route(f"/openai/models/{rest}", "", {})
    assert route is not None
    assert isinstance(route.action, Single)


def test_responses_lie_beside_deployments() -> None:
    for path in ("/openai/responses", "/openai/v1/responses"):
        assert AZURE.route(path, "", {}) is OPENAI.route("/v1/responses", "", {})
    problem = problem_of(NotFound("x", reasons=["response_not_found"]))
    error = json.loads(AZURE.refusal(problem, "ID").body)["error"]
    assert error == {"code": "response_not_found", "message": "x"}
    problem = problem_of(NotFound("x", reasons=["guard_not_found"]))
    error = json.loads(AZURE.refusal(problem, "ID").body)["error"]
    assert error == {"code": "guard_not_found", "message": "x"}


@pytest.mark.parametrize("path", ["/v1/models", "/openai", "/openaix/models", "/openai/images"])
def test_paths_of_others(path: str) -> None:
    assert AZURE.route(path, "", {}) is None
    assert AZURE.route(path.upper(), "", {}) is None


def written(case: dict[str, Any]) -> tuple[bytes, bytes]:
    top = load("answers")
    asked = Asked(GenerateRequest("ID", "m"), True, case["usage"])
    context = Context(top["ident"], top["created"], top["model"], top["release"], asked)
    writer = writer_of(case["path"], context)
    *pieces, end = case["deltas"]
    last = Delta(end["text"], FinishReason(end["finish"]), Usage(*end["usage"]))
    stream = writer.first() + b"".join(writer.piece(row["text"]) for row in pieces)
    text = "".join(row["text"] for row in case["deltas"])
    return stream + writer.last(last), writer.whole(Said(text), last)


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    stream, whole = written(case)
    *events, done, rest = [event.removeprefix(b"data: ") for event in stream.split(b"\n\n")]
    assert (done, rest) == (b"[DONE]", b"")
    assert [json.loads(event) for event in events] == case["events"]
    assert json.loads(whole) == case["whole"]
    chat = "chat" in case["path"]
    (ChatCompletion if chat else Completion).model_validate_json(whole, strict=True)
    if chat:
        for event in events:
            ChatCompletionChunk.model_validate_json(event, strict=True)


@pytest.mark.parametrize("case", cases("answers"))
def test_no_verdict_of_a_filter_is_claimed(case: dict[str, Any]) -> None:
    stream, whole = written(case)
    for claim in (b"safe", b"severity", b"filtered", b"detected"):
        assert claim not in stream + whole


@pytest.mark.parametrize("path", [CHAT, "/openai/deployments/m/completions"])
def test_what_the_guard_ended_is_said_as_a_blocklist_s_match(path: str) -> None:
    """Of Azure's own categories nothing is claimed even then."""
    asked = Asked(GenerateRequest("ID", "m"), True, False)
    last = Delta("", FinishReason.FILTERED, Usage(1, 1))
    writer = writer_of(path, Context("ID", 1, "m", "sha256:ab", asked))
    writer.first()
    assert b"filtered" not in writer.piece("x")
    whole = json.loads(writer.whole(Said("x"), last))
    chunk = json.loads(writer.last(last).split(b"\n\n")[0].removeprefix(b"data: "))
    for answer in (whole, chunk):
        [choice] = answer["choices"]
        assert choice["finish_reason"] == "content_filter"
        assert choice["content_filter_results"] == {
            "custom_blocklists": {"filtered": True, "details": []}
        }
    assert whole["prompt_filter_results"][0]["content_filter_results"] == {}


@given(st.text())
def test_any_text_survives_a_chunk(text: str) -> None:
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    writer = writer_of(CHAT, Context("ID", 1, "m", "sha256:ab", asked))
    event = writer.piece(text)
    assert event.count(b"\n") == 2
    choice = json.loads(event.removeprefix(b"data: "))["choices"][0]
    assert choice["delta"]["content"] == text
    assert choice["content_filter_results"] == {}


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({b"api-key": b"k"}, "k"),
        ({b"authorization": b"Bearer k"}, "k"),
        ({b"api-key": b"k", b"authorization": b"Bearer k"}, "k"),
        ({b"api-key": b"k", b"authorization": b"Bearer other"}, None),
        ({b"api-key": b"k", b"authorization": b"Basic eDp5"}, "k"),
    ],
)
def test_keys(headers: Headers, key: str | None) -> None:
    assert AZURE.key("", headers) == key


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("x"), 404, "DeploymentNotFound"),
        (NotAllowed("x"), 403, "PermissionDenied"),
        (Unavailable("x"), 503, "ServiceUnavailable"),
    ],
)
def test_errors(error: BastideError, status: int, code: str) -> None:
    problem = problem_of(error)
    refused = AZURE.refusal(problem, "ID")
    assert refused.status == status
    assert json.loads(refused.body) == {"error": {"code": code, "message": "x"}}
    assert AZURE.event(problem, "ID") == b"data: " + refused.body + b"\n\n"


@pytest.mark.parametrize("problem", [BUSY, UNAUTHENTICATED, Problem(500, "x"), Problem(418, "x")])
def test_every_error_has_azures_shape(problem: Problem) -> None:
    refused = AZURE.refusal(problem, "")
    assert set(json.loads(refused.body)["error"]) == {"code", "message"}
    assert refused.headers == OPENAI.refusal(problem, "").headers
