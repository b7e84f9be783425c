# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Every operation of our OpenAPI document, against a running gateway.

Whatever is sent: never a 5xx, and every answer has a status, a type and a shape that the document
states. Schemathesis makes requests that fit the document, and requests that break it.
"""

import dataclasses
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from jsonschema_rs import is_valid
from openapi_bodies import BODIES, ERRORS
from openapi_operations import OPERATIONS as ALL
from openapi_operations import Operation, statuses
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bastide.adapters.engine.fake import FakeEngine
from bastide.core.limits import REQUEST_BODY_BYTES_MAX
from bastide.core.sealed import SUITE
from paths.drawn import drawn
from paths.gateway_rig import KEY, MODEL, Rig, bugs, gateway, make_snapshot, read_response

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
SCHEMA = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# Those of the desk are in test_openapi_files.py, which has one.
OPERATIONS = [row for row in ALL if not row.desk]
MODELS = ("model", "modelId", "deployment")
# The same below several roots is generated once; by hand it is sent everywhere.
DISTINCT = list(
    {(row.families, row.body, row.summary): row for row in reversed(OPERATIONS)}.values()
)
SENT = [row for row in OPERATIONS if row.body is not None and row.method == "POST"]
EMBEDDER = "embedder"
EMBEDDING = (
    *("OpenAIEmbedding", "GoogleEmbed", "GoogleBatchEmbed", "GooglePredict"),
    *("OllamaEmbed", "OllamaOldEmbed"),
)
TURNS = [{"role": "user", "content": "Hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
VERTEX = {"anthropic_version": "vertex-2023-10-16", "messages": TURNS}
EXAMPLES: dict[str, dict[str, Any]] = {
    "OpenAIChat": {"model": "", "messages": TURNS},
    "OpenAICompletion": {"model": "", "prompt": "Hi"},
    "OpenAIEmbedding": {"model": "", "input": ["Hi"]},
    "OpenAIResponse": {"model": "", "input": "Hi"},
    "AnthropicMessage": {"model": "", "messages": TURNS, "max_tokens": 5},
    "AnthropicCount": {"model": "", "messages": TURNS},
    "AnthropicVertexMessage": {**VERTEX, "max_tokens": 5},
    "AnthropicVertexCount": {**VERTEX, "model": ""},
    "BedrockConverse": CONVERSE,
    "BedrockInvoke": {"inputText": "Hi"},
    "OpenAIModeration": {"input": "Hi"},
    "BedrockGuard": {"source": "INPUT", "content": [{"text": {"text": "Hi"}}]},
    "BedrockCount": {"input": {"converse": CONVERSE}},
    "GoogleGenerate": {"contents": CONTENTS},
    "GoogleCount": {"contents": CONTENTS},
    "GoogleEmbed": {"content": {"parts": [{"text": "Hi"}]}},
    "GoogleBatchEmbed": {"requests": [{"content": {"parts": [{"text": "Hi"}]}}]},
    "GooglePredict": {"instances": [{"content": "Hi"}]},
    "OllamaChat": {"model": "", "messages": TURNS},
    "OllamaGenerate": {"model": "", "prompt": "Hi"},
    "OllamaEmbed": {"model": "", "input": "Hi"},
    "OllamaOldEmbed": {"model": "", "prompt": "Hi"},
    "OllamaModel": {"model": ""},
    "SealedRequest": {
        "suite": SUITE, "node": "n", "replica": 1, "model": "", "tokens_max": 9, "sealed": "AAAA",
    },
    "Nothing": {},
}  # fmt: skip
DEEP = b"[" * 100_000 + b"]" * 100_000
HUGE = b"9" * 400
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"model": ',
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "not UTF-8": b'{"model": "\xff\xfe"}',
    "half a surrogate": b'{"model": "\\ud800"}',
    "deep": DEEP,
    "deep inside": b'{"model": "m", "contents": %b, "messages": %b, "prompt": %b}' % ((DEEP,) * 3),
    "huge numbers": b'{"max_tokens": %b, "seed": -%b, "temperature": 1e999}' % (HUGE, HUGE),
    "wrong types": b'{"model": 1, "messages": {}, "contents": true, "prompt": [], "input": {}}',
    "zeros": b"\0" * 1_000,
    "a long name": b'{"' + b"x" * 100_000 + b'": 1}',
}


def ids(row: Operation) -> str:
    return f"{row.method} {row.path}"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with gateway() as made:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.engine.thinking = FakeEngine()
        served = make_snapshot().served
        embedder = dataclasses.replace(served[MODEL], name=EMBEDDER, socket="e", embeds=True)
        made.publish(served={**served, EMBEDDER: embedder})
        yield made
        assert bugs(made) == []


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.headers["authorization"] = f"Bearer {KEY}"
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("row", DISTINCT, ids=ids)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_generated_requests(
    rig: Rig,
    session: requests.Session,
    row: Operation,
    mode: GenerationMode,
    pytestconfig: pytest.Config,
) -> None:
    @drawn(pytestconfig)
    @given(case=SCHEMA[row.path][row.method].as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        at_ours(case, row)
        response = case.call(base_url=rig.url, session=session)
        case.validate_response(response, checks=CHECKS)

    run()


def at_ours(case: Case, row: Operation) -> None:
    """Ask for a model that is there, where the request names one at all."""
    for place in (case.path_parameters, case.body):
        for name in MODELS:
            if isinstance(place, dict) and isinstance(place.get(name), str):
                place[name] = model_of(row)


def model_of(row: Operation) -> str:
    return EMBEDDER if row.body in EMBEDDING else MODEL


def path_of(row: Operation) -> str:
    return re.sub(r"\{\w+\}", model_of(row), row.path)


@pytest.mark.parametrize("row", OPERATIONS, ids=ids)
def test_what_the_document_says_is_answered(
    rig: Rig, session: requests.Session, row: Operation
) -> None:
    body = None if row.body is None else EXAMPLES[row.body]
    if isinstance(body, dict) and "model" in body:
        body["model"] = model_of(row)
    assert row.body is None or is_valid(BODIES[row.body], body)
    response = session.request(row.method, rig.url + path_of(row), json=body, timeout=20)
    refusing = (403, 404) if row.only_refused else ()
    # Nobody has set a guard policy here, so there is none to ask.
    absent = row.body in ("BedrockGuard", "OpenAIModeration")
    # Nor are nodes attested; tests/paths/test_sealed.py asks for some that are.
    absent = absent or row.path == "/sealed/v1/nodes"
    wanted = (404,) if absent else refusing or (200,)
    assert response.status_code in wanted, response.text
    named = dict.fromkeys(re.findall(r"\{(\w+)\}", row.path), model_of(row))
    sent = {} if body is None else {"body": body, "media_type": "application/json"}
    case = SCHEMA[row.path][row.method].Case(path_parameters=named, **sent)
    case.validate_response(response, checks=CHECKS)


def refused(response: requests.Response, row: Operation) -> int:
    """The status, once it and the shape are as the document says."""
    assert response.status_code in {code for codes in statuses(row).values() for code in codes}
    shown = [name for name in row.families if is_valid(ERRORS[name], response.json())]
    assert shown, response.text
    return response.status_code


@pytest.mark.parametrize("row", SENT, ids=ids)
def test_broken_bodies(rig: Rig, session: requests.Session, row: Operation) -> None:
    wanted = 403 if row.only_refused else 400
    for name, body in BROKEN.items():
        response = session.post(
            rig.url + path_of(row),
            data=body,
            headers={"content-type": "application/json"},
            timeout=20,
        )
        assert refused(response, row) == wanted, name


@pytest.mark.parametrize("row", OPERATIONS, ids=ids)
def test_nobody_asks_without_a_key(rig: Rig, row: Operation) -> None:
    response = requests.request(row.method, rig.url + path_of(row), json={}, timeout=20)
    assert refused(response, row) == (403 if row.families == ("bedrock",) else 401)


@pytest.mark.parametrize("row", DISTINCT, ids=ids)
def test_another_method_is_refused(rig: Rig, session: requests.Session, row: Operation) -> None:
    response = session.request("OPTIONS", rig.url + path_of(row), timeout=20)
    assert response.status_code in (403, 405)
    assert any(is_valid(ERRORS[name], response.json()) for name in row.families)


@pytest.mark.parametrize("row", [row for row in DISTINCT if row in SENT], ids=ids)
def test_a_body_that_is_too_large_is_refused_before_it_is_read(rig: Rig, row: Operation) -> None:
    headers = f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    length = REQUEST_BODY_BYTES_MAX + 1
    with rig.connect() as talking:
        head = f"POST {path_of(row)} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}"
        talking.sendall(head.encode() + b"\r\n\r\n")
        response = read_response(talking)
    assert response.status == (400 if row.families == ("bedrock",) else 413)
    assert is_valid(ERRORS[row.families[0]], json.loads(response.body))
