# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools and schemas with the real clients of the chat API: `openai`, its Azure kin, `mistralai`."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from mistralai.client import Mistral
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from bastide.adapters.engine.fake import FakeEngine
from bastide.core.chat import ChoiceMode, Message, ToolChoice
from bastide.core.errors import TooLong
from paths.gateway_rig import KEY, MODEL, STRANGE_KEY, Rig, bugs, gateway

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": SCHEMA,
        "strict": True,
    },
}
TIME: Any = {"type": "function", "function": {"name": "get_time"}}
ASK: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Weather in Köln?"}],
}
ARGUMENTS = {"city": "wall", "days": 7}  # what the fake engine makes of the schema


class Zone(BaseModel):
    zone: str


class Forecast(BaseModel):
    city: str
    days: int


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        made.engine.thinking = FakeEngine()
        yield made
        assert bugs(made) == []


def clients(rig: Rig) -> list[openai.OpenAI]:
    more: dict[str, Any] = {"api_key": KEY, "timeout": 20, "max_retries": 0}
    return [
        openai.OpenAI(base_url=f"{rig.url}/v1", **more),
        openai.AzureOpenAI(azure_endpoint=rig.url, api_version="2024-10-21", **more),
    ]


def client(rig: Rig, **more: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{rig.url}/v1", **{"api_key": KEY, "timeout": 20, **more})


def mistral(rig: Rig) -> Mistral:
    return Mistral(api_key=KEY, server_url=rig.url, timeout_ms=20_000)


# A call, its result, and the answer


def test_a_round_trip(rig: Rig) -> None:
    for asking in clients(rig):
        first = asking.chat.completions.create(**ASK, tools=[WEATHER, TIME])
        choice = first.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        [call] = choice.message.tool_calls or []
        assert call.type == "function"
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments) == ARGUMENTS
        turns: list[Any] = [
            *ASK["messages"],
            choice.message,  # as the client gave it
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ]
        second = asking.chat.completions.create(model=MODEL, messages=turns, tools=[WEATHER, TIME])
        assert second.choices[0].finish_reason in ("stop", "length")
        assert second.choices[0].message.content
        assert second.choices[0].message.tool_calls is None
        request = rig.engine.requests[-1]
        assert request.messages[1].calls[0].ident == call.id
        assert request.messages[2] == Message("tool", "rain", answers=call.id)
        assert rig.control.receipts[-2].finish == "tool_calls"


def test_a_round_trip_of_mistral(rig: Rig) -> None:
    tools: Any = [WEATHER]
    first = mistral(rig).chat.complete(**ASK, tools=tools)
    message = first.choices[0].message
    assert message is not None
    assert first.choices[0].finish_reason == "tool_calls"
    assert not message.content
    assert isinstance(message.tool_calls, list)
    [call] = message.tool_calls
    assert json.loads(str(call.function.arguments)) == ARGUMENTS
    result: Any = {
        "role": "tool",
        "name": call.function.name,
        "content": "rain",
        "tool_call_id": call.id,
    }
    turns: Any = [*ASK["messages"], message, result]
    second = mistral(rig).chat.complete(model=MODEL, messages=turns, tools=tools)
    assert second.choices[0].message is not None
    assert second.choices[0].message.content
    assert rig.engine.requests[-1].messages[2] == Message("tool", "rain", answers=str(call.id))


def test_a_streamed_call_of_mistral(rig: Rig) -> None:
    asked: Any = {**ASK, "tools": [WEATHER], "tool_choice": "any"}
    with mistral(rig).chat.stream(**asked) as stream:
        chunks = [event.data for event in stream]
    calls = [call for row in chunks for call in row.choices[0].delta.tool_calls or []]
    assert [json.loads(str(call.function.arguments)) for call in calls] == [ARGUMENTS]
    assert calls[0].id.startswith("call_")
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].usage is not None
    assert rig.engine.requests[0].choice == ToolChoice(ChoiceMode.REQUIRED)


def test_a_schema_from_mistral(rig: Rig) -> None:
    answer = mistral(rig).chat.parse(Forecast, **ASK)
    assert answer.choices is not None
    assert answer.choices[0].message is not None
    assert answer.choices[0].message.parsed == Forecast(**ARGUMENTS)
    loose = mistral(rig).chat.complete(**ASK, response_format={"type": "json_object"})
    assert loose.choices[0].message is not None
    assert isinstance(json.loads(str(loose.choices[0].message.content)), dict)


# Streams


def test_a_streamed_call(rig: Rig) -> None:
    for asking in clients(rig):
        pieces: list[str] = []
        names, idents = [], []
        finish = None
        for row in asking.chat.completions.create(**ASK, tools=[WEATHER], stream=True):
            for choice in row.choices:
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or []:
                    assert call.index == 0
                    assert call.function is not None
                    names += [call.function.name] if call.function.name else []
                    idents += [call.id] if call.id else []
                    pieces.append(call.function.arguments or "")
        assert (names, finish, len(idents)) == (["get_weather"], "tool_calls", 1)
        assert json.loads("".join(pieces)) == ARGUMENTS


def test_arguments_come_in_pieces_where_a_call_is_forced(rig: Rig) -> None:
    choice: Any = {"type": "function", "function": {"name": "get_weather"}}
    asked: Any = {**ASK, "tools": [TIME, WEATHER], "tool_choice": choice}
    with client(rig).chat.completions.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.delta") > 1
    whole = client(rig).chat.completions.create(**asked)
    [streamed] = final.choices[0].message.tool_calls or []
    [called] = whole.choices[0].message.tool_calls or []
    assert called.type == "function"
    assert streamed.function.arguments == called.function.arguments
    assert json.loads(called.function.arguments) == ARGUMENTS


def test_the_asynchronous_client(rig: Rig) -> None:
    async def talk() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=KEY) as asking:
            whole = await asking.chat.completions.create(**ASK, tools=[WEATHER])
            text = ""
            streamed = await asking.chat.completions.create(**ASK, tools=[WEATHER], stream=True)
            async for row in streamed:
                for call in row.choices[0].delta.tool_calls or []:
                    text += (call.function and call.function.arguments) or ""
            parsed = await asking.chat.completions.parse(**ASK, response_format=Forecast)
            called = (whole.choices[0].message.tool_calls or [])[0]
            assert called.type == "function"
            return [json.loads(called.function.arguments), json.loads(text),
                    parsed.choices[0].message.parsed]  # fmt: skip

    assert asyncio.run(talk()) == [ARGUMENTS, ARGUMENTS, Forecast(**ARGUMENTS)]


# Choices


@pytest.mark.parametrize(
    ("more", "meant", "names"),
    [
        ({"tool_choice": "auto"}, ToolChoice(), ["get_weather"]),
        ({"parallel_tool_calls": False}, ToolChoice(parallel=False), ["get_weather"]),
        ({"tool_choice": "required"}, ToolChoice(ChoiceMode.REQUIRED), ["get_weather"]),
        (
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ToolChoice(ChoiceMode.REQUIRED, "get_time"),
            ["get_time"],
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "get_time"}}],
                    },
                }
            },
            ToolChoice(ChoiceMode.REQUIRED),
            ["get_time"],
        ),
        ({"tool_choice": "none"}, ToolChoice(ChoiceMode.NONE), []),
    ],
)
def test_a_choice_is_kept(
    rig: Rig, more: dict[str, Any], meant: ToolChoice, names: list[str]
) -> None:
    answer = client(rig).chat.completions.create(**ASK, tools=[WEATHER, TIME], **more)
    assert rig.engine.requests[0].choice == meant
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == names
    assert (answer.choices[0].finish_reason == "tool_calls") == bool(names)


def test_functions_of_the_time_before_tools(rig: Rig) -> None:
    legacy: Any = {**ASK, "functions": [WEATHER["function"]], "function_call": "auto"}
    first = client(rig).chat.completions.create(**legacy)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "function_call"
    assert message.tool_calls is None
    assert message.function_call is not None
    assert json.loads(message.function_call.arguments) == ARGUMENTS
    text = name = ""
    last = None
    for row in client(rig).chat.completions.create(**legacy, stream=True):
        called = row.choices[0].delta.function_call
        name += (called and called.name) or ""
        text += (called and called.arguments) or ""
        last = row.choices[0].finish_reason
    assert (name, json.loads(text), last) == ("get_weather", ARGUMENTS, "function_call")
    turns = [
        *ASK["messages"],
        message.model_dump(exclude_none=True),
        {"role": "function", "name": "get_weather", "content": "rain"},
    ]
    answer: ChatCompletion = client(rig).chat.completions.create(**{**legacy, "messages": turns})
    assert answer.choices[0].message.content
    request = rig.engine.requests[-1]
    assert request.messages[2].answers == request.messages[1].calls[0].ident


# Schemas


def test_an_answer_follows_a_schema(rig: Rig) -> None:
    for asking in clients(rig):
        parsed = asking.chat.completions.parse(**ASK, response_format=Forecast)
        assert parsed.choices[0].message.parsed == Forecast(**ARGUMENTS)
        with asking.chat.completions.stream(**ASK, response_format=Forecast) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == Forecast(**ARGUMENTS)
        loose = asking.chat.completions.create(**ASK, response_format={"type": "json_object"})
        assert isinstance(json.loads(loose.choices[0].message.content or ""), dict)


def test_a_parsed_call(rig: Rig) -> None:
    tool = openai.pydantic_function_tool(Forecast, name="get_weather")
    parsed = client(rig).chat.completions.parse(**ASK, tools=[tool])
    [call] = parsed.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == Forecast(**ARGUMENTS)


def test_an_answer_follows_a_schema_also_beside_tools(rig: Rig) -> None:
    for asking in clients(rig):
        made = {**ASK, "tools": [openai.pydantic_function_tool(Zone, name="get_time")]}
        first = asking.chat.completions.parse(**made, response_format=Forecast).choices[0].message
        [call] = first.tool_calls or []
        assert isinstance(call.function.parsed_arguments, Zone) and first.parsed is None
        turns: Any = [
            *ASK["messages"],
            first.to_dict(),
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
        ]
        made["messages"] = turns
        parsed = asking.chat.completions.parse(**made, response_format=Forecast)
        assert parsed.choices[0].message.parsed == Forecast(**ARGUMENTS)
        with asking.chat.completions.stream(**made, response_format=Forecast) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == Forecast(**ARGUMENTS)
        # Without a schema the answer is a text, although a strict tool binds it.
        said = asking.chat.completions.create(**made).choices[0]
        assert (said.message.content, said.finish_reason) == ("wall", "stop")


# Refusals


def test_what_is_not_there_is_refused_by_name(rig: Rig) -> None:
    custom: Any = {"type": "custom", "custom": {"name": "f"}}
    for more, param in (
        ({"tools": [custom]}, "tools[0].type"),
        ({"logprobs": True}, "logprobs"),
        ({"n": 2}, "n"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client(rig).chat.completions.create(**ASK, **more)
        assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    assert rig.engine.requests == []


def test_a_prompt_that_is_too_long_has_the_clouds_code(rig: Rig) -> None:
    rig.engine.thinking = FakeEngine(context_tokens=2)
    for asking in clients(rig):
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as refused:
                asking.chat.completions.create(**ASK, stream=stream)
            assert refused.value.code == "context_length_exceeded"
    rig.engine.thinking, rig.engine.fails_after, rig.engine.fault = None, 0, TooLong("too long")
    with pytest.raises(openai.BadRequestError) as refused:
        client(rig).responses.create(model=MODEL, input="Hi")
    assert refused.value.code == "context_length_exceeded"


def test_a_refusal_says_whether_to_try_again(rig: Rig) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        client(rig, api_key=STRANGE_KEY).chat.completions.create(**ASK)
    assert unknown.value.response.headers["x-should-retry"] == "false"
    rig.engine.thinking, rig.engine.fails_after = None, 0
    with pytest.raises(openai.InternalServerError) as down:
        client(rig, max_retries=0).chat.completions.create(**ASK)
    assert "x-should-retry" not in down.value.response.headers
    assert down.value.response.headers["retry-after"]
