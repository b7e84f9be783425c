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

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Message, Sampling, Usage
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects import google_generate
from bastide.dialects.google import GOOGLE, GOOGLE_ARRAY, Google
from bastide.dialects.google_errors import encode_problem
from bastide.dialects.google_generate import ArrayWriter, SseWriter
from bastide.dialects.surface import Asked, Context, Headers, Problem, Route, problem_of

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
    messages = tuple(Message(*turn) for turn in case["messages"])
    assert asked == Asked(GenerateRequest("ID", "m", messages, None, sampling), False, True)


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
    body = {"contents": [image], "tools": [1], "generationConfig": {"topK": 1}}
    with pytest.raises(Misconfigured) as caught:
        decode(json.dumps(body).encode(), "ID")
    wanted = {"tools", "generationConfig.topK", "contents[0].parts[0].inlineData"}
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


@pytest.mark.parametrize("field", ["x", "tools", "contents", "safetySettings"])
def test_deep_nesting_is_refused(field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(Misconfigured):
        decode(b'{"contents":[{"parts":[{"text":"x"}]}],"%b":%b}' % (field.encode(), deep), "ID")


NAMES = st.sampled_from(
    [
        *("contents", "parts", "text", "role", "systemInstruction", "tools", "inlineData", "x"),
        *("generationConfig", "generation_config", "temperature", "seed", "topP", "stopSequences"),
        *("maxOutputTokens", "toolConfig", "thinkingConfig"),
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


def context(model: str = "smollm2") -> Context:
    asked = Asked(GenerateRequest("ID", "m"), True, True)
    return Context("ID", 1_700_000_000, model, "sha256:ab", asked)


def written(writer: SseWriter, case: dict[str, Any]) -> bytes:
    *pieces, last = [
        Delta(
            row["text"],
            FinishReason(row["finish"]) if "finish" in row else None,
            Usage(*row["usage"]) if "usage" in row else None,
        )
        for row in case["deltas"]
    ]
    out = writer.first() + b"".join(writer.piece(delta.text) for delta in pieces)
    text = "".join(row["text"] for row in case["deltas"])
    assert json.loads(writer.whole(text, last)) == case["whole"]
    return out + writer.last(last)


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_is_written(case: dict[str, Any]) -> None:
    events = written(SseWriter(context()), case).split(b"\r\n\r\n")
    assert events.pop() == b""
    assert all(event.startswith(b"data: ") for event in events)
    assert [json.loads(event[6:]) for event in events] == case["chunks"]
    assert json.loads(written(ArrayWriter(context()), case)) == case["chunks"]
    for row in [*case["chunks"], case["whole"]]:
        types.GenerateContentResponse.model_validate(row)


@given(st.text() | st.sampled_from(["\x85", "a\u2028b\u2029", "€\u2027"]))
def test_any_text_survives_a_chunk(text: str) -> None:
    event = SseWriter(context('m"\\u0000')).piece(text)
    assert len(event.decode().splitlines()) == 2  # no text can break out of its event
    array = ArrayWriter(context()).piece(text) + b"]"
    for value in (json.loads(event[6:]), json.loads(array)[0]):
        assert value["candidates"][0]["content"]["parts"][0]["text"] == text


def test_failed_streams_end_in_an_error() -> None:
    problem = Problem(503, "gone")
    error = {"code": 503, "message": "gone", "status": "UNAVAILABLE", "details": []}
    event = GOOGLE.event(problem, "ID")
    assert event.endswith(b"\r\n\r\n")
    assert json.loads(event.removeprefix(b"data: ")) == {"error": error}
    array = ArrayWriter(context()).piece("x") + GOOGLE_ARRAY.event(problem, "ID")
    assert json.loads(array + b"]")[1] == {"error": error}  # which is not sent


# Routes

CLIENT: Headers = {b"x-goog-api-client": b"google-genai-sdk/3"}
PROJECT = "projects/p/locations/l/"


def found(path: str, query: str = "", headers: Headers | None = None) -> Route | None:
    routes = [family.route(path, query, headers or {}) for family in (GOOGLE_ARRAY, GOOGLE)]
    assert None in routes  # one of them at most
    return routes[0] or routes[1]


@pytest.mark.parametrize(
    "place",
    [
        "/v1/models/",
        "/v1beta/models/",
        "/v1/publishers/google/models/",
        "/v1beta1/publishers/google/models/",
        f"/v1/{PROJECT}publishers/google/models/",
        f"/v1beta1/{PROJECT}publishers/google/models/",
    ],
)
def test_verbs(place: str) -> None:
    body = json.dumps({"contents": [HI]}).encode()
    rows = {
        (":generateContent", ""): (SseWriter, False),
        (":streamGenerateContent", "alt=sse"): (SseWriter, True),
        (":streamGenerateContent", ""): (ArrayWriter, True),
        (":streamGenerateContent", "$alt=json;enum-encoding=int"): (ArrayWriter, True),
    }
    for (verb, query), (writer, stream) in rows.items():
        route = found(f"{place}org%2Fname:8b{verb}", query)
        assert route is not None and route.decode is not None
        assert route.writer is writer
        assert route.methods == ("POST",)
        asked = route.decode(body, "ID")
        assert (asked.request.model, asked.stream) == ("org/name:8b", stream)
    for verb in ("countTokens", "embedContent", "batchEmbedContents", "predict"):
        route = found(f"{place}m:{verb}")
        assert route is not None and route.decode is not None
        with pytest.raises(Misconfigured, match=f"'{verb}' is not supported yet"):
            route.decode(body, "ID")
    route = found(f"{place}m:streamGenerateContent", "alt=proto")
    assert route is not None and route.decode is not None
    with pytest.raises(Misconfigured, match="'proto'"):
        route.decode(body, "ID")


@pytest.mark.parametrize(
    ("path", "query", "headers", "model"),
    [
        ("/v1/models/m", "", {}, None),
        ("/v1/models/m:8b", "", {}, None),
        ("/v1/models", "", {}, None),
        ("/v1/models", "", CLIENT, ""),
        ("/v1/models", "key=x", {}, ""),
        ("/v1/models", "", {b"x-goog-api-key": b"x"}, ""),
        ("/v1beta/models", "", {}, ""),
        ("/v1beta1/publishers/google/models", "", {}, ""),
        ("/v1beta1/tunedModels", "", {}, ""),
        (f"/v1beta1/{PROJECT}models", "", {}, ""),
        ("/v1/models/m:8b", "", CLIENT, "m:8b"),
        ("/v1beta/models/m", "", {}, "m"),
        (f"/v1beta1/{PROJECT}publishers/google/models/m", "", {}, "m"),
    ],
)
def test_lists_of_models(path: str, query: str, headers: Headers, model: str | None) -> None:
    route = found(path, query, headers)
    if model is None:
        assert route is None
    else:
        assert route is not None
        assert route.model == model
        assert (route.single is not None) is bool(model)
        assert (route.listing is None) is bool(model)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/files",
        f"/v1/{PROJECT}publishers/anthropic/models/m:rawPredict",
        f"/v1beta1/{PROJECT}publishers/anthropic/models/m:rawPredict",
    ],
)
def test_paths_of_others(path: str) -> None:
    assert found(path) is None


@pytest.mark.parametrize(
    ("query", "headers", "key"),
    [
        ("", {}, None),
        ("key=a%2Db", {}, "a-b"),
        ("", {b"x-goog-api-key": b"a"}, "a"),
        ("", {b"authorization": b"Bearer a"}, "a"),
        ("key=a", {b"x-goog-api-key": b"a", b"authorization": b"Bearer a"}, "a"),
        ("key=a", {b"x-goog-api-key": b"b"}, None),
        ("key=a&key=b", {}, None),
        ("key=", {b"x-goog-api-key": b"", b"authorization": b"Bearer a"}, "a"),
    ],
)
def test_keys(query: str, headers: Headers, key: str | None) -> None:
    assert GOOGLE.key(query, headers) == key


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_path_has_a_route_or_none(path: str, query: str) -> None:
    for family in (Google(array=False), Google(array=True)):
        for start in ("/", "/v1/models/", "/v1beta/"):
            family.route(start + path, query, CLIENT)
            family.key(query, {})
