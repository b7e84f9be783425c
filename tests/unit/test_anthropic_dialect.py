# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Anthropic dialect against tests/vectors/anthropic, and the `anthropic` SDK's own types."""

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types import ModelInfo, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Sampling, Usage
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.core.snapshot import Served
from bastide.dialects import anthropic_errors, anthropic_models
from bastide.dialects.anthropic import ANTHROPIC
from bastide.dialects.anthropic_messages import MessageWriter, decode
from bastide.dialects.surface import BUSY, UNAUTHENTICATED, Asked, Context, Problem, problem_of

VECTORS = Path(__file__).parent.parent / "vectors" / "anthropic"
VERSION = {b"anthropic-version": b"2026-10-21"}
BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "x"}],
}


def cases(name: str) -> list[Any]:
    rows = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return [pytest.param(row, id=row["name"]) for row in rows]


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = decode(json.dumps(case["body"]).encode(), "ID")
    want = case["request"]
    assert (asked.request.ident, asked.request.model) == ("ID", want["model"])
    assert asked.request.messages == tuple(Message(*turn) for turn in want["messages"])
    sampling = {**want["sampling"], "stop": tuple(want["sampling"]["stop"])}
    assert asked.request.sampling == Sampling(**sampling)
    assert asked.stream == case["stream"]


@pytest.mark.parametrize("case", cases("refused"))
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
        decode(json.dumps({**BODY, "tools": [1], "top_k": 3}).encode(), "ID")
    assert set(caught.value.reasons) == {"tools", "top_k"}


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


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(Misconfigured):
        decode(body, "ID")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.sampled_from([*BODY, "system", "stop_sequences", "temperature", "top_p", "tools"]), _VALUES
)
def test_any_value_of_a_field_is_read_or_refused(field: str, value: object) -> None:
    try:
        asked = decode(json.dumps({**BODY, field: value}).encode(), "ID")
    except Misconfigured as error:
        assert error.message
    else:
        assert asked.request.messages


def written(case: dict[str, Any]) -> tuple[list[dict[str, Any]], bytes]:
    top = json.loads((VECTORS / "answers.json").read_text())
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    context = Context(top["ident"], top["created"], top["model"], top["release"], asked)
    writer = MessageWriter(context)
    *pieces, end = case["deltas"]
    last = Delta(end["text"], FinishReason(end["finish"]), Usage(*end["usage"]))
    stream = writer.first() + b"".join(writer.piece(row["text"]) for row in pieces)
    rows = events_of(stream + writer.last(last))
    return rows, writer.whole("".join(row["text"] for row in case["deltas"]), last)


def events_of(stream: bytes) -> list[dict[str, Any]]:
    rows = []
    for event in stream.removesuffix(b"\n\n").split(b"\n\n"):
        name, data = event.split(b"\n")
        row = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + row["type"].encode()  # the SDK drops events without a name
        rows.append(row)
    return rows


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    rows, whole = written(case)
    assert rows == case["events"]
    assert json.loads(whole) == case["whole"]


@pytest.mark.parametrize("case", cases("answers"))
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
    event = MessageWriter(Context("ID", 1, 'm"\\u0000', "sha256:ab", asked)).piece(text)
    assert event.count(b"\n") == 3  # no text can break out of its event
    (row,) = events_of(event)
    assert row["delta"]["text"] == text


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
    assert (("x-should-retry", "false") in refused.headers) == (status == 409)
    assert ANTHROPIC.event(problem, "ID") == b"event: error\ndata: " + refused.body + b"\n\n"
    assert json.loads(anthropic_errors.encode_error(problem, ""))["request_id"] is None


@pytest.mark.parametrize(
    ("path", "headers", "ours"),
    [
        ("/v1/messages", {}, True),
        ("/anthropic/v1/messages", {}, True),
        ("/v1/messages/count_tokens", {}, True),
        ("/v1/models", VERSION, True),
        ("/v1/models/a%2Fb", VERSION, True),
        ("/anthropic/v1/models", {}, True),
        ("/v1/models", {}, False),
        ("/v1/models/m", {}, False),
        ("/v1/chat/completions", VERSION, False),
        ("/v1/messagesx", VERSION, False),
        ("/anthropicx", {}, False),
    ],
)
def test_routes(path: str, headers: dict[bytes, bytes], ours: bool) -> None:
    assert (ANTHROPIC.route(path, "", headers) is not None) == ours


def test_a_models_name_is_decoded_once() -> None:
    route = ANTHROPIC.route("/v1/models/a%2Fb%2525", "", VERSION)
    assert route is not None
    assert route.model == "a/b%25"


def test_versions() -> None:
    for version in (b"2023-06-01", b"2026-10-21"):
        route = ANTHROPIC.route("/v1/messages", "", {b"anthropic-version": version})
        assert route is not None
        assert route.decode is not None
        assert route.decode(json.dumps(BODY).encode(), "ID").request.model == "m"
    for path in ("/v1/messages", "/v1/models", "/v1/models/m"):
        route = ANTHROPIC.route(path, "", {b"anthropic-version": b"1999-01-01"})
        assert route is not None
        assert route.decode is not None
        with pytest.raises(Misconfigured, match="2026-10-21"):
            route.decode(b"", "ID")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({b"authorization": b"Bearer k"}, "k"),
        ({b"x-api-key": b"k"}, "k"),
        ({b"api-key": b"k", b"x-api-key": b"k"}, "k"),
        ({b"authorization": b"Bearer k", b"x-api-key": b"k"}, "k"),
        ({b"authorization": b"Bearer ", b"x-api-key": b"k"}, "k"),
        ({b"authorization": b"Bearer k", b"x-api-key": b"other"}, None),
        ({b"authorization": b"Basic k"}, None),
        ({}, None),
    ],
)
def test_keys(headers: dict[bytes, bytes], key: str | None) -> None:
    assert ANTHROPIC.key("", headers) == key


def served(name: str) -> Served:
    return Served(name, "sha256:ab", "sha256:cd", "s", "n", "bubblewrap", 2, 2_048, 1_700_000_000)


def names(query: str) -> tuple[list[str], bool]:
    page = json.loads(anthropic_models.encode_models(map(served, "abcde"), "test", query))
    rows = [row["id"] for row in page["data"]]
    assert (page["first_id"], page["last_id"]) == ((rows[0], rows[-1]) if rows else (None, None))
    return rows, page["has_more"]


def test_pages_of_models() -> None:
    assert names("") == (list("abcde"), False)
    assert names("limit=2") == (["a", "b"], True)
    assert names("limit=2&after_id=b") == (["c", "d"], True)
    assert names("limit=2&after_id=d") == (["e"], False)
    assert names("limit=2&before_id=d") == (["b", "c"], True)
    assert names("limit=2&before_id=b") == (["a"], False)
    assert names("lifecycle=retired") == ([], False)
    assert names("lifecycle=retired&lifecycle=active")[0] == list("abcde")
    for query in ("limit=0", "limit=1001", "limit=x", "limit=²", "after_id=z", "before_id=z"):
        with pytest.raises(Misconfigured, match=query.partition("=")[0]):
            names(query)
    with pytest.raises(Misconfigured, match="together"):
        names("before_id=a&after_id=b")


def test_the_sdks_type_accepts_a_model() -> None:
    row = ModelInfo.model_validate_json(anthropic_models.encode_model(served("a"), "test"))
    assert (row.id, row.max_input_tokens, row.created_at.timestamp()) == ("a", 2_048, 1_700_000_000)
