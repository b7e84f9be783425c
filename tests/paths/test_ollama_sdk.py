# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway as the `ollama` package sees it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from pydantic import BaseModel

from bastide.adapters.engine.fake import FakeEngine
from bastide.core.receipt import commit, salt_for
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    RELEASE,
    STRANGE_KEY,
    Response,
    Rig,
    bugs,
    gateway,
    read_response,
    request_bytes,
)

TEXT = "Hello wörld!"
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def options(rig: Rig, key: str = KEY) -> dict[str, Any]:
    return {"host": rig.url, "headers": {"Authorization": f"Bearer {key}"}, "timeout": 20}


def client(rig: Rig, key: str = KEY) -> ollama.Client:
    return ollama.Client(**options(rig, key))


def ask(rig: Rig, path: str, body: bytes = b"", method: str = "POST") -> Response:
    with rig.connect() as talking:
        talking.sendall(request_bytes(body, path=path, method=method))
        return read_response(talking)


def test_chat(rig: Rig) -> None:
    answer = client(rig).chat(MODEL, HI, options={"num_predict": 7, "seed": 3, "stop": ["\n"]})
    assert (answer.message.content, answer.done, answer.done_reason) == (TEXT, True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (9, 4)
    sampling = rig.engine.requests[0].sampling
    assert (sampling.max_tokens, sampling.seed, sampling.stop) == (7, 3, ("\n",))
    assert rig.control.receipts[0].finish == "stop"


def test_a_stream_of_chat(rig: Rig) -> None:
    rows = list(client(rig).chat(MODEL, HI, stream=True))
    assert "".join(row.message.content or "" for row in rows) == TEXT
    assert [row.done for row in rows] == [False] * 4 + [True]
    assert rows[-1].eval_count == 4


def test_generate(rig: Rig) -> None:
    asking = client(rig)
    assert asking.generate(MODEL, "Once", system="Be brief.").response == TEXT
    assert [turn.role for turn in rig.engine.requests[0].messages] == ["system", "user"]
    assert asking.generate(MODEL + ":latest", "Once", raw=True).response == TEXT
    assert rig.engine.requests[1].prompt == "Once"
    rows = list(asking.generate(MODEL, "Once", stream=True))
    assert "".join(row.response or "" for row in rows) == TEXT
    assert rows[-1].done


def test_the_asynchronous_sdk(rig: Rig) -> None:
    async def talk() -> list[str]:
        asking = ollama.AsyncClient(**options(rig))
        whole = await asking.chat(MODEL, HI)
        streamed = [row.message.content async for row in await asking.chat(MODEL, HI, stream=True)]
        generated = await asking.generate(MODEL, "Once")
        with pytest.raises(ollama.ResponseError) as missing:
            await asking.generate("nope", "Once")
        assert missing.value.status_code == 404
        return [whole.message.content or "", "".join(filter(None, streamed)), generated.response]

    assert asyncio.run(talk()) == [TEXT] * 3


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_an_answer_is_a_stream_unless_told_otherwise(rig: Rig, path: str) -> None:
    body = json.dumps({"model": MODEL, "messages": HI, "prompt": "Hi"}).encode()
    response = ask(rig, path, body)
    assert response.headers["content-type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in response.body.splitlines()]
    assert [row["done"] for row in rows] == [False] * 4 + [True]
    receipt = rig.control.receipts[0]
    assert response.headers["x-bastide-receipt"] == receipt.ident
    salt = salt_for(KEY, receipt.ident)
    assert receipt.prompt_commitment == commit(salt, "prompt", body)
    assert receipt.answer_commitment == commit(salt, "answer", TEXT.encode())


# Tools and bound answers


@pytest.fixture
def thinking(rig: Rig) -> Rig:
    with pytest.warns(UserWarning, match="only for use in development"):
        rig.engine.thinking = FakeEngine()
    return rig


def weather(city: str, days: int) -> str:
    """Tell the weather.

    Args:
      city: Where.
      days: For how long.
    """
    return f"rain in {city} for {days} days"


ARGUMENTS = {"city": "wall", "days": 7}  # what the fake engine says


def test_a_call_and_its_result(thinking: Rig) -> None:
    asking = client(thinking)
    first = asking.chat(MODEL, HI, tools=[weather])
    assert (first.done_reason, first.message.content) == ("stop", "")
    assert first.message.tool_calls is not None
    (call,) = first.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)
    result = {
        "role": "tool",
        "tool_name": "weather",
        "content": weather(**call.function.arguments),
    }
    second = asking.chat(MODEL, [*HI, first.message, result], tools=[weather])
    assert second.message.content
    assert not second.message.tool_calls
    asked = thinking.engine.requests[1]
    said, answer = asked.messages[1:]
    assert said.calls[0].ident == answer.answers
    assert (answer.role, answer.content) == ("tool", "rain in wall for 7 days")
    assert json.loads(asked.tools[0].parameters)["required"] == ["city", "days"]
    assert asked.tools[0].description == "Tell the weather."


def test_a_streamed_call(thinking: Rig) -> None:
    rows = list(client(thinking).chat(MODEL, HI, tools=[weather], stream=True))
    calls = [call for row in rows for call in row.message.tool_calls or []]
    assert [call.function.arguments for call in calls] == [ARGUMENTS]
    assert [row.done for row in rows] == [False, True]

    async def talk() -> list[Any]:
        asking = ollama.AsyncClient(**options(thinking))
        rows = await asking.chat(MODEL, HI, tools=[weather], stream=True)
        return [call async for row in rows for call in row.message.tool_calls or []]

    assert [call.function.arguments for call in asyncio.run(talk())] == [ARGUMENTS]


class House(BaseModel):
    name: str
    rooms: int
    owner: str | None = None


def test_answers_bound_by_a_schema(thinking: Rig) -> None:
    asking, schema = client(thinking), House.model_json_schema()
    house = House(name="wall", rooms=7, owner="wall")
    chatted = asking.chat(MODEL, HI, format=schema)
    assert House.model_validate_json(chatted.message.content or "") == house
    assert House.model_validate_json(asking.generate(MODEL, "Hi", format=schema).response) == house
    rows = list(asking.chat(MODEL, HI, format=schema, stream=True, think=False))
    text = "".join(row.message.content or "" for row in rows)
    assert House.model_validate_json(text) == house
    assert json.loads(asking.chat(MODEL, HI, format="json").message.content or "") == {}


def test_models(rig: Rig) -> None:
    assert [row.model for row in client(rig).list().models] == ["other", MODEL]
    assert [row.model for row in client(rig, NARROW_KEY).list().models] == ["other"]
    running = client(rig).ps().models
    assert [row.model for row in running] == ["other", MODEL]
    assert running[1].digest == RELEASE.removeprefix("sha256:")
    shown = client(rig).show(MODEL)
    assert shown.modelinfo is not None
    assert shown.modelinfo["bastide.context_length"] == 2048
    for key, model, status in ((KEY, "nope", 404), (NARROW_KEY, MODEL, 403)):
        with pytest.raises(ollama.ResponseError) as refused:
            client(rig, key).show(model)
        assert refused.value.status_code == status
    assert json.loads(ask(rig, "/api/version", method="GET").body)["version"]
    for body in (b"{", b"[]", b'{"model": 5}', b"\xff", b""):
        response = ask(rig, "/api/show", body)
        assert (response.status, set(json.loads(response.body))) == (400, {"error"})


def test_nobody_changes_models(rig: Rig, tmp_path: Path) -> None:
    asking = client(rig)
    (tmp_path / "blob").write_bytes(b"weights")
    for action in (
        lambda: asking.delete(MODEL),
        lambda: asking.pull("x"),
        lambda: list(asking.pull("x", stream=True)),
        lambda: asking.push(MODEL),
        lambda: asking.create("x", from_=MODEL),
        lambda: asking.copy(MODEL, "x"),
        lambda: asking.create_blob(tmp_path / "blob"),
    ):
        with pytest.raises(ollama.ResponseError, match="Not allowed") as refused:
            action()
        assert refused.value.status_code == 403
    with pytest.raises(ollama.ResponseError) as unknown:
        client(rig, STRANGE_KEY).delete(MODEL)
    assert unknown.value.status_code == 401


def test_refusals_are_the_sdks_exceptions(rig: Rig) -> None:
    for key, model, more, status in (
        (STRANGE_KEY, MODEL, {}, 401),
        (NARROW_KEY, MODEL, {}, 403),
        (KEY, "nope", {}, 404),
        (KEY, MODEL, {"options": {"min_p": 0.5}}, 400),
        (KEY, MODEL, {"think": True}, 400),
    ):
        for stream in (False, True):
            with pytest.raises(ollama.ResponseError) as refused:
                answer: Any = client(rig, key).chat(model, HI, stream=stream, **more)
                list(answer)
            assert refused.value.status_code == status
    assert rig.engine.requests == []


def test_an_engine_that_fails_in_the_middle(rig: Rig) -> None:
    rig.engine.fails_after = 2
    seen = ""
    with pytest.raises(ollama.ResponseError, match="engine died"):
        for row in client(rig).chat(MODEL, HI, stream=True):
            seen += row.message.content or ""
    assert seen == "Hello "
    body = json.dumps({"model": MODEL, "messages": HI}).encode()
    response = ask(rig, "/api/chat", body)
    assert not response.whole
    assert b'"done":true' not in response.body


def test_an_engine_that_fails_at_once(rig: Rig) -> None:
    rig.engine.fails_after = 0
    with pytest.raises(ollama.ResponseError, match="engine died") as failed:
        client(rig).chat(MODEL, HI)
    assert failed.value.status_code == 503
