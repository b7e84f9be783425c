# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings as the SDKs of every family ask for them, before an engine that makes small vectors.

The same text always gets the same vector there, so each test compares with what the engine made.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import ollama
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from google import genai
from google.genai import errors as google_errors
from google.genai import types
from google.oauth2.credentials import Credentials
from mistralai.client import Mistral
from mistralai.client import errors as mistral_errors

from bastide.adapters.engine.fake import FakeEngine
from bastide.core import apikey
from bastide.core.chat import EmbedRequest
from bastide.core.errors import Busy
from bastide.core.limits import EMBED_TEXTS_MAX
from bastide.core.receipt import commit, salt_for, vector_bytes
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    PEPPER,
    Response,
    Rig,
    bugs,
    gateway,
    make_snapshot,
    read_response,
    request_bytes,
)

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

EMBEDDER = "minilm"
TEXTS = ["Hello wörld", "Good bye"]
WIDE = apikey.sigv4_pair(PEPPER, "k_wide")
CHAT = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        # boto3 signs with the time of this machine, and the gateway has a clock that stands still.
        made.do(lambda: made.clock.advance(int(time.time() * 1000) - made.clock.now_ms()))
        served = make_snapshot().served
        embedder = dataclasses.replace(
            served[MODEL], name=EMBEDDER, deployment="sha256:e", socket="e.sock", embeds=True
        )
        made.publish(
            served={**served, EMBEDDER: embedder},
            aliases={"text-embedding-3-small": EMBEDDER, "gemini-embedding-001": EMBEDDER},
        )
        yield made
        while _kept:
            _kept.pop().close()
        assert bugs(made) == []


_kept: list[genai.Client] = []  # a client closes itself when nobody holds it


def vectors(*texts: str) -> list[Any]:
    made = asyncio.run(FakeEngine().embed(EmbedRequest("id", "m", texts)))
    return [pytest.approx(vector, abs=1e-6) for vector in made.vectors]


def post(rig: Rig, path: str, body: Any, **more: Any) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with rig.connect() as socket:
        socket.sendall(request_bytes(raw, path=path, **more))
        return read_response(socket)


# OpenAI


def openai_client(rig: Rig, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{rig.url}/v1", api_key=key, timeout=20)


def test_openai_asks_for_base64_and_gets_the_same_vectors(rig: Rig) -> None:
    answer = openai_client(rig).embeddings.create(model=EMBEDDER, input=TEXTS)
    assert [list(row.embedding) for row in answer.data] == vectors(*TEXTS)
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.model == EMBEDDER
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (4, 4)


@pytest.mark.parametrize("form", ["float", "base64"])
def test_openai_with_a_form_that_it_names(rig: Rig, form: Any) -> None:
    asking = openai_client(rig).embeddings.with_raw_response
    answer = asking.create(model=EMBEDDER, input="Hello", encoding_format=form, user="me")
    raw = json.loads(answer.text)["data"][0]["embedding"]
    assert isinstance(raw, str if form == "base64" else list)
    if form == "float":
        assert raw == vectors("Hello")[0]


def test_the_asynchronous_openai_client_by_an_alias(rig: Rig) -> None:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=KEY) as asking:
            return await asking.embeddings.create(model="text-embedding-3-small", input="Hello")

    answer = asyncio.run(ask())
    assert list(answer.data[0].embedding) == vectors("Hello")[0]
    assert answer.model == EMBEDDER
    assert rig.control.receipts[0].requested_model == "text-embedding-3-small"


def test_a_receipt_commits_to_the_vectors(rig: Rig) -> None:
    body = json.dumps({"model": EMBEDDER, "input": TEXTS}).encode()
    response = post(rig, "/v1/embeddings", body)
    (receipt,) = rig.control.receipts
    assert response.headers["x-bastide-receipt"] == receipt.ident
    assert (receipt.finish, receipt.prompt_tokens, receipt.completion_tokens) == ("embedded", 4, 0)
    salt = salt_for(KEY, receipt.ident)
    shown = [row["embedding"] for row in json.loads(response.body)["data"]]
    assert receipt.answer_commitment == commit(salt, "answer", vector_bytes(shown))
    assert receipt.prompt_commitment == commit(salt, "prompt", body)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"input": [1, 2, 3]}, "token numbers"),
        ({"input": [[1, 2], [3]]}, "token numbers"),
        ({"input": ""}, "empty"),
        ({"input": []}, "empty"),
        ({"input": ["a", ""]}, r"input\[1\]"),
        ({"input": ["a", {}]}, r"input\[1\]"),
        ({"input": {"text": "a"}}, "expected a text"),
        ({}, "'input'"),
        ({"input": ["a"] * (EMBED_TEXTS_MAX + 1)}, f"at most {EMBED_TEXTS_MAX}"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": 10**9}, "dimensions"),
        ({"input": "a", "dimensions": 3, "output_dimension": 3}, "together"),
        ({"input": "a", "output_dtype": "int8"}, "output_dtype"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_words(
    rig: Rig, asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        openai_client(rig).post("/embeddings", cast_to=object, body={"model": EMBEDDER, **asked})
    assert rig.control.receipts == []


def test_openai_refusals_by_key_and_by_kind_of_model(rig: Rig) -> None:
    asking = openai_client(rig)
    with pytest.raises(openai.PermissionDeniedError):
        openai_client(rig, NARROW_KEY).embeddings.create(model=EMBEDDER, input="x")
    with pytest.raises(openai.NotFoundError):
        asking.embeddings.create(model="none", input="x")
    with pytest.raises(openai.BadRequestError, match="makes answers and no embeddings") as one:
        asking.embeddings.create(model=MODEL, input="x")
    assert one.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="makes embeddings and answers nothing"):
        asking.chat.completions.create(model=EMBEDDER, messages=CHAT)  # type: ignore[arg-type]


def test_an_engine_that_fails_leaves_an_error_and_a_receipt_that_says_so(rig: Rig) -> None:
    rig.engine.fails_after = 0
    with pytest.raises(openai.InternalServerError):
        openai_client(rig).with_options(max_retries=0).embeddings.create(model=EMBEDDER, input="x")
    assert [receipt.finish for receipt in rig.control.receipts] == ["error"]


def test_who_is_sent_away_before_anything_began_has_no_receipt(rig: Rig) -> None:
    rig.engine.fails_after, rig.engine.fault = 0, Busy("too much is asked", retry_after_s=0.5)
    with pytest.raises(openai.RateLimitError) as caught:
        openai_client(rig).with_options(max_retries=0).embeddings.create(model=EMBEDDER, input="x")
    assert caught.value.response.headers["retry-after-ms"] == "500"
    assert rig.control.receipts == []


def test_a_client_that_leaves_frees_its_slot_and_is_in_the_book(rig: Rig) -> None:
    rig.engine.hangs_after = 0
    with rig.connect() as socket:
        body = json.dumps({"model": EMBEDDER, "input": "x"}).encode()
        socket.sendall(request_bytes(body, path="/v1/embeddings"))
        snapshot = rig.control.snapshot
        assert snapshot is not None
        engine = rig.pool.engine(snapshot.served[EMBEDDER], snapshot)
        rig.until(lambda: engine.inside == 1)
    rig.until(lambda: engine.inside == 0)
    rig.until(lambda: rig.control.receipts)
    assert rig.control.receipts[0].finish == "cancelled"


# Azure OpenAI, Mistral, Ollama


def test_azure(rig: Rig) -> None:
    asking = openai.AzureOpenAI(azure_endpoint=rig.url, api_version="2024-10-21", api_key=KEY)
    answer = asking.embeddings.create(model=EMBEDDER, input=TEXTS)
    assert [list(row.embedding) for row in answer.data] == vectors(*TEXTS)
    with pytest.raises(openai.BadRequestError, match="no embeddings"):
        asking.embeddings.create(model=MODEL, input="x")
    newer = openai.OpenAI(base_url=f"{rig.url}/openai/v1", api_key=KEY)
    answer = newer.embeddings.create(model=EMBEDDER, input="Hello")
    assert list(answer.data[0].embedding) == vectors("Hello")[0]


def test_mistral(rig: Rig) -> None:
    with Mistral(api_key=KEY, server_url=rig.url, timeout_ms=20_000) as asking:
        answer = asking.embeddings.create(model=EMBEDDER, inputs=TEXTS)
        assert [row.embedding for row in answer.data] == vectors(*TEXTS)
        assert answer.id.startswith("embd-")
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 0)
        narrow = asking.embeddings.create(model=EMBEDDER, inputs="a", output_dimension=3)
        assert len(narrow.data[0].embedding or []) == 3
        with pytest.raises(mistral_errors.SDKError, match="output_dtype"):
            asking.embeddings.create(model=EMBEDDER, inputs="a", output_dtype="int8")


def test_ollama(rig: Rig) -> None:
    asking = ollama.Client(host=rig.url, headers={"Authorization": f"Bearer {KEY}"})
    answer = asking.embed(f"{EMBEDDER}:latest", TEXTS, truncate=True)
    assert list(answer.embeddings) == vectors(*TEXTS)
    assert (answer.model, answer.prompt_eval_count) == (EMBEDDER, 4)
    assert asking.embed(EMBEDDER, "Hello").embeddings == vectors("Hello")
    assert asking.embeddings(EMBEDDER, "Hello").embedding == vectors("Hello")[0]
    for bad in (lambda: asking.embed(EMBEDDER, ""), lambda: asking.embeddings(EMBEDDER, "")):
        with pytest.raises(ollama.ResponseError, match="empty") as caught:
            bad()
        assert caught.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="no embeddings"):
        asking.embed(MODEL, "x")


# Google


def google_client(rig: Rig, vertex: bool) -> genai.Client:
    options = types.HttpOptions(base_url=rig.url, timeout=20_000)
    more: dict[str, Any] = {"api_key": KEY}
    if vertex:
        more = {"vertexai": True, "project": "any", "location": "eu"}
        more["credentials"] = Credentials(KEY)
    _kept.append(genai.Client(http_options=options, **more))
    return _kept[-1]


def shown(answer: types.EmbedContentResponse) -> Sequence[Any]:
    assert answer.embeddings is not None
    return [row.values for row in answer.embeddings]


@pytest.mark.parametrize("vertex", [False, True])
@pytest.mark.parametrize("model", [EMBEDDER, "gemini-embedding-001"])
def test_google(rig: Rig, vertex: bool, model: str) -> None:
    """The SDK asks by batches, by `predict`, and for names with gemini by `embedContent`."""
    asking = google_client(rig, vertex)
    config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=8)
    answer = asking.models.embed_content(model=model, contents="Hello", config=config)
    assert shown(answer) == vectors("Hello")
    if not (vertex and model.startswith("gemini")):
        many = asking.models.embed_content(model=model, contents=list(TEXTS))
        assert shown(many) == vectors(*TEXTS)
    assert {receipt.finish for receipt in rig.control.receipts} == {"embedded"}


def test_google_counts_what_is_asked_alone(rig: Rig) -> None:
    answer = google_client(rig, True).models.embed_content(model=EMBEDDER, contents=TEXTS[0])
    assert answer.embeddings is not None
    statistics = answer.embeddings[0].statistics
    assert statistics is not None
    assert (statistics.token_count, statistics.truncated) == (2, False)
    assert answer.metadata is not None
    assert answer.metadata.billable_character_count == len(TEXTS[0])


def test_google_refuses_in_its_own_words(rig: Rig) -> None:
    asking = google_client(rig, False).models
    picture = types.Part.from_bytes(data=b"x", mime_type="image/png")
    titled = types.EmbedContentConfig(task_type="RETRIEVAL_DOCUMENT", title="A title")
    for bad in (
        lambda: asking.embed_content(model=MODEL, contents="x"),
        lambda: asking.embed_content(model=EMBEDDER, contents=picture),
        lambda: asking.embed_content(model=EMBEDDER, contents="x", config=titled),
    ):
        with pytest.raises(google_errors.ClientError) as caught:
            bad()
        assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")


def test_googles_single_request_of_the_gemini_api(rig: Rig) -> None:
    body = {"model": f"models/{EMBEDDER}", "content": {"parts": [{"text": "Hello"}]}}
    answer = post(rig, f"/v1beta/models/{EMBEDDER}:embedContent", body)
    made = json.loads(answer.body)
    assert made["embedding"]["values"] == vectors("Hello")[0]
    assert made["usageMetadata"]["promptTokenCount"] == 1
    body["model"] = "models/another"
    assert post(rig, f"/v1beta/models/{EMBEDDER}:embedContent", body).status == 400


# Bedrock


def invoke(rig: Rig, model: str, body: dict[str, Any]) -> Any:
    asking = boto3.client(
        "bedrock-runtime",
        endpoint_url=rig.url,
        region_name="eu-central-1",
        aws_access_key_id=WIDE[0],
        aws_secret_access_key=WIDE[1],
        config=Config(retries={"total_max_attempts": 1}),
    )
    return json.loads(asking.invoke_model(modelId=model, body=json.dumps(body))["body"].read())


def test_bedrock_with_titan_bodies(rig: Rig) -> None:
    asked = {"inputText": "Hello", "normalize": True, "embeddingTypes": ["float"]}
    answer = invoke(rig, EMBEDDER, asked)
    assert answer["embedding"] == answer["embeddingsByType"]["float"] == vectors("Hello")[0]
    assert answer["inputTextTokenCount"] == 1


def test_bedrock_with_cohere_bodies(rig: Rig) -> None:
    asked: dict[str, Any] = {"texts": TEXTS, "input_type": "search_document", "truncate": "NONE"}
    answer = invoke(rig, EMBEDDER, asked)
    assert answer["embeddings"] == vectors(*TEXTS)
    assert (answer["response_type"], answer["texts"]) == ("embeddings_floats", TEXTS)
    typed = invoke(rig, EMBEDDER, {**asked, "embedding_types": ["float"]})
    assert typed["embeddings"]["float"] == vectors(*TEXTS)
    assert typed["response_type"] == "embeddings_by_type"


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (EMBEDDER, {"inputText": ""}),
        (EMBEDDER, {"inputText": "a", "normalize": False}),
        (EMBEDDER, {"inputText": "a", "embeddingTypes": ["binary"]}),
        (EMBEDDER, {"inputText": "a", "inputImage": "aGk="}),
        (EMBEDDER, {"texts": ["a"], "embedding_types": ["int8"]}),
        (EMBEDDER, {"texts": ["a"], "input_type": "image"}),
        (EMBEDDER, {"prompt": "a"}),
        (MODEL, {"texts": ["a"]}),
    ],
)
def test_bedrock_refuses_in_its_own_words(rig: Rig, model: str, body: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        invoke(rig, model, body)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_bedrock_does_not_say_what_kind_a_foreign_model_is(rig: Rig) -> None:
    body = {"inputText": "Hello"}
    wrong = post(rig, f"/model/{EMBEDDER}/invoke", body, key=NARROW_KEY)
    missing = post(rig, "/model/none/invoke", body, key=NARROW_KEY)
    assert wrong.status == missing.status == 403


# Lists of models


def get(rig: Rig, path: str) -> Response:
    with rig.connect() as socket:
        socket.sendall(request_bytes(b"", path=path, method="GET"))
        return read_response(socket)


def test_every_list_says_what_kind_a_model_is(rig: Rig) -> None:
    shown = {row["id"]: row for row in json.loads(get(rig, "/v1/models").body)["data"]}
    assert shown[MODEL]["capabilities"]["completion_chat"] is True
    assert shown[EMBEDDER]["capabilities"]["completion_chat"] is False
    one = json.loads(get(rig, f"/v1beta/models/{EMBEDDER}").body)
    assert one["supportedGenerationMethods"] == ["embedContent"]
    asking = ollama.Client(host=rig.url, headers={"Authorization": f"Bearer {KEY}"})
    assert asking.show(EMBEDDER).capabilities == ["embedding"]
    assert "embedding" not in (asking.show(MODEL).capabilities or [])


@pytest.mark.parametrize(("kind", "name"), [("EMBEDDING", [EMBEDDER]), ("TEXT", [MODEL, "other"])])
def test_bedrocks_list_can_be_asked_for_one_kind(rig: Rig, kind: str, name: list[str]) -> None:
    rows = json.loads(get(rig, f"/foundation-models?byOutputModality={kind}").body)
    found = {row["modelId"]: row["outputModalities"] for row in rows["modelSummaries"]}
    assert found == {key: [kind] for key in name}
