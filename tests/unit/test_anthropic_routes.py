# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which requests are Anthropic's, by which key, and the lists of models."""

import json
from typing import Any

import pytest
from anthropic.types import ModelInfo

from bastide.core.errors import Misconfigured
from bastide.core.snapshot import Served
from bastide.dialects import anthropic_models
from bastide.dialects.anthropic import ANTHROPIC
from bastide.dialects.families import find_route
from bastide.dialects.surface import Asked, Count, Deny, Generate, Route, Single

VERSION = {b"anthropic-version": b"2026-10-21"}
BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "x"}],
}


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


def found(path: str, headers: dict[bytes, bytes]) -> Route:
    route = ANTHROPIC.route(path, "", headers)
    assert route is not None
    return route


def test_a_models_name_is_decoded_once() -> None:
    action = found("/v1/models/a%2Fb%2525", VERSION).action
    assert isinstance(action, Single)
    assert action.model == "a/b%25"


def test_versions() -> None:
    for version in (b"2023-06-01", b"2026-10-21"):
        action = found("/v1/messages", {b"anthropic-version": version}).action
        assert isinstance(action, Generate)
        assert action.decode(json.dumps(BODY).encode(), "ID").request.model == "m"
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/v1/models/m"):
        refusing = found(path, {b"anthropic-version": b"1999-01-01"}).action
        assert isinstance(refusing, Deny)
        with pytest.raises(Misconfigured, match="2026-10-21"):
            refusing.refuse(b"", "ID")


VERTEX = "/v1/projects/p/locations/europe-west1/publishers/anthropic/models/"


def vertex(path: str, **more: Any) -> Asked:
    family, route = find_route(path, "", {b"x-goog-api-client": b"gl-python"})
    assert family is ANTHROPIC  # not Google's, whose the other publishers are
    assert route is not None and isinstance(route.action, Generate)
    body = {key: value for key, value in BODY.items() if key != "model"}
    told = {**body, "anthropic_version": "vertex-2023-10-16", **more}
    return route.action.decode(json.dumps(told).encode(), "ID")


@pytest.mark.parametrize("above", ["", "/anthropic"])
def test_vertex(above: str) -> None:
    whole = vertex(above + VERTEX + "claude%402@x:rawPredict")
    assert (whole.request.model, whole.stream) == ("claude@2@x", False)
    assert vertex(above + VERTEX + "m:streamRawPredict", stream=True).stream
    assert vertex(above + VERTEX + "m:streamRawPredict").stream
    for more, why in (
        ({"anthropic_version": "bedrock-2023-05-31"}, "anthropic_version"),
        ({"anthropic_version": None}, "anthropic_version"),
        ({"model": "x"}, "model"),
        ({"stream": True}, "stream"),
        ({"top_k": -1}, "top_k"),
    ):
        with pytest.raises(Misconfigured, match=why):
            vertex(above + VERTEX + "m:rawPredict", **more)


def test_vertex_counts() -> None:
    action = found(VERTEX + "count-tokens:rawPredict", {}).action
    assert isinstance(action, Count)
    body = json.dumps({**BODY, "anthropic_version": "vertex-2023-10-16"}).encode()
    assert action.decode(body, "ID").model == "m"
    with pytest.raises(Misconfigured, match="anthropic_version"):
        action.decode(json.dumps(BODY).encode(), "ID")


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
