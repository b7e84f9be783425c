# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Functions, bound answers and counts, as the google-genai SDK asks for them."""

import asyncio
import enum
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from pydantic import BaseModel

from bastide.adapters.engine.fake import FakeEngine
from bastide.core.chat import ChoiceMode
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    Rig,
    bugs,
    gateway,
    read_response,
    request_bytes,
)

CITY: dict[str, Any] = {
    "type": "OBJECT",
    "properties": {"city": {"type": "STRING"}, "days": {"type": "INTEGER"}},
    "required": ["city"],
}
WEATHER = types.FunctionDeclaration(
    name="weather", description="Tell the weather.", parameters=types.Schema.model_validate(CITY)
)
CLOCK = types.FunctionDeclaration(
    name="clock", parameters_json_schema={"type": "object", "properties": {"zone": {"const": "Z"}}}
)
TOOLS: Any = [types.Tool(function_declarations=[WEATHER, CLOCK])]
ARGUMENTS = {"city": "wall", "days": 7}  # what the fake engine says
MODES = ["gemini", "vertex"]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        with pytest.warns(UserWarning, match="only for use in development"):
            made.engine.thinking = FakeEngine()
        yield made
        while _kept:
            _kept.pop().close()
        assert bugs(made) == []


_kept: list[genai.Client] = []  # a client closes itself when nobody holds it


def client(rig: Rig, mode: str = "gemini", key: str = KEY) -> genai.Client:
    options = types.HttpOptions(base_url=rig.url, timeout=20_000)
    if mode == "gemini":
        made = genai.Client(api_key=key, http_options=options)
    else:
        made = genai.Client(
            vertexai=True,
            project="any",
            location="eu",
            credentials=Credentials(key),
            http_options=options,
        )
    _kept.append(made)
    return made


def ask(rig: Rig, mode: str = "gemini", contents: Any = "Hi", **config: Any) -> Any:
    made = types.GenerateContentConfig(**config)
    return client(rig, mode).models.generate_content(model=MODEL, contents=contents, config=made)


# Functions


@pytest.mark.parametrize("mode", MODES)
def test_a_call_and_its_result(rig: Rig, mode: str) -> None:
    first = ask(rig, mode, tools=TOOLS)
    (call,) = first.function_calls
    assert (call.name, call.args) == ("weather", ARGUMENTS)
    assert first.candidates[0].finish_reason is types.FinishReason.STOP
    result = types.Part.from_function_response(name="weather", response={"result": "rain"})
    turns = [
        types.UserContent("Hi"),
        first.candidates[0].content,
        types.Content(role="user", parts=[result]),
    ]
    second = ask(rig, mode, turns, tools=TOOLS)
    assert second.text and not second.function_calls
    asked = rig.engine.requests[1]
    assert [tool.name for tool in asked.tools] == ["weather", "clock"]
    assert [turn.role for turn in asked.messages] == ["user", "assistant", "tool"]
    said, answer = asked.messages[1:]
    assert said.calls[0].ident == answer.answers == call.id
    assert json.loads(said.calls[0].arguments) == ARGUMENTS
    assert json.loads(answer.content) == {"result": "rain"}
    assert len(rig.control.receipts) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_streamed_call_is_one_part(rig: Rig, mode: str) -> None:
    config = types.GenerateContentConfig(tools=TOOLS)
    stream = client(rig, mode).models.generate_content_stream(
        model=MODEL, contents="Hi", config=config
    )
    chunks = list(stream)
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    assert [(call.name, call.args) for call in calls] == [("weather", ARGUMENTS)]
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP


def test_a_json_array_streams_calls_too(rig: Rig) -> None:
    body = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "tools": [{"function_declarations": [{"name": "weather", "parameters": CITY}]}],
    }
    path = f"/v1beta/models/{MODEL}:streamGenerateContent"
    with rig.connect() as talking:
        talking.sendall(request_bytes(json.dumps(body).encode(), path=path))
        response = read_response(talking)
    assert response.whole
    parts = [part for row in json.loads(response.body) for part in _parts(row)]
    assert [part["functionCall"]["args"] for part in parts if "functionCall" in part] == [ARGUMENTS]


def _parts(row: dict[str, Any]) -> list[dict[str, Any]]:
    return row["candidates"][0]["content"]["parts"]


@pytest.mark.parametrize(
    ("mode", "names", "called", "choice"),
    [
        ("ANY", None, "weather", (ChoiceMode.REQUIRED, None)),
        ("ANY", ["clock"], "clock", (ChoiceMode.REQUIRED, "clock")),
        ("NONE", None, None, (ChoiceMode.NONE, None)),
        ("VALIDATED", ["clock"], "clock", (ChoiceMode.AUTO, None)),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_choices(
    rig: Rig, mode: str, names: Any, called: str | None, choice: Any, streaming: bool
) -> None:
    calling = types.FunctionCallingConfig(mode=mode, allowed_function_names=names)
    config = types.GenerateContentConfig(
        tools=TOOLS, tool_config=types.ToolConfig(function_calling_config=calling)
    )
    models = client(rig).models
    if streaming:
        answers = list(models.generate_content_stream(model=MODEL, contents="Hi", config=config))
    else:
        answers = [models.generate_content(model=MODEL, contents="Hi", config=config)]
    calls = [call.name for answer in answers for call in answer.function_calls or []]
    assert calls == ([called] if called else [])
    asked = rig.engine.requests[0].choice
    assert (asked.mode, asked.name) == choice


def weather(city: str, days: int = 1) -> str:
    """Tell the weather."""
    _told.append((city, days))
    return f"rain in {city}"


_told: list[tuple[str, int]] = []


@pytest.mark.parametrize("mode", MODES)
def test_functions_of_python_are_called_by_the_sdk(rig: Rig, mode: str) -> None:
    _told.clear()
    answer = ask(rig, mode, tools=[weather])
    assert _told == [("wall", 7)]
    assert answer.text
    assert [turn.role for turn in answer.automatic_function_calling_history] == [
        *("user", "model", "user"),
    ]
    results = [json.loads(turn.content) for turn in rig.engine.requests[1].messages[2:]]
    assert results == [{"result": "rain in wall"}]


def test_a_chat_that_calls_functions(rig: Rig) -> None:
    _told.clear()
    chat = client(rig).chats.create(
        model=MODEL, config=types.GenerateContentConfig(tools=[weather])
    )
    assert chat.send_message("One").text
    assert "".join(chunk.text or "" for chunk in chat.send_message_stream("Two"))
    assert len(_told) == 2
    roles = [turn.role for turn in rig.engine.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant", "tool"]


def test_the_asynchronous_sdk(rig: Rig) -> None:
    async def talk() -> None:
        async with client(rig).aio as asking:
            _told.clear()
            config = types.GenerateContentConfig(tools=[weather])
            answer = await asking.models.generate_content(model=MODEL, contents="Hi", config=config)
            assert answer.text and _told == [("wall", 7)]
            config = types.GenerateContentConfig(tools=TOOLS)
            chunks = await asking.models.generate_content_stream(
                model=MODEL, contents="Hi", config=config
            )
            calls = [call async for chunk in chunks for call in chunk.function_calls or []]
            assert [call.args for call in calls] == [ARGUMENTS]
            counted = await asking.models.count_tokens(model=MODEL, contents="one two")
            assert counted.total_tokens == 7

    asyncio.run(talk())


# Bound answers


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class House(BaseModel):
    name: str
    rooms: int
    tags: list[str]
    colour: Colour
    owner: str | None = None


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_bound_by_a_pydantic_model(rig: Rig, mode: str) -> None:
    bound = {"response_mime_type": "application/json", "response_schema": House}
    answer = ask(rig, mode, **bound)
    assert answer.parsed == House(
        name="wall", rooms=7, tags=["wall"], colour=Colour.RED, owner="wall"
    )
    bound["response_schema"] = list[House]
    assert [type(row) for row in ask(rig, mode, **bound).parsed] == [House]


def test_an_answer_bound_by_a_json_schema(rig: Rig) -> None:
    schema = House.model_json_schema()
    config = {"response_mime_type": "application/json", "response_json_schema": schema}
    assert json.loads(ask(rig, **config).text)["colour"] == "red"
    stream = client(rig).models.generate_content_stream(model=MODEL, contents="Hi", config=config)
    assert json.loads("".join(chunk.text or "" for chunk in stream))["rooms"] == 7
    assert json.loads(ask(rig, response_mime_type="application/json").text) == {}


def test_an_answer_that_is_one_of_some_words(rig: Rig) -> None:
    config = {"response_mime_type": "text/x.enum", "response_schema": Colour}
    answer = ask(rig, **config)
    assert (answer.text, answer.parsed) == ("red", Colour.RED)
    stream = client(rig).models.generate_content_stream(model=MODEL, contents="Hi", config=config)
    assert "".join(chunk.text or "" for chunk in stream) == "red"


# Counts


def test_counts(rig: Rig) -> None:
    assert client(rig).models.count_tokens(model=MODEL, contents="one two").total_tokens == 7
    config = types.CountTokensConfig(system_instruction="three", tools=TOOLS)
    counted = client(rig, "vertex").models.count_tokens(
        model=MODEL, contents="one two", config=config
    )
    assert counted.total_tokens == 12
    assert rig.control.receipts == []
    for key, model, code in ((NARROW_KEY, MODEL, 403), (KEY, "nope", 404)):
        with pytest.raises(errors.ClientError) as caught:
            client(rig, key=key).models.count_tokens(model=model, contents="x")
        assert caught.value.code == code
