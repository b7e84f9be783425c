# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What is Google's among all paths of the gateway, and where its keys are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured
from bastide.dialects.google import GOOGLE, GOOGLE_ARRAY, Google
from bastide.dialects.google_answer import ArrayWriter, SseWriter
from bastide.dialects.surface import Count, Deny, Generate, Headers, Listing, Route, Single

HI = {"role": "user", "parts": [{"text": "Hi"}]}
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
        assert route is not None and isinstance(route.action, Generate)
        assert route.action.writer is writer
        assert route.methods == ("POST",)
        asked = route.action.decode(body, "ID")
        assert (asked.request.model, asked.stream) == ("org/name:8b", stream)
    route = found(f"{place}org%2Fname:8b:countTokens")
    assert route is not None and isinstance(route.action, Count)
    assert route.action.decode(body, "ID").model == "org/name:8b"
    assert json.loads(route.action.write(7))["totalTokens"] == 7
    route = found(f"{place}m:computeTokens")
    assert route is not None and isinstance(route.action, Deny)
    with pytest.raises(Misconfigured, match="'computeTokens' is not supported"):
        route.action.refuse(body, "ID")
    route = found(f"{place}m:streamGenerateContent", "alt=proto")
    assert route is not None and isinstance(route.action, Deny)
    with pytest.raises(Misconfigured, match="'proto'"):
        route.action.refuse(body, "ID")


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
        action = route.action
        assert isinstance(action, Single if model else Listing)
        assert not isinstance(action, Single) or action.model == model


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
