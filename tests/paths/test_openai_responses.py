# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Responses API with the real `openai` clients, on OpenAI's and on Azure's paths."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from bastide.adapters.engine.fake import FakeEngine
from bastide.core.chat import ChoiceMode, Message, ToolChoice
from paths.gateway_rig import KEY, MODEL, Rig, bugs, gateway, read_response, request_bytes

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

TEXT = "Hello wörld!"  # of the script
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "strict": True,
}
TIME: Any = {"type": "function", "name": "get_time", "parameters": {}, "strict": False}
ARGUMENTS = {"city": "wall", "days": 7}  # what the fake engine makes of the schema


class Forecast(BaseModel):
    city: str
    days: int


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


@pytest.fixture
def thinking(rig: Rig) -> Rig:
    rig.engine.thinking = FakeEngine()
    return rig


def clients(rig: Rig) -> list[openai.OpenAI]:
    more: dict[str, Any] = {"api_key": KEY, "timeout": 20, "max_retries": 0}
    return [
        openai.OpenAI(base_url=f"{rig.url}/v1", **more),
        openai.OpenAI(base_url=f"{rig.url}/openai/v1/", **more),
        openai.AzureOpenAI(azure_endpoint=rig.url, api_version="2025-03-01-preview", **more),
    ]


def client(rig: Rig) -> openai.OpenAI:
    return clients(rig)[0]


def test_a_whole_answer(rig: Rig) -> None:
    for asking in clients(rig):
        answer = asking.responses.create(
            model=MODEL,
            instructions="Be brief.",
            input="Hi",
            max_output_tokens=50,
            temperature=0.5,
            top_p=0.9,
            metadata={"a": "b"},
            store=True,
        )
        assert answer.output_text == TEXT
        assert (answer.status, answer.model, answer.error) == ("completed", MODEL, None)
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 4)
        assert answer.usage.input_tokens_details.cached_tokens == 4
        assert (answer.instructions, answer.metadata) == ("Be brief.", {"a": "b"})
        assert (answer.temperature, answer.top_p, answer.max_output_tokens) == (0.5, 0.9, 50)
        assert answer.to_dict()["store"] is False  # whatever was asked
        request = rig.engine.requests[-1]
        assert request.messages == (Message("system", "Be brief."), Message("user", "Hi"))
        assert (request.sampling.max_tokens, request.sampling.temperature) == (50, 0.5)


def test_a_stream(rig: Rig) -> None:
    for asking in clients(rig):
        events = list(asking.responses.create(model=MODEL, input="Hi", stream=True))
        assert [event.type for event in events] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            *["response.output_text.delta"] * 4,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == TEXT
        done = events[-1]
        assert done.type == "response.completed"
        assert done.response.output_text == TEXT
        assert done.response.usage is not None
        assert done.response.usage.total_tokens == 13


def test_the_streaming_help_of_the_client(thinking: Rig) -> None:
    with client(thinking).responses.stream(
        model=MODEL, input="Weather?", text_format=Forecast
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_parsed == Forecast(**ARGUMENTS)


def test_a_round_trip(thinking: Rig) -> None:
    for asking in clients(thinking):
        turns: list[Any] = [{"role": "user", "content": "Weather in Köln?"}]
        first = asking.responses.create(model=MODEL, input=turns, tools=[WEATHER, TIME])
        [call] = first.output
        assert call.type == "function_call"
        assert (call.name, json.loads(call.arguments)) == ("get_weather", ARGUMENTS)
        assert call.status == "completed"
        turns += first.output  # as the client gave it
        turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
        second = asking.responses.create(model=MODEL, input=turns, tools=[WEATHER, TIME])
        assert second.output_text
        assert [item.type for item in second.output] == ["message"]
        request = thinking.engine.requests[-1]
        assert request.messages[1].calls[0].ident == call.call_id
        assert request.messages[2] == Message("tool", "rain", answers=call.call_id)
        # An answer is an item of the next request too.
        turns += [*second.output, {"role": "user", "content": "And?"}]
        asking.responses.create(model=MODEL, input=turns)
        said = thinking.engine.requests[-1].messages
        assert [turn.role for turn in said] == ["user", "assistant", "tool", "assistant", "user"]
        assert said[3].content == second.output_text


def test_a_streamed_call(thinking: Rig) -> None:
    choice: Any = {"type": "function", "name": "get_weather"}
    asked: Any = {
        "model": MODEL,
        "input": "Weather?",
        "tools": [TIME, WEATHER],
        "tool_choice": choice,
    }
    events = list(client(thinking).responses.create(**asked, stream=True))
    kinds = [event.type for event in events]
    assert kinds[2] == "response.output_item.added"
    assert kinds[-3:] == [
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert kinds.count("response.function_call_arguments.delta") > 1
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(
        event.delta for event in events if event.type == "response.function_call_arguments.delta"
    )
    [item] = events[-1].response.output
    whole = client(thinking).responses.create(**asked)
    assert text == item.arguments == whole.output[0].to_dict()["arguments"]
    assert whole.to_dict()["tool_choice"] == choice
    assert [tool.type for tool in whole.tools] == ["function", "function"]


@pytest.mark.parametrize(
    ("more", "meant"),
    [
        ({}, ToolChoice()),
        ({"tool_choice": "none"}, ToolChoice(ChoiceMode.NONE)),
        ({"tool_choice": "required"}, ToolChoice(ChoiceMode.REQUIRED)),
        ({"parallel_tool_calls": False}, ToolChoice(parallel=False)),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "get_time"}],
                }
            },
            ToolChoice(ChoiceMode.REQUIRED),
        ),
    ],
)
def test_a_choice_is_kept(thinking: Rig, more: dict[str, Any], meant: ToolChoice) -> None:
    asking = client(thinking).responses
    asking.create(model=MODEL, input="x", tools=[WEATHER, TIME], **more)
    assert thinking.engine.requests[0].choice == meant


def test_schemas(thinking: Rig) -> None:
    for asking in clients(thinking):
        parsed = asking.responses.parse(model=MODEL, input="Weather?", text_format=Forecast)
        assert parsed.output_parsed == Forecast(**ARGUMENTS)
        loose = asking.responses.create(
            model=MODEL, input="x", text={"format": {"type": "json_object"}}
        )
        assert isinstance(json.loads(loose.output_text), dict)
        assert loose.text is not None
        assert loose.text.format is not None
        assert loose.text.format.type == "json_object"


def test_an_answer_that_is_cut_is_incomplete(thinking: Rig) -> None:
    answer = client(thinking).responses.create(model=MODEL, input="x", max_output_tokens=2)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].to_dict()["status"] == "incomplete"
    events = list(
        client(thinking).responses.create(model=MODEL, input="x", max_output_tokens=2, stream=True)
    )
    assert events[-1].type == "response.incomplete"


def test_the_asynchronous_client(thinking: Rig) -> None:
    async def talk() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{thinking.url}/v1", api_key=KEY) as asking:
            whole = await asking.responses.create(model=MODEL, input="x", tools=[WEATHER])
            streamed = ""
            async for event in await asking.responses.create(
                model=MODEL, input="x", tools=[WEATHER], stream=True
            ):
                if event.type == "response.function_call_arguments.delta":
                    streamed += event.delta
            parsed = await asking.responses.parse(model=MODEL, input="x", text_format=Forecast)
            return [whole.output[0].to_dict()["arguments"], streamed, parsed.output_parsed]

    whole, streamed, parsed = asyncio.run(talk())
    assert json.loads(whole) == json.loads(streamed) == ARGUMENTS
    assert parsed == Forecast(**ARGUMENTS)


def test_the_tokens_of_a_request(rig: Rig) -> None:
    counted = client(rig).responses.input_tokens.count(model=MODEL, input="12345")
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 5)
    assert rig.control.receipts == []


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [WEATHER, {"type": "code_interpreter"}]}, "tools[1].type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].type",
        ),
    ],
)
def test_what_is_not_there_is_refused_by_name(rig: Rig, more: dict[str, Any], param: str) -> None:
    for asking in clients(rig):
        with pytest.raises(openai.BadRequestError) as refused:
            asking.responses.create(**{"model": MODEL, "input": "x", **more})
        assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
        assert param in refused.value.message
    assert rig.engine.requests == []


def test_nothing_is_kept(rig: Rig) -> None:
    for asking in clients(rig):
        ident = asking.responses.create(model=MODEL, input="x").id
        for ask in (
            asking.responses.retrieve,
            asking.responses.delete,
            asking.responses.cancel,
            asking.responses.input_items.list,
        ):
            with pytest.raises(openai.NotFoundError, match=ident) as missing:
                ask(ident)
            assert missing.value.code == "response_not_found"


def test_an_engine_that_fails(rig: Rig) -> None:
    rig.engine.fails_after = 2
    for asking in clients(rig):
        seen = ""
        with pytest.raises(openai.APIError, match="engine died"):
            for event in asking.responses.create(model=MODEL, input="Hi", stream=True):
                seen += event.delta if event.type == "response.output_text.delta" else ""
        assert seen == "Hello "
        with pytest.raises(openai.InternalServerError, match="engine died"):
            asking.responses.create(model=MODEL, input="Hi")


def test_a_stream_that_fails_is_broken_off_after_its_typed_events(rig: Rig) -> None:
    rig.engine.fails_after = 2
    body = json.dumps({"model": MODEL, "input": "Hi", "stream": True}).encode()
    with rig.connect() as talking:
        talking.sendall(request_bytes(body, path="/v1/responses"))
        response = read_response(talking)
    assert not response.whole  # who ignores the events still sees a broken answer
    *_, failed, error, empty = response.body.decode().split("\n\n")
    assert empty == ""
    rows = [json.loads(row.partition("\ndata: ")[2]) for row in (failed, error)]
    assert [row["type"] for row in rows] == ["response.failed", "error"]
    assert rows[1]["sequence_number"] == rows[0]["sequence_number"] + 1
    assert rows[0]["response"]["status"] == "failed"
    assert rows[0]["response"]["error"]["code"] == "server_error"
    assert "response.completed" not in response.body.decode()


def test_a_response_cannot_be_listed(rig: Rig) -> None:
    answer = httpx.get(f"{rig.url}/v1/responses", headers={"authorization": f"Bearer {KEY}"})
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_an_answer_follows_a_schema_also_beside_tools(thinking: Rig) -> None:
    for asking in clients(thinking):
        made: Any = {"model": MODEL, "tools": [TIME], "text_format": Forecast}
        [call] = asking.responses.parse(**made, input="Weather?").output
        assert (call.type, call.name) == ("function_call", "get_time")
        turns: Any = [
            {"role": "user", "content": "Weather?"},
            {"type": "function_call", "call_id": "c1", "name": "get_time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "Noon."},
        ]
        assert asking.responses.parse(**made, input=turns).output_parsed == Forecast(**ARGUMENTS)
