# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Engine port, what binds an answer: schemas and tools, over the fake, SmolLM2 and frames."""

import json

import pytest
from msgspec.structs import replace

from bastide.core.chat import (
    ChoiceMode,
    Delta,
    FinishReason,
    GenerateRequest,
    Hearing,
    Message,
    Said,
    Tool,
    ToolCall,
    ToolChoice,
)
from bastide.core.errors import Misconfigured
from contracts.test_engine import answer, chat, plain, say, world

__all__ = ["world"]  # the fixture

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

CITY = json.dumps(
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "unit": {"$ref": "#/$defs/unit"},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
        "$defs": {"unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
    }
)
ZONE = json.dumps(
    {
        "type": "object",
        "properties": {"zone": {"enum": ["CET", "UTC"]}},
        "required": ["zone"],
        "additionalProperties": False,
    }
)
WEATHER = Tool("get_weather", "The weather in a city", CITY)
CLOCK = Tool("get_time", "The time in a zone", ZONE)


def asking(*tools: Tool, mode=ChoiceMode.AUTO, name=None, **sampling) -> GenerateRequest:
    request = chat("What is the weather in Paris?", temperature=0, **sampling)
    return replace(request, tools=tools, choice=ToolChoice(mode, name))


def heard(deltas: list[Delta]) -> Said:
    hearing = Hearing()
    for delta in deltas:
        hearing.hear(delta)
    return hearing.said()


def is_weather(arguments: str) -> bool:
    value = json.loads(arguments)
    return set(value) == {"city", "unit"} and value["unit"] in ("celsius", "kelvin")


@pytest.mark.parametrize("make", [chat, plain])
def test_an_answer_follows_its_schema(world, make):
    run, engine = world
    request = replace(make("The weather in Paris", max_tokens=120, temperature=0), schema=CITY)
    assert is_weather(run(say(engine, request)))


def test_a_required_call_of_the_only_tool_comes_with_valid_arguments(world):
    run, engine = world
    deltas = run(answer(engine, asking(WEATHER, mode=ChoiceMode.REQUIRED, max_tokens=120)))
    said = heard(deltas)
    assert said.text == ""
    assert [call.name for call in said.calls] == ["get_weather"]
    assert is_weather(said.calls[0].arguments)
    assert deltas[-1].finish is FinishReason.TOOL_CALLS
    assert deltas[-1].call is None


def test_a_required_call_of_any_tool_is_one_of_them(world):
    run, engine = world
    request = asking(WEATHER, CLOCK, mode=ChoiceMode.REQUIRED, max_tokens=120)
    (call,) = heard(run(answer(engine, request))).calls
    arguments = json.loads(call.arguments)
    good = is_weather if call.name == "get_weather" else lambda _: arguments["zone"] in "CET UTC"
    assert good(call.arguments)


def test_a_named_tool_is_the_one_that_is_called(world):
    run, engine = world
    request = asking(WEATHER, CLOCK, mode=ChoiceMode.REQUIRED, name="get_time", max_tokens=60)
    (call,) = heard(run(answer(engine, request))).calls
    assert call.name == "get_time"
    assert json.loads(call.arguments)["zone"] in ("CET", "UTC")


def test_a_call_that_is_cut_short_says_so(world):
    run, engine = world
    deltas = run(answer(engine, asking(WEATHER, mode=ChoiceMode.REQUIRED, max_tokens=2)))
    assert deltas[-1].finish is FinishReason.LENGTH
    (call,) = heard(deltas).calls
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.arguments)


def test_a_call_by_choice_of_a_strict_tool_follows_its_schema(world):
    run, engine = world
    tool = replace(WEATHER, strict=True)
    said = heard(run(answer(engine, asking(tool, max_tokens=120))))
    assert bool(said.text) != bool(said.calls)
    assert all(is_weather(call.arguments) for call in said.calls)


def test_an_answer_follows_its_schema_also_beside_tools_to_choose_from(world):
    run, engine = world
    request = replace(asking(CLOCK, max_tokens=120), schema=CITY)
    results = (
        *request.messages,
        Message("assistant", "", (ToolCall("c1", "get_time", '{"zone": "CET"}'),)),
        Message("tool", "It is noon, 18 degrees celsius in Paris.", answers="c1"),
    )
    for asked in (request, replace(request, messages=results)):
        said = heard(run(answer(engine, asked)))
        assert all(json.loads(call.arguments)["zone"] in "CET UTC" for call in said.calls)
        assert said.calls or is_weather(said.text)


def test_without_a_choice_no_tool_is_called(world):
    run, engine = world
    deltas = run(answer(engine, asking(WEATHER, mode=ChoiceMode.NONE, max_tokens=6)))
    assert heard(deltas).calls == ()
    assert heard(deltas).text


def test_results_of_tools_can_be_answered(world):
    run, engine = world
    called = heard(run(answer(engine, asking(WEATHER, mode=ChoiceMode.REQUIRED, max_tokens=120))))
    (call,) = called.calls
    turns = (
        Message("user", "What is the weather in Paris?"),
        Message("assistant", "", called.calls),
        Message("tool", "18 degrees and sunny", answers=call.ident),
    )
    request = replace(asking(WEATHER, mode=ChoiceMode.NONE, max_tokens=8), messages=turns)
    assert run(say(engine, request))


def test_a_count_is_what_the_answer_will_state(world):
    run, engine = world
    for request in (
        chat("Tell me about walls.", max_tokens=1),
        plain("Tell me about walls.", max_tokens=1),
        asking(WEATHER, CLOCK, max_tokens=1),
        asking(WEATHER, mode=ChoiceMode.REQUIRED, max_tokens=1),
    ):
        counted = run(engine.count(request))
        assert counted == run(answer(engine, request))[-1].usage.prompt_tokens > 0


def test_a_schema_that_no_engine_can_follow_is_the_callers_fault_and_does_no_harm(world):
    run, engine = world
    odd = replace(chat("x", max_tokens=8), schema='{"type": "object", "$ref": "#/nowhere"}')
    with pytest.raises(Misconfigured):
        run(answer(engine, odd))
    run(engine.health())
    assert run(say(engine, plain("Hello", max_tokens=1)))
