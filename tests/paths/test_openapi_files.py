# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The operations of files and batches in our OpenAPI document, against a gateway with a desk.

As in test_openapi.py: never a 5xx, and every answer is as the document states it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from jsonschema_rs import is_valid
from openapi_bodies import ERRORS
from openapi_operations import OPERATIONS, Operation, statuses
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from paths.desk_rig import DeskRig, desk, lines
from paths.drawn import drawn
from paths.gateway_rig import KEY

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
SCHEMA = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROWS = [row for row in OPERATIONS if row.desk]
FIRST = [row for row in ROWS if row.path.startswith("/v1/")]
FORM = {"file": ("in.jsonl", lines(2))}
BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
BROKEN = (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"input_file_id": 1}', b'{"endpoint": "x"}')


def ids(row: Operation) -> str:
    return f"{row.method} {row.path}"


@pytest.fixture(scope="module")
def rig() -> Iterator[DeskRig]:
    with desk() as made:
        yield made
        assert "Traceback" not in made.log()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.headers["authorization"] = f"Bearer {KEY}"
        yield made


@pytest.fixture(scope="module")
def kept(rig: DeskRig, session: requests.Session) -> dict[str, str]:
    """A file and a batch that are there."""
    sent = session.post(f"{rig.url}/v1/files", files=FORM, data={"purpose": "batch"}, timeout=20)
    file = sent.json()["id"]
    body = {**BATCH, "input_file_id": file}
    made = session.post(f"{rig.url}/v1/batches", json=body, timeout=20)
    return {"file": file, "batch": made.json()["id"]}


def path_of(row: Operation, names: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], row.path)


@pytest.mark.slow
@pytest.mark.parametrize("row", FIRST, ids=ids)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_generated_requests(
    rig: DeskRig,
    session: requests.Session,
    kept: dict[str, str],
    row: Operation,
    mode: GenerationMode,
    pytestconfig: pytest.Config,
) -> None:
    @drawn(pytestconfig)
    @given(case=SCHEMA[row.path][row.method].as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        if row.method != "DELETE" and mode is GenerationMode.POSITIVE:
            case.path_parameters.update({n: kept[n] for n in kept if n in case.path_parameters})
            if row.body == "OpenAIBatch" and isinstance(case.body, dict):
                case.body["input_file_id"] = kept["file"]
        response = case.call(base_url=rig.url, session=session)
        case.validate_response(response, checks=CHECKS)

    run()


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_what_the_document_says_is_answered(
    rig: DeskRig, session: requests.Session, kept: dict[str, str], row: Operation
) -> None:
    names, sent = dict(kept), dict[str, Any]()
    if row.method == "DELETE":
        url = f"{rig.url}/v1/files"
        extra = session.post(url, files=FORM, data={"purpose": "batch"}, timeout=20)
        names["file"] = extra.json()["id"]
    if row.body == "OpenAIFile":
        expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        sent = {"files": FORM, "data": {"purpose": "user_data", **expiry}}
    elif row.body == "OpenAIBatch":
        expires = {"anchor": "created_at", "seconds": 3_600}
        body = {**BATCH, "input_file_id": kept["file"], "output_expires_after": expires}
        sent = {"json": body}
    response = session.request(row.method, rig.url + path_of(row, names), timeout=20, **sent)
    assert response.status_code == 200, response.text
    named = {name: names[name] for name in re.findall(r"\{(\w+)\}", row.path)}
    case = SCHEMA[row.path][row.method].Case(path_parameters=named, media_type=row.media)
    case.validate_response(response, checks=CHECKS)


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_refusals_have_the_stated_shape(
    rig: DeskRig, session: requests.Session, row: Operation
) -> None:
    url = rig.url + path_of(row, {"file": "nowhere", "batch": "nowhere"})
    answers = [requests.request(row.method, url, timeout=20)]
    assert answers[0].status_code == 401
    if "{" in row.path:
        answers.append(session.request(row.method, url, timeout=20))
        assert answers[-1].status_code == 404
    if row.body == "OpenAIBatch":
        for data in BROKEN:
            head = {"content-type": "application/json"}
            answers.append(session.post(url, data=data, headers=head, timeout=20))
            assert answers[-1].status_code == 400, data[:20]
    for answer in answers:
        assert answer.status_code in statuses(row)[row.families[0]]
        assert is_valid(ERRORS[row.families[0]], answer.json()), answer.text
