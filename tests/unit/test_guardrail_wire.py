# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Texts that are only judged: what is found in them, and how ApplyGuardrail says it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured
from bastide.core.guard import Action, GuardPolicy
from bastide.core.screening import Match, Screened
from bastide.detectors.guard import Guard, make_kit
from bastide.dialects.bedrock_guardrail import decode, encode
from bastide.dialects.surface import Suspect
from unit.dialect_cases import VALUES

TEXT = "Write to ada@example.org from 81.2.69.142, or to bob@example.org."
BODY: dict[str, Any] = {"source": "INPUT", "content": [{"text": {"text": TEXT}}]}


def screened(*texts: str, outward: bool = False, **actions: Action) -> tuple[Screened, ...]:
    rows = tuple((name.replace("_", "-"), action) for name, action in actions.items())
    policy = GuardPolicy(outward=rows) if outward else GuardPolicy(inward=rows)
    return Guard(make_kit(policy, None), "acme", 0).screened(texts, outward)


def test_what_is_found_and_what_may_pass() -> None:
    (one,) = screened(TEXT, email=Action.MASK, ip_address=Action.OBSERVE)
    assert one.text == "Write to [email] from 81.2.69.142, or to [email]."
    assert one.matches == (
        Match("email", Action.MASK, "ada@example.org"),
        Match("ip-address", Action.OBSERVE, "81.2.69.142"),
        Match("email", Action.MASK, "bob@example.org"),
    )
    assert (one.refused, one.changed) == (False, True)
    (one,) = screened(TEXT, email=Action.OBSERVE)
    assert (one.text, one.refused, one.changed) == (TEXT, False, False)
    (one,) = screened(TEXT, email=Action.REFUSE)
    assert (one.refused, one.changed) == (True, True)
    assert "ada" not in one.text
    assert screened(TEXT, "x") == (Screened(TEXT), Screened("x"))
    (one,) = screened(TEXT, outward=True, email=Action.MASK)
    assert "[email]" in one.text


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_match_stands_in_the_text(before: str, after: str) -> None:
    text = f"{before} ada@example.org {after}"
    (one,) = screened(text, email=Action.MASK, ip_address=Action.OBSERVE)
    assert all(match.text in text for match in one.matches)
    assert one.changed is (one.text != text)


def test_a_verdict() -> None:
    rows = screened(TEXT, "nothing here", email=Action.MASK, jwt=Action.REFUSE)
    told = json.loads(encode(Suspect((TEXT, "nothing here")), rows))
    assert told["action"] == "GUARDRAIL_INTERVENED"
    masked = "Write to [email] from 81.2.69.142, or to [email]."
    assert told["outputs"] == [{"text": masked}, {"text": "nothing here"}]
    found = told["assessments"][0]["sensitiveInformationPolicy"]
    assert found["piiEntities"][0] == {
        "match": "ada@example.org",
        "action": "ANONYMIZED",
        "detected": True,
        "type": "EMAIL",
    }
    assert told["usage"]["sensitiveInformationPolicyUnits"] == 1


def test_a_text_that_is_refused_is_not_repeated() -> None:
    rows = screened("x", TEXT, email=Action.REFUSE)
    told = json.loads(encode(Suspect(("x", TEXT)), rows))
    [output] = told["outputs"]
    assert "refuses" in output["text"]
    assert told["assessments"][0]["sensitiveInformationPolicy"]["piiEntities"][0]["action"] == (
        "BLOCKED"
    )


def test_a_text_in_which_nothing_is_found() -> None:
    told = json.loads(encode(Suspect(("x",)), screened("x", email=Action.REFUSE)))
    assert (told["action"], told["outputs"]) == ("NONE", [])
    assert "sensitiveInformationPolicy" not in told["assessments"][0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": "BOTH"}, "source"),
        ({"source": 1}, "source"),
        ({"content": []}, "content"),
        ({"content": [{"text": {"text": "x"}}] * 3_000}, "content"),
        ({"content": [{"image": {}}]}, "content[0].image"),
        ({"content": [{"text": {}}]}, "content[0].text"),
        (
            {"content": [{"text": {"text": "x", "qualifiers": ["query"]}}]},
            "content[0].text.qualifiers",
        ),
        ({"outputScope": "ALL"}, "outputScope"),
        ({"more": 1}, "more"),
    ],
)
def test_a_request_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        decode(json.dumps({**BODY, **change}).encode(), "ID")
    assert named in caught.value.message


def test_a_request_is_read() -> None:
    assert decode(json.dumps(BODY).encode(), "ID") == Suspect((TEXT,))
    guarded = [{"text": {"text": "x", "qualifiers": ["guard_content"]}}]
    told = {"source": "OUTPUT", "content": guarded, "outputScope": "FULL"}
    assert decode(json.dumps(told).encode(), "ID") == Suspect(("x",), outward=True)


@given(st.sampled_from(["source", "content", "outputScope"]), VALUES)
def test_any_value_is_read_or_refused(field: str, value: object) -> None:
    try:
        asked = decode(json.dumps({**BODY, field: value}).encode(), "ID")
    except Misconfigured as error:
        assert error.message
    else:
        assert asked.texts
