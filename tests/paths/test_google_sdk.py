# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The google-genai SDK, as Gemini and as Vertex AI, against a running gateway."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from msgspec import structs

from bastide.core.errors import Unavailable
from bastide.core.limits import SNAPSHOT_AGE_MAX_S
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    STRANGE_KEY,
    Rig,
    bugs,
    gateway,
    make_snapshot,
    read_response,
    request_bytes,
)

TEXT = "Hello wörld!"
BODY: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
Mode = Literal["gemini", "gemini v1beta", "express", "project", "project v1"]
MODES: list[Mode] = ["gemini", "gemini v1beta", "express", "project", "project v1"]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        while _kept:
            _kept.pop().close()
        assert bugs(made) == []


_kept: list[genai.Client] = []  # a client closes itself when nobody holds it


def client(rig: Rig, mode: Mode = "gemini", key: str = KEY) -> genai.Client:
    options = types.HttpOptions(base_url=rig.url, timeout=20_000)
    if mode.endswith(("v1", "v1beta")):
        options.api_version = mode.split()[-1]
    if mode.startswith("gemini"):
        made = genai.Client(api_key=key, http_options=options)
    elif mode == "express":
        made = genai.Client(vertexai=True, api_key=key, http_options=options)
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


# Answers


@pytest.mark.parametrize("mode", MODES)
def test_a_whole_answer(rig: Rig, mode: Mode) -> None:
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=7,
        seed=3,
        candidate_count=1,
        stop_sequences=["x"],
        presence_penalty=0.1,
        frequency_penalty=0.2,
        safety_settings=[
            types.SafetySetting(
                category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                threshold=types.HarmBlockThreshold.BLOCK_NONE,
            )
        ],
    )
    answer = client(rig, mode).models.generate_content(model=MODEL, contents="Hi", config=config)
    assert answer.text == TEXT
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert answer.model_version == MODEL
    usage = answer.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.candidates_token_count) == (9, 4)
    assert (usage.total_token_count, usage.cached_content_token_count) == (13, 4)
    asked = rig.engine.requests[0]
    assert [(turn.role, turn.content) for turn in asked.messages] == [
        ("system", "Be brief."),
        ("user", "Hi"),
    ]
    assert structs.astuple(asked.sampling) == (7, 0.5, 0.9, 3, ("x",), 0.2, 0.1, None)
    receipt = rig.control.receipts[0]
    assert (receipt.ident, receipt.requested_model) == (f"r_{answer.response_id}", MODEL)


@pytest.mark.parametrize("mode", MODES)
def test_a_stream(rig: Rig, mode: Mode) -> None:
    rig.engine.words = ("Hel", "lo\u2028", "wörld", "!")
    chunks = list(client(rig, mode).models.generate_content_stream(model=MODEL, contents="Hi"))
    assert [chunk.text for chunk in chunks] == ["Hel", "lo\u2028", "wörld", "!", ""]
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.total_token_count == 13
    assert len(rig.control.receipts) == 1


@pytest.mark.parametrize("mode", ["gemini", "project"])
def test_the_asynchronous_sdk(rig: Rig, mode: Mode) -> None:
    async def talk() -> list[str | None]:
        async with client(rig, mode).aio as asking:

            async def whole() -> str | None:
                answer = await asking.models.generate_content(model=MODEL, contents="Hi")
                return answer.text

            async def streamed() -> str | None:
                chunks = await asking.models.generate_content_stream(model=MODEL, contents="Hi")
                return "".join([chunk.text or "" async for chunk in chunks])

            return await asyncio.gather(*(f() for _ in range(3) for f in (whole, streamed)))

    assert asyncio.run(talk()) == [TEXT] * 6


def test_a_chat_keeps_its_turns(rig: Rig) -> None:
    chat = client(rig).chats.create(model=MODEL)
    assert "".join(chunk.text or "" for chunk in chat.send_message_stream("One")) == TEXT
    assert chat.send_message("Two").text == TEXT
    turns = [(turn.role, turn.content) for turn in rig.engine.requests[1].messages]
    assert turns == [("user", "One"), ("assistant", TEXT), ("user", "Two")]


def test_curl_reads_a_stream_as_a_json_array(rig: Rig) -> None:
    url = f"{rig.url}/v1beta/models/{MODEL}:streamGenerateContent?key={KEY}"
    command = ["curl", "-sS", "-i", "-N", "--max-time", "20", url, "--json", json.dumps(BODY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, _, body = done.stdout.partition("\n\n")
    assert "content-type: application/json" in head
    texts = [row["candidates"][0]["content"]["parts"][0]["text"] for row in json.loads(body)]
    assert "".join(texts) == TEXT


def test_frames_are_nothing_but_data_lines(rig: Rig) -> None:
    path = f"/v1/models/{MODEL}:streamGenerateContent?alt=sse"
    with rig.connect() as talking:
        talking.sendall(request_bytes(json.dumps(BODY).encode(), path=path))
        response = read_response(talking)
    assert response.headers["content-type"] == "text/event-stream"
    *events, end = response.body.split(b"\r\n\r\n")
    assert (len(events), end) == (5, b"")
    assert all(event.startswith(b"data: {") and b"\n" not in event for event in events)


# Models


@pytest.mark.parametrize("mode", MODES)
def test_models(rig: Rig, mode: Mode) -> None:
    prefix = "models/" if mode.startswith("gemini") else "publishers/google/models/"
    models = client(rig, mode).models
    assert [row.name for row in models.list()] == [prefix + "other", prefix + MODEL]
    assert [row.name for row in models.list(config={"page_size": 1})] == [
        prefix + "other",
        prefix + MODEL,
    ]
    assert len(models.list(config={"page_size": 1}).page) == 1
    assert models.get(model=MODEL).name == prefix + MODEL
    narrow = client(rig, mode, NARROW_KEY).models
    assert [row.name for row in narrow.list()] == [prefix + "other"]
    with pytest.raises(errors.ClientError) as caught:
        narrow.get(model=MODEL)
    assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")


def test_limits_and_tuned_models(rig: Rig) -> None:
    model = client(rig).models.get(model=MODEL)
    assert (model.input_token_limit, model.supported_actions) == (
        2048,
        ["generateContent", "countTokens"],
    )
    for mode in ("gemini", "gemini v1beta"):
        assert list(client(rig, mode).models.list(config={"query_base": False})) == []
    with pytest.raises(errors.ClientError, match="filter"):
        client(rig).models.list(config={"filter": "x"})


# Errors


def test_top_k_reaches_the_engine(rig: Rig) -> None:
    asks(top_k=3)(client(rig))
    assert rig.engine.requests[0].sampling.top_k == 3


Ask = Callable[[genai.Client], Any]


def asks(**config: Any) -> Ask:
    return lambda asking: asking.models.generate_content(
        model=MODEL, contents="Hi", config=types.GenerateContentConfig(**config)
    )


IMAGE = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
REFUSED: dict[str, Ask] = {
    "tools[0].googleSearch": asks(tools=[types.Tool(google_search=types.GoogleSearch())]),
    "tools[0].codeExecution": asks(tools=[types.Tool(code_execution=types.ToolCodeExecution())]),
    "generationConfig.responseMimeType": asks(response_mime_type="text/xml"),
    "generationConfig.topK": asks(top_k=-3),
    "generationConfig.candidateCount": asks(candidate_count=2),
    "contents[0].parts[0].inlineData": lambda asking: asking.models.generate_content(
        model=MODEL, contents=[IMAGE]
    ),
    "generationConfig.maxOutputTokens": asks(max_output_tokens=0),
    "generationConfig.temperature": asks(temperature=3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_is_refused_by_name(rig: Rig, name: str) -> None:
    with pytest.raises(errors.ClientError) as caught:
        REFUSED[name](client(rig))
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert name in (caught.value.message or "")
    assert rig.engine.requests == []


@pytest.mark.parametrize("mode", ["express", "project"])
def test_vertex_verbs_that_are_not_there(rig: Rig, mode: Mode) -> None:
    with pytest.raises(errors.ClientError, match="not supported yet") as caught:
        client(rig, mode).models.compute_tokens(model=MODEL, contents="Hi")
    assert caught.value.status == "INVALID_ARGUMENT"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("streaming", [False, True])
def test_who_may_not_ask(rig: Rig, mode: Mode, streaming: bool) -> None:
    def failure(key: str, model: str) -> tuple[int, str | None]:
        asking = client(rig, mode, key).models
        with pytest.raises(errors.ClientError) as caught:
            if streaming:
                list(asking.generate_content_stream(model=model, contents="Hi"))
            else:
                asking.generate_content(model=model, contents="Hi")
        return caught.value.code, caught.value.status

    assert failure(STRANGE_KEY, MODEL) == (401, "UNAUTHENTICATED")
    assert failure(NARROW_KEY, MODEL) == (403, "PERMISSION_DENIED")
    assert failure(KEY, "nope") == (404, "NOT_FOUND")
    assert rig.engine.requests == []


def test_unknown_paths_and_methods(rig: Rig) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client(rig).caches.get(name="cachedContents/x")
    assert caught.value.status == "NOT_FOUND"
    with rig.connect() as talking:
        path = f"/v1/models/{MODEL}:generateContent"
        talking.sendall(request_bytes(b"", path=path, method="GET"))
        wrong = read_response(talking)
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
        assert json.loads(wrong.body)["error"]["status"] == "UNIMPLEMENTED"
        two = f"x-goog-api-key: {NARROW_KEY}\r\n"  # beside the bearer's other key
        talking.sendall(request_bytes(b"", path="/v1/models", method="GET", headers=two))
        assert read_response(talking).status == 401


def test_a_dead_engine_and_a_stale_snapshot(rig: Rig) -> None:
    rig.engine.fails_after = 0
    rig.engine.fault = Unavailable("no engine")
    with pytest.raises(errors.ServerError) as broken:
        client(rig).models.generate_content(model=MODEL, contents="Hi")
    assert (broken.value.code, broken.value.status) == (503, "UNAVAILABLE")
    assert len(rig.engine.requests) == 1  # the SDK does not try again
    rig.do(lambda: rig.clock.advance(int(SNAPSHOT_AGE_MAX_S * 1_000) + 1))
    with pytest.raises(errors.ServerError) as stale:
        list(client(rig).models.list())
    assert stale.value.status == "UNAVAILABLE"


def test_a_stream_that_fails_raises_after_its_text(rig: Rig) -> None:
    rig.engine.fails_after = 2
    texts: list[str | None] = []
    with pytest.raises(errors.ServerError) as caught:
        for chunk in client(rig).models.generate_content_stream(model=MODEL, contents="Hi"):
            texts.append(chunk.text)
    assert texts == ["Hel", "lo "]
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")

    async def talk() -> None:
        models = client(rig).aio.models
        async for _ in await models.generate_content_stream(model=MODEL, contents="Hi"):
            pass

    with pytest.raises(errors.ServerError):
        asyncio.run(talk())


def test_an_array_that_fails_is_never_closed(rig: Rig) -> None:
    rig.engine.fails_after = 2
    path = f"/v1beta/models/{MODEL}:streamGenerateContent"
    with rig.connect() as talking:
        talking.sendall(request_bytes(json.dumps(BODY).encode(), path=path))
        response = read_response(talking)
    assert not response.whole
    rows = json.loads(response.body + b"]")
    assert rows[-1]["error"]["status"] == "UNAVAILABLE"


def test_an_alias_is_answered_by_the_real_model(rig: Rig) -> None:
    rig.publish(aliases={"gemini-2.5-flash": MODEL})
    answer = client(rig).models.generate_content(model="gemini-2.5-flash", contents="Hi")
    assert answer.model_version == MODEL == make_snapshot().served[MODEL].name
    assert rig.control.receipts[0].requested_model == "gemini-2.5-flash"
