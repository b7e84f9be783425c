# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools, schemas, counts and the bodies of InvokeModel, by boto3 before a gateway."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bastide.adapters.engine.fake import FakeEngine
from bastide.core import apikey
from bastide.core.chat import ChoiceMode, FinishReason, Message, ToolChoice
from bastide.core.guard import Action, GuardPolicy
from paths.bedrock_rig import signing_gateway
from paths.gateway_rig import MODEL, PEPPER, Rig

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

TEXT = "Hello wörld!"
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "inputSchema": {
        "json": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        }
    },
}
CLOCK: dict[str, Any] = {"name": "get_time", "inputSchema": {"json": {"type": "object"}}}
TOOLS: dict[str, Any] = {"tools": [{"toolSpec": WEATHER}, {"toolSpec": CLOCK}]}
ASK: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "Weather in Köln?"}]}],
}
ARGUMENTS = {"city": "wall", "days": 7}  # what the fake engine makes of the schema
ANTHROPIC: dict[str, Any] = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
GPT = "openai.gpt-oss-20b-1:0"


@pytest.fixture
def rig() -> Iterator[Rig]:
    with signing_gateway() as made:
        made.engine.thinking = FakeEngine()
        yield made


def client(rig: Rig) -> Any:
    access, secret = apikey.sigv4_pair(PEPPER, "k_wide")
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=rig.url,
        region_name="eu-central-1",
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        config=Config(read_timeout=20, retries={"max_attempts": 0}),
    )


def streamed(events: list[dict[str, Any]]) -> list[tuple[dict[str, Any], Any]]:
    """Each call of a Converse stream, and its input."""
    calls: dict[int, tuple[dict[str, Any], str]] = {}
    for event in events:
        if start := event.get("contentBlockStart"):
            calls[start["contentBlockIndex"]] = (start["start"]["toolUse"], "")
        delta = event.get("contentBlockDelta", {})
        if "toolUse" in delta.get("delta", {}):
            use, text = calls[delta["contentBlockIndex"]]
            calls[delta["contentBlockIndex"]] = (use, text + delta["delta"]["toolUse"]["input"])
    return [(use, json.loads(text)) for use, text in calls.values()]


def test_a_round_trip(rig: Rig) -> None:
    asking = client(rig)
    first = asking.converse(**ASK, toolConfig=TOOLS)
    assert first["stopReason"] == "tool_use"
    message = first["output"]["message"]
    [block] = message["content"]  # no empty block of text
    use = block["toolUse"]
    assert (use["name"], use["input"]) == ("get_weather", ARGUMENTS)
    result = {"toolUseId": use["toolUseId"], "content": [{"json": {"sky": "rain"}}]}
    turns = [*ASK["messages"], message, {"role": "user", "content": [{"toolResult": result}]}]
    second = asking.converse(modelId=MODEL, messages=turns, toolConfig=TOOLS)
    assert [list(block) for block in second["output"]["message"]["content"]] == [["text"]]
    last = rig.engine.requests[1].messages[-1]
    assert last == Message("tool", '{"sky":"rain"}', answers=use["toolUseId"])
    bad = {"toolResult": {**result, "toolUseId": "other"}}
    turns[-1] = {"role": "user", "content": [bad]}
    with pytest.raises(ClientError, match="toolResult"):
        asking.converse(modelId=MODEL, messages=turns, toolConfig=TOOLS)


def test_a_streamed_call(rig: Rig) -> None:
    events = list(client(rig).converse_stream(**ASK, toolConfig=TOOLS)["stream"])
    [(use, arguments)] = streamed(events)
    assert (use["name"], arguments) == ("get_weather", ARGUMENTS)
    kinds = [next(iter(event)) for event in events]
    assert kinds[:2] == ["messageStart", "contentBlockStart"]
    assert kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert events[-2]["messageStop"]["stopReason"] == "tool_use"
    assert rig.control.receipts[-1].finish == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "meant", "name"),
    [
        ({"auto": {}}, ToolChoice(), "get_weather"),
        ({"any": {}}, ToolChoice(ChoiceMode.REQUIRED), "get_weather"),
        (
            {"tool": {"name": "get_time"}},
            ToolChoice(ChoiceMode.REQUIRED, "get_time"),
            "get_time",
        ),
    ],
)
def test_choices(rig: Rig, choice: Any, meant: ToolChoice, name: str) -> None:
    asking, tools = client(rig), {**TOOLS, "toolChoice": choice}
    [block] = asking.converse(**ASK, toolConfig=tools)["output"]["message"]["content"]
    assert rig.engine.requests[0].choice == meant
    assert block["toolUse"]["name"] == name
    events = list(asking.converse_stream(**ASK, toolConfig=tools)["stream"])
    assert [(use["name"], given) for use, given in streamed(events)] == [
        (name, block["toolUse"]["input"])
    ]


def test_an_answer_by_a_schema(rig: Rig) -> None:
    schema = json.dumps(WEATHER["inputSchema"]["json"])
    form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}
    answer = client(rig).converse(**ASK, outputConfig={"textFormat": form})
    assert json.loads(answer["output"]["message"]["content"][0]["text"]) == ARGUMENTS


def test_an_answer_that_the_guard_ended(rig: Rig) -> None:
    rig.engine.thinking, rig.engine.finish = None, FinishReason.FILTERED
    answer = client(rig).converse(**ASK)
    assert answer["stopReason"] == "guardrail_intervened"
    assert answer["output"]["message"]["content"] == [{"text": TEXT}]


def test_counts(rig: Rig) -> None:
    asking = client(rig)
    told = {"messages": ASK["messages"], "system": [{"text": "Be brief."}], "toolConfig": TOOLS}
    counted = asking.count_tokens(modelId=MODEL, input={"converse": told})
    assert counted["inputTokens"] == len("Weather in Köln?") + len("Be brief.")
    for body, size in ((ANTHROPIC, 2), ({"inputText": "Hello"}, 5)):
        form = {"invokeModel": {"body": json.dumps(body).encode()}}
        assert asking.count_tokens(modelId=MODEL, input=form)["inputTokens"] == size
    assert rig.control.receipts == []  # nothing was answered
    with pytest.raises(asking.exceptions.ResourceNotFoundException):
        asking.count_tokens(modelId="nope", input={"converse": told})
    with pytest.raises(asking.exceptions.ValidationException, match="messages"):
        asking.count_tokens(modelId=MODEL, input={"converse": {"messages": []}})


# The bodies of InvokeModel


def invoke(rig: Rig, body: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    answer = client(rig).invoke_model(modelId=model, body=json.dumps(body))
    return json.loads(answer["body"].read())


def chunks(rig: Rig, body: dict[str, Any], model: str = MODEL) -> list[dict[str, Any]]:
    answer = client(rig).invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
    return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]


def test_anthropic_bodies_with_tools(rig: Rig) -> None:
    schema = WEATHER["inputSchema"]["json"]
    body = {**ANTHROPIC, "tools": [{"name": "get_weather", "input_schema": schema}]}
    answer = invoke(rig, body)
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"][0]["input"] == ARGUMENTS
    rows = chunks(rig, body)
    pieces = [row["delta"]["partial_json"] for row in rows if row["type"] == "content_block_delta"]
    assert json.loads("".join(pieces)) == ARGUMENTS
    assert rows[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] > 0


def test_titan_bodies(rig: Rig) -> None:
    rig.engine.thinking = None
    config = {"maxTokenCount": 9, "stopSequences": ["END"], "temperature": 0}
    answer = invoke(rig, {"inputText": "Hi", "textGenerationConfig": config})
    assert answer == {
        "inputTextTokenCount": 9,
        "results": [{"tokenCount": 4, "outputText": TEXT, "completionReason": "FINISH"}],
    }
    [request] = rig.engine.requests
    assert request.messages == (Message("user", "Hi"),)
    assert (request.sampling.max_tokens, request.sampling.stop) == (9, ("END",))
    rows = chunks(rig, {"inputText": "Hi"})
    assert "".join(row["outputText"] for row in rows) == TEXT
    assert rows[-1]["completionReason"] == "FINISH"
    assert rows[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 4


def test_openai_bodies(rig: Rig) -> None:
    rig.engine.thinking = None
    rig.publish(aliases={GPT: MODEL})
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 9}
    answer = invoke(rig, body, GPT)
    assert answer["choices"][0]["message"]["content"] == TEXT
    assert answer["model"] == MODEL
    rows = chunks(rig, body, GPT)
    texts = [row["choices"][0]["delta"].get("content") or "" for row in rows if row["choices"]]
    assert "".join(texts) == TEXT
    assert rows[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 4
    assert [row.requested_model for row in rig.control.receipts] == [GPT, GPT]


# ApplyGuardrail


def test_the_guard_judges_texts(rig: Rig) -> None:
    asking = client(rig)
    told: dict[str, Any] = {
        "guardrailIdentifier": "abc123",
        "guardrailVersion": "1",
        "source": "OUTPUT",
        "content": [{"text": {"text": "Write to ada@example.org."}}],
    }
    with pytest.raises(asking.exceptions.ResourceNotFoundException, match="guard policy"):
        asking.apply_guardrail(**told)
    policy = GuardPolicy(inward=(("email", Action.REFUSE),), outward=(("email", Action.MASK),))
    rig.publish(guards={"acme": json.dumps(policy.to_json())})
    verdict = asking.apply_guardrail(**told)
    assert verdict["action"] == "GUARDRAIL_INTERVENED"
    assert verdict["outputs"] == [{"text": "Write to [email]."}]
    [entity] = verdict["assessments"][0]["sensitiveInformationPolicy"]["piiEntities"]
    assert (entity["type"], entity["action"]) == ("EMAIL", "ANONYMIZED")
    verdict = asking.apply_guardrail(**{**told, "source": "INPUT"})
    assert "ada@" not in verdict["outputs"][0]["text"]
    clean = {**told, "content": [{"text": {"text": "Nothing."}}]}
    assert asking.apply_guardrail(**clean)["action"] == "NONE"
    image = {"image": {"format": "png", "source": {"bytes": b"x"}}}
    with pytest.raises(asking.exceptions.ValidationException, match="image"):
        asking.apply_guardrail(**{**told, "content": [image]})
    assert rig.engine.requests == []
    assert rig.control.receipts == []
