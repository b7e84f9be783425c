# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The requests of the Bedrock dialect against tests/vectors/bedrock, and its lists."""

import base64
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.chat import GenerateRequest
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.core.snapshot import Served
from bastide.dialects.bedrock import BEDROCK
from bastide.dialects.families import find_route
from bastide.dialects.surface import Asked, ByKind, Count, Deny, Generate, Listing, Route, Single
from unit.dialect_cases import VALUES, cases, request_of

VERBS = ("converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens")


def found(path: str, query: str = "", headers: dict[bytes, bytes] | None = None) -> Route:
    family, route = find_route(path, query, headers or {})
    assert family is BEDROCK
    assert route is not None
    return route


def answers(path: str, headers: dict[bytes, bytes] | None = None) -> Generate:
    route = found(path, headers=headers)
    assert route.methods == ("POST",)
    action = route.action.answers if isinstance(route.action, ByKind) else route.action
    assert isinstance(action, Generate)
    return action


def read(path: str, body: bytes, headers: dict[bytes, bytes] | None = None) -> Asked:
    return answers(path, headers).decode(body, "ID")


def count(path: str, body: bytes) -> GenerateRequest:
    action = found(path).action
    assert isinstance(action, Count)
    return action.decode(body, "ID")


def refused(path: str, body: bytes, headers: dict[bytes, bytes] | None = None) -> Misconfigured:
    with pytest.raises(Misconfigured) as caught:
        if path.endswith("/count-tokens"):
            count(path, body)
        else:
            read(path, body, headers)
    return caught.value


@pytest.mark.parametrize("case", cases("bedrock", "requests"))
def test_a_request_is_read(case: dict[str, Any]) -> None:
    asked = read(case["path"], json.dumps(case["body"]).encode())
    assert (asked.request, asked.stream) == (request_of(case["request"]), case["stream"])


@pytest.mark.parametrize("case", cases("bedrock", "requests"))
def test_what_is_read_is_also_counted(case: dict[str, Any]) -> None:
    model, verb = case["path"].rsplit("/", 1)
    told = json.dumps(case["body"]).encode()
    form = (
        {"converse": case["body"]}
        if verb.startswith("converse")
        else {"invokeModel": {"body": base64.b64encode(told).decode()}}
    )
    if "stream_options" in case["body"]:
        case["body"]["stream_options"] = None
    counted = count(f"{model}/count-tokens", json.dumps({"input": form}).encode())
    assert counted == request_of(case["request"])


@pytest.mark.parametrize("case", cases("bedrock", "refused"))
def test_a_request_is_refused_by_name(case: dict[str, Any]) -> None:
    body = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()
    headers = {name.encode(): value.encode() for name, value in case.get("headers", {}).items()}
    assert case["named"] in refused(case["path"], body, headers).message


def test_results_count_as_messages() -> None:
    ids = [f"c{index}" for index in range(REQUEST_MESSAGES_MAX)]
    calls = [{"toolUse": {"toolUseId": ident, "name": "f", "input": {}}} for ident in ids]
    results = [{"toolResult": {"toolUseId": ident, "content": []}} for ident in ids]
    turns = [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    error = refused("/model/m/converse", json.dumps({"messages": turns}).encode())
    assert "at most" in error.message


@pytest.mark.parametrize("verb", VERBS)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(verb: str, body: bytes) -> None:
    refused(f"/model/m/{verb}", body)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("field", ["x", "toolConfig", "messages", "system", "tools"])
def test_deep_nesting_is_refused(verb: str, field: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    refused(f"/model/m/{verb}", b'{"%b":%b}' % (field.encode(), deep))


_FIELDS = ("messages", "system", "inferenceConfig", "toolConfig", "outputConfig", "guardrailConfig")
_MEMBERS = ("text", "toolUse", "toolResult", "image", "cachePoint")
_TOOL_FIELDS = ("toolUseId", "name", "input", "content", "status", "type")


@given(st.sampled_from(_FIELDS), VALUES)
def test_any_value_of_a_field_is_read_or_refused(field: str, value: object) -> None:
    turn = {"role": "user", "content": [{"text": "x"}]}
    body = json.dumps({"messages": [turn], field: value}).encode()
    try:
        asked = read("/model/m/converse", body)
    except Misconfigured as error:
        assert error.message
    else:
        assert asked.request.messages


@given(
    st.sampled_from(["user", "assistant"]),
    st.sampled_from(_MEMBERS),
    VALUES | st.dictionaries(st.sampled_from(_TOOL_FIELDS), VALUES),
)
def test_any_block_is_read_or_refused(role: str, member: str, value: object) -> None:
    body = json.dumps({"messages": [{"role": role, "content": [{member: value}]}]}).encode()
    try:
        asked = read("/model/m/converse", body)
    except Misconfigured as error:
        assert error.message
    else:
        assert asked.request.messages


SERVED = Served("smollm2", "sha256:r", "sha256:d", "s", "n", "bubblewrap", 2, 2048, 1)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("byOutputModality=TEXT", 1),
        ("byOutputModality=EMBEDDING", 0),
        ("byInferenceType=ON_DEMAND&byProvider=Test", 1),
        ("byProvider=Anthropic", 0),
        ("byCustomizationType=FINE_TUNING", 0),
    ],
)
def test_the_list_is_filtered(query: str, count: int) -> None:
    assert len(json.loads(listing("/foundation-models", query))["modelSummaries"]) == count


def listing(path: str, query: str, names: str = "") -> bytes:
    action = found(path, query).action
    assert isinstance(action, Listing)
    rows = [dataclasses.replace(SERVED, name=name) for name in names] or [SERVED]
    return action.write(rows, "test")


def test_a_filter_that_is_no_filter_is_refused() -> None:
    with pytest.raises(Misconfigured, match="byInferenceType"):
        listing("/foundation-models", "byInferenceType=LATER")


def profiles(query: str) -> tuple[str, str | None]:
    page = json.loads(listing("/inference-profiles", query, "abcde"))
    rows = page["inferenceProfileSummaries"]
    return "".join(row["inferenceProfileId"] for row in rows), page.get("nextToken")


def test_pages_of_inference_profiles() -> None:
    assert profiles("") == ("abcde", None)
    assert profiles("type=SYSTEM_DEFINED") == ("abcde", None)
    assert profiles("type=APPLICATION") == ("", None)
    assert profiles("maxResults=2") == ("ab", "b")
    assert profiles("maxResults=2&nextToken=b") == ("cd", "d")
    assert profiles("maxResults=2&nextToken=d") == ("e", None)
    for value in ("0", "x", "²", "99999"):
        with pytest.raises(Misconfigured, match="maxResults"):
            profiles(f"maxResults={value}")


def test_one_inference_profile() -> None:
    arn = "arn%3Abastide%3Abedrock%3Atest%3A%3Ainference-profile%2Fsmollm2"
    action = found(f"/inference-profiles/{arn}").action
    assert isinstance(action, Single)
    assert action.model == "smollm2"
    row = json.loads(action.write(SERVED, "test"))
    assert row["models"] == [{"modelArn": "arn:bastide:bedrock:test::foundation-model/smollm2"}]
    assert row["inferenceProfileArn"].endswith("inference-profile/smollm2")


def test_other_signed_operations_are_refused_in_this_familys_words() -> None:
    scope = b"AWS4-HMAC-SHA256 Credential=BST0/20260101/eu-west-1/bedrock/aws4_request, x"
    action = found("/custom-models", headers={b"authorization": scope}).action
    assert isinstance(action, Deny)
    with pytest.raises(NotFound):
        action.refuse(b"", "ID")
    assert find_route("/custom-models", "", {})[1] is None
    # What other families have is theirs, signed or not.
    for path in ("/v1/chat/completions", "/openai/v1/models", "/v1/nothing", "/api/chat"):
        assert find_route(path, "", {b"authorization": scope})[0] is not BEDROCK
