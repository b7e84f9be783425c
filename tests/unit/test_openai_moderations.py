# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Moderations against tests/vectors/openai/moderations.json, and the SDKs' own types."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistralai.client.models import ModerationResponse
from openai.types import ModerationCreateResponse
from openai.types.moderation import Categories

from bastide.core.errors import Misconfigured
from bastide.core.guard import GuardPolicy
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.core.screening import Screened
from bastide.detectors.guard import Guard, make_kit
from bastide.dialects.openai_moderations import decode, encode, encode_mistral
from bastide.dialects.surface import Suspect, problem_of
from unit.dialect_cases import VALUES

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "openai" / "moderations.json").read_text()
)
# As the SDK names them on the wire.
CATEGORIES = {field.alias or name for name, field in Categories.model_fields.items()}


def cases(name: str) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in VECTORS[name]]


def screened(policy: dict[str, str], *texts: str) -> tuple[Screened, ...]:
    kit = make_kit(GuardPolicy.from_json({"in": policy}), None)
    return Guard(kit, "acme", 0).screened(texts, False)


@pytest.mark.parametrize("case", cases("requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = decode(json.dumps(case["body"]).encode(), "ID")
    assert asked == Suspect(tuple(case["texts"]), ident="ID")


@pytest.mark.parametrize("case", cases("refused"))
def test_a_request_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        decode(json.dumps(case["body"]).encode(), "ID")
    problem = problem_of(caught.value)
    assert (problem.status, problem.param, problem.code) == (400, case["param"], case["code"])


def test_texts_are_bounded() -> None:
    body = json.dumps({"input": ["x"] * (REQUEST_MESSAGES_MAX + 1)}).encode()
    with pytest.raises(Misconfigured, match=str(REQUEST_MESSAGES_MAX)):
        decode(body, "ID")


@pytest.mark.parametrize("case", cases("verdicts"))
def test_a_verdict(case: dict[str, Any]) -> None:
    asked = Suspect((case["text"],), ident="ID")
    body = encode(asked, screened(case["policy"], case["text"]))
    [row] = json.loads(body)["results"]
    found = set(case["found"])
    assert row["flagged"] is case["flagged"]
    assert set(row["categories"]) == CATEGORIES | found
    assert {name for name, there in row["categories"].items() if there} == found
    assert {name for name, score in row["category_scores"].items() if score} == found
    applied = row["category_applied_input_types"]
    assert applied == {name: ["text"] if name in found else [] for name in CATEGORIES | found}
    told = ModerationCreateResponse.model_validate_json(body, strict=True)
    assert (told.id, told.model) == ("modr-ID", "guard-policy")
    assert told.results[0].categories.sexual_minors is False


def test_nothing_that_was_found_is_repeated() -> None:
    text = "Write to ada@example.org."
    asked, rows = Suspect((text,), ident="ID"), screened({"email": "mask"}, text)
    assert b"ada" not in encode(asked, rows) + encode_mistral(asked, rows)


def test_mistral_reads_its_own_categories() -> None:
    texts = ("Write to ada@example.org.", "AKIA" + "IOSFODNN7EXAMPLE", "Hi")
    asked = Suspect(texts, ident="ID")
    rows = screened({"email": "mask", "aws-key": "refuse"}, *texts)
    told = ModerationResponse.model_validate_json(encode_mistral(asked, rows))
    found = []
    for row in told.results:
        assert row.categories is not None and row.category_scores is not None
        assert {"hate_and_discrimination", "dangerous_and_criminal_content"} <= set(row.categories)
        assert row.categories["sexual"] is False
        found.append({name for name, there in row.categories.items() if there})
        assert {name for name, score in row.category_scores.items() if score} == found[-1]
    assert found == [{"email", "pii"}, {"aws-key"}, set()]


@given(st.fixed_dictionaries({}, optional={"input": VALUES, "model": VALUES}))
def test_any_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        asked = decode(json.dumps(body).encode(), "ID")
    except Misconfigured:
        return
    assert all(isinstance(text, str) for text in asked.texts)
