# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools, schemas, counts and the clouds' clients of the real `anthropic` SDK, before a gateway."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types import ToolUseBlock
from google.oauth2.credentials import Credentials
from pydantic import BaseModel

from bastide.adapters.engine.fake import FakeEngine
from bastide.core import apikey
from bastide.core.chat import ChoiceMode, FinishReason, Message, ToolChoice, Usage
from bastide.core.receipt import commit, salt_for
from paths.bedrock_rig import signing_gateway
from paths.gateway_rig import KEY, MODEL, NARROW_KEY, PEPPER, Rig

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

TEXT = "Hello wörld!"
WEATHER: Any = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TIME: Any = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Weather in Köln?"}],
}
ARGUMENTS = {"city": "wall", "days": 7}  # what the fake engine makes of the schema


@pytest.fixture
def rig() -> Iterator[Rig]:
    with signing_gateway() as made:
        made.engine.thinking = FakeEngine()
        yield made


def client(rig: Rig, key: str = KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=rig.url, api_key=key, max_retries=0, timeout=20)


def used(message: SdkMessage) -> list[ToolUseBlock]:
    return [block for block in message.content if block.type == "tool_use"]


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


# Tools


def test_a_round_trip(rig: Rig) -> None:
    asking = client(rig)
    first = asking.messages.create(**ASK, tools=[WEATHER, TIME])
    assert first.stop_reason == "tool_use"
    [call] = used(first)
    assert len(first.content) == 1  # no empty block of text
    assert (call.name, call.input) == ("get_weather", ARGUMENTS)
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    turns = [
        *ASK["messages"],
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result, {"type": "text", "text": "So?"}]},
    ]
    second = asking.messages.create(**{**ASK, "messages": turns}, tools=[WEATHER, TIME])
    assert used(second)[0].id != call.id
    request = rig.engine.requests[1]
    assert [message.role for message in request.messages] == ["user", "assistant", "tool", "user"]
    assert json.loads(request.messages[1].calls[0].arguments) == ARGUMENTS
    assert request.messages[2:] == (
        Message("tool", "rain", answers=call.id),
        Message("user", "So?"),
    )


def test_an_answer_after_a_result(rig: Rig) -> None:
    asking = client(rig)
    first = asking.messages.create(**ASK, tools=[WEATHER])
    result: Any = {"type": "tool_result", "tool_use_id": used(first)[0].id, "content": "rain"}
    turns = [
        *ASK["messages"],
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = asking.messages.create(**{**ASK, "messages": turns}, tools=[WEATHER])
    assert used(second) == []
    assert text_of(second)
    failed = [{**result, "is_error": True}]
    turns[-1] = {"role": "user", "content": failed}
    asking.messages.create(**{**ASK, "messages": turns}, tools=[WEATHER])
    assert rig.engine.requests[-1].messages[-1].content == "Error: rain"


def test_a_streamed_call(rig: Rig) -> None:
    pieces: list[str] = []
    with client(rig).messages.stream(**ASK, tools=[WEATHER]) as stream:
        kinds = []
        for event in stream:
            kinds.append(event.type)
            if event.type == "input_json":
                pieces.append(event.partial_json)
        final = stream.get_final_message()
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "text" not in kinds
    assert json.loads("".join(pieces)) == ARGUMENTS
    assert final.stop_reason == "tool_use"
    assert [call.input for call in used(final)] == [ARGUMENTS]
    assert final.usage.output_tokens > 0
    # The receipt commits to the call, as it was streamed.
    assert rig.control.receipts[-1].finish == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "meant", "names"),
    [
        ({"type": "auto"}, ToolChoice(), ["get_weather"]),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            ToolChoice(parallel=False),
            ["get_weather"],
        ),
        ({"type": "any"}, ToolChoice(ChoiceMode.REQUIRED), ["get_weather"]),
        (
            {"type": "tool", "name": "get_time"},
            ToolChoice(ChoiceMode.REQUIRED, "get_time"),
            ["get_time"],
        ),
        ({"type": "none"}, ToolChoice(ChoiceMode.NONE), []),
    ],
)
def test_choices(rig: Rig, choice: Any, meant: ToolChoice, names: list[str]) -> None:
    answer = client(rig).messages.create(**ASK, tools=[WEATHER, TIME], tool_choice=choice)
    assert rig.engine.requests[0].choice == meant
    assert [call.name for call in used(answer)] == names
    assert answer.stop_reason == ("tool_use" if names else "max_tokens")
    with client(rig).messages.stream(**ASK, tools=[WEATHER, TIME], tool_choice=choice) as stream:
        final = stream.get_final_message()
    assert [call.input for call in used(final)] == [call.input for call in used(answer)]


def test_a_call_that_is_cut_short(rig: Rig) -> None:
    ask: Any = {**ASK, "max_tokens": 2, "tool_choice": {"type": "tool", "name": "get_weather"}}
    answer = client(rig).messages.create(**ask, tools=[WEATHER])
    assert answer.stop_reason == "max_tokens"
    assert [call.input for call in used(answer)] == [{}]


def test_the_tool_runner(rig: Rig) -> None:
    heard: list[tuple[str, int]] = []

    @anthropic.beta_tool
    def get_weather(city: str, days: int) -> str:
        """Weather of a city.

        Args:
            city: its name
            days: how many
        """
        heard.append((city, days))
        return "rain"

    runner = client(rig).beta.messages.tool_runner(**ASK, tools=[get_weather], max_iterations=3)
    final = runner.until_done()
    assert heard == [("wall", 7)]
    assert text_of(final)


def test_the_asynchronous_client(rig: Rig) -> None:
    async def talk() -> list[Any]:
        options: dict[str, Any] = {"base_url": rig.url, "api_key": KEY, "max_retries": 0}
        async with anthropic.AsyncAnthropic(**options) as asking:
            whole = await asking.messages.create(**ASK, tools=[WEATHER])
            async with asking.messages.stream(**ASK, tools=[WEATHER]) as stream:
                streamed = await stream.get_final_message()
            counted = await asking.messages.count_tokens(model=MODEL, messages=ASK["messages"])
            return [used(whole)[0].input, used(streamed)[0].input, counted.input_tokens]

    assert asyncio.run(talk()) == [ARGUMENTS, ARGUMENTS, len("Weather in Köln?")]


# Schemas


class City(BaseModel):
    name: str
    people: int


def test_an_answer_by_a_schema(rig: Rig) -> None:
    asking = client(rig)
    parsed = asking.messages.parse(**ASK, output_format=City)
    assert parsed.parsed_output == City(name="wall", people=7)
    with asking.messages.stream(**ASK, output_format=City) as stream:
        assert stream.get_final_message().parsed_output == City(name="wall", people=7)
    schema = json.loads(str(rig.engine.requests[0].schema))
    assert set(schema["properties"]) == {"name", "people"}
    form: Any = {"format": {"type": "json_schema", "schema": City.model_json_schema()}}
    answer = asking.messages.create(**ASK, output_config=form)
    assert City.model_validate_json(text_of(answer))


# Counts


def test_counts(rig: Rig) -> None:
    asking = client(rig)
    counted = asking.messages.count_tokens(
        model=MODEL, messages=ASK["messages"], system="Be brief.", tools=[WEATHER]
    )
    assert counted.input_tokens == len("Weather in Köln?") + len("Be brief.")
    assert rig.control.receipts == []  # nothing was answered
    with pytest.raises(anthropic.NotFoundError):
        asking.messages.count_tokens(model="nope", messages=ASK["messages"])
    with pytest.raises(anthropic.PermissionDeniedError):
        client(rig, NARROW_KEY).messages.count_tokens(model=MODEL, messages=ASK["messages"])
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        asking.messages.count_tokens(model=MODEL, messages=[])


# The same in the clouds


def vertex(rig: Rig, key: str = KEY) -> anthropic.AnthropicVertex:
    return anthropic.AnthropicVertex(
        base_url=rig.url + "/v1",
        access_token=key,
        project_id="p",
        region="europe-west1",
        max_retries=0,
    )


def signing(rig: Rig, kind: Any, **more: Any) -> Any:
    access, secret = apikey.sigv4_pair(PEPPER, "k_wide")
    return kind(
        aws_access_key=access,
        aws_secret_key=secret,
        aws_region="eu-central-1",
        max_retries=0,
        **more,
    )


def others(rig: Rig) -> list[Any]:
    """Every client of the package but the plain one."""
    base = rig.url + "/anthropic"
    return [
        vertex(rig),
        anthropic.AnthropicGoogleCloud(
            base_url=rig.url,
            credentials=Credentials(KEY),
            project="p",
            location="eu",
            workspace_id="w",
            max_retries=0,
        ),
        anthropic.AnthropicFoundry(base_url=base + "/", api_key=KEY, max_retries=0),
        anthropic.AnthropicBedrockMantle(
            base_url=base, api_key=KEY, aws_region="eu-north-1", max_retries=0
        ),
        signing(rig, anthropic.AnthropicBedrockMantle, base_url=base),
        signing(rig, anthropic.AnthropicBedrock, base_url=rig.url),
        signing(rig, anthropic.AnthropicAWS, base_url=rig.url, workspace_id="w"),
    ]


def test_every_client_calls_tools(rig: Rig) -> None:
    for asking in others(rig):
        whole = asking.messages.create(**ASK, tools=[WEATHER])
        assert [call.input for call in used(whole)] == [ARGUMENTS]
        with asking.messages.stream(**ASK, tools=[WEATHER]) as stream:
            final = stream.get_final_message()
        assert [call.input for call in used(final)] == [ARGUMENTS]
        with pytest.raises(anthropic.NotFoundError):
            asking.messages.create(**{**ASK, "model": "nope"})
    assert {row.tenant for row in rig.control.receipts} == {"acme"}


def test_vertex_counts_and_streams(rig: Rig) -> None:
    counted = vertex(rig).messages.count_tokens(model=MODEL, messages=ASK["messages"])
    assert counted.input_tokens == len("Weather in Köln?")
    events = [event.type for event in vertex(rig).messages.create(**ASK, stream=True)]
    assert (events[0], events[-1]) == ("message_start", "message_stop")
    with pytest.raises(anthropic.PermissionDeniedError):
        vertex(rig, NARROW_KEY).messages.create(**ASK)

    async def talk() -> SdkMessage:
        options: dict[str, Any] = {"base_url": rig.url + "/v1", "access_token": KEY}
        async with anthropic.AsyncAnthropicVertex(
            **options, project_id="p", region="eu", max_retries=0
        ) as asking:
            return await asking.messages.create(**ASK, tools=[WEATHER])

    assert used(asyncio.run(talk()))[0].input == ARGUMENTS


def test_a_signed_answer_has_its_receipt(rig: Rig) -> None:
    asking = signing(rig, anthropic.AnthropicBedrockMantle, base_url=rig.url + "/anthropic")
    answer = asking.messages.create(**ASK)
    [receipt] = rig.control.receipts
    assert receipt.key == "k_wide"
    salt = salt_for(apikey.sigv4_pair(PEPPER, "k_wide")[1], receipt.ident)
    assert receipt.answer_commitment == commit(salt, "answer", text_of(answer).encode())


def test_a_wrong_signature_is_the_sdks_exception(rig: Rig) -> None:
    access, _ = apikey.sigv4_pair(PEPPER, "k_wide")
    asking = anthropic.AnthropicBedrockMantle(
        base_url=rig.url + "/anthropic",
        aws_access_key=access,
        aws_secret_key="x" * 40,
        aws_region="eu-central-1",
        max_retries=0,
    )
    with pytest.raises(anthropic.PermissionDeniedError, match="signature"):
        asking.messages.create(**ASK)
    assert rig.engine.requests == []


# The guard


def test_an_answer_that_the_guard_ended(rig: Rig) -> None:
    rig.engine.thinking = None
    rig.engine.finish = FinishReason.FILTERED
    answer = client(rig).messages.create(**ASK)
    assert (answer.stop_reason, text_of(answer)) == ("refusal", TEXT)
    assert answer.usage.output_tokens == Usage(9, 4, 4).completion_tokens
    with client(rig).messages.stream(**ASK) as stream:
        assert stream.get_final_message().stop_reason == "refusal"
