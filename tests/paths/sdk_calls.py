# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What each SDK is asked to do when its exchanges are recorded. One call is one request."""

import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import anthropic
import boto3
import ollama
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from mistralai.client import Mistral
from mistralai.client import errors as mistral_errors

from paths.bedrock_rig import WIDE, set_clock
from paths.exchanges import EMBEDDER
from paths.gateway_rig import KEY, MODEL, STRANGE_KEY, Rig

__all__ = ["CALLS", "versions"]

Call = Callable[[str, Rig], object]
_WAIT_S = 20
_HI = [{"role": "user", "content": "Hi"}]
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
_FUNCTION = {"name": "weather", "description": "Weather of a city.", "parameters": _SCHEMA}
_TOOLS: Any = [{"type": "function", "function": _FUNCTION}]
_FORM: Any = {"type": "json_schema", "json_schema": {"name": "trip", "schema": _SCHEMA}}
_TEXTS = ["Hello wörld", "Good bye"]


def versions(sdk: str) -> str:
    """The packages that make the requests of an SDK, with their versions."""
    names = {"azure": "openai", "vertex": "google-genai", "google": "google-genai"}
    return " ".join((name := names.get(sdk, sdk), version(name)))


def _fails(call: Call, *kinds: type[Exception]) -> Call:
    """The call, and that it raises what the SDK has for such an answer."""

    def failing(url: str, rig: Rig) -> None:
        with pytest.raises(kinds):
            call(url, rig)

    return failing


# OpenAI and Azure

_Client = Callable[..., openai.OpenAI]


def _openai(url: str, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, timeout=_WAIT_S, max_retries=0)


def _azure(url: str, key: str = KEY) -> openai.OpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=url,
        api_key=key,
        api_version="2024-10-21",
        timeout=_WAIT_S,
        max_retries=0,
    )


def _chat(client: _Client, key: str = KEY, **more: Any) -> Call:
    asked: dict[str, Any] = {"model": MODEL, "messages": _HI, **more}
    return lambda url, _: list(client(url, key).chat.completions.create(**asked))


def _openai_calls(client: _Client) -> dict[str, Call]:
    stream: Any = {"stream": True, "stream_options": {"include_usage": True}}
    return {
        "chat": _chat(client, max_completion_tokens=3, temperature=0.5, seed=7, stop=["\n"]),
        "stream": _chat(client, max_completion_tokens=3, **stream),
        "tools": _chat(client, tools=_TOOLS),
        "tools in a stream": _chat(client, tools=_TOOLS, tool_choice="required", stream=True),
        "schema": _chat(client, response_format=_FORM),
        "an unknown key": _fails(_chat(client, STRANGE_KEY), openai.AuthenticationError),
        "an unknown model": _fails(_chat(client, model="nope"), openai.NotFoundError),
        "what is not supported": _fails(_chat(client, n=2), openai.BadRequestError),
        "broken stream": _fails(_chat(client, stream=True), openai.APIError),
        "completions": lambda url, _: client(url).completions.create(
            model=MODEL, prompt="Once", max_tokens=3
        ),
        "responses": lambda url, _: client(url).responses.create(
            model=MODEL, input="Hi", instructions="Be brief.", max_output_tokens=3
        ),
        "responses in a stream": lambda url, _: list(
            client(url).responses.create(model=MODEL, input="Hi", max_output_tokens=2, stream=True)
        ),
        "embeddings": lambda url, _: client(url).embeddings.create(model=EMBEDDER, input=_TEXTS),
        "models": lambda url, _: list(client(url).models.list()),
    }


# Bedrock

_TURNS: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
_BRIEF = {"maxTokens": 3}
_SPEC = {"toolSpec": {"name": "weather", "inputSchema": {"json": _SCHEMA}}}
_MESSAGES = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 3, "messages": _HI}
_FAMILIAR = (ClientError, EventStreamError)


def _bedrock(url: str, rig: Rig, service: str = "bedrock-runtime") -> Any:
    set_clock(rig)  # boto3 signs with the time of this machine
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id=WIDE[0],
        aws_secret_access_key=WIDE[1],
        config=Config(read_timeout=_WAIT_S, retries={"max_attempts": 0}),
    )


def _converse(**more: Any) -> Call:
    asked = {"modelId": MODEL, "messages": _TURNS, "inferenceConfig": _BRIEF, **more}
    return lambda url, rig: _bedrock(url, rig).converse(**asked)


def _converse_stream(**more: Any) -> Call:
    asked = {"modelId": MODEL, "messages": _TURNS, "inferenceConfig": _BRIEF, **more}
    return lambda url, rig: list(_bedrock(url, rig).converse_stream(**asked)["stream"])


def _invoke(body: Any, **more: Any) -> Call:
    asked = {"modelId": MODEL, "body": json.dumps(body), **more}
    return lambda url, rig: _bedrock(url, rig).invoke_model(**asked)["body"].read()


_TOOL_CONFIG: Any = {"toolConfig": {"tools": [_SPEC]}, "inferenceConfig": {}}
_COUNTED: Any = {"converse": {"messages": _TURNS}}
_BEDROCK: dict[str, Call] = {
    "chat": _converse(system=[{"text": "Be brief."}], additionalModelRequestFields={"top_k": 3}),
    "stream": _converse_stream(),
    "tools": _converse(**_TOOL_CONFIG),
    "tools in a stream": _converse_stream(**_TOOL_CONFIG),
    "schema": _converse(
        inferenceConfig={},
        outputConfig={
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "trip", "schema": json.dumps(_SCHEMA)}},
            }
        },
    ),
    "an unknown model": _fails(_converse(modelId="nope"), ClientError),
    "what is not supported": _fails(
        _converse(additionalModelRequestFields={"reasoning": True}), ClientError
    ),
    "broken stream": _fails(_converse_stream(inferenceConfig={}), EventStreamError),
    "invoke": _invoke(_MESSAGES),
    "invoke titan": _invoke({"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 3}}),
    "invoke in a stream": lambda url, rig: list(
        _bedrock(url, rig).invoke_model_with_response_stream(
            modelId=MODEL, body=json.dumps(_MESSAGES)
        )["body"]
    ),
    "embeddings": _invoke({"inputText": _TEXTS[0]}, modelId=EMBEDDER),
    "count": lambda url, rig: _bedrock(url, rig).count_tokens(modelId=MODEL, input=_COUNTED),
    "models": lambda url, rig: _bedrock(url, rig, "bedrock").list_foundation_models(),
    "model": lambda url, rig: _bedrock(url, rig, "bedrock").get_foundation_model(
        modelIdentifier=MODEL
    ),
}


# Google

_DECLARED: Any = {
    "name": "weather",
    "description": "Weather of a city.",
    "parameters_json_schema": _SCHEMA,
}
_TYPED = types.Schema.model_validate(
    {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
)
_Google = Callable[..., genai.Client]


def _gemini(url: str, key: str = KEY) -> genai.Client:
    return genai.Client(api_key=key, http_options=_options(url))


def _vertex(url: str, key: str = KEY) -> genai.Client:
    return genai.Client(
        vertexai=True,
        project="any",
        location="eu",
        credentials=Credentials(key),
        http_options=_options(url),
    )


def _options(url: str) -> types.HttpOptions:
    return types.HttpOptions(base_url=url, timeout=_WAIT_S * 1_000)


def _google_calls(client: _Google) -> dict[str, Call]:
    def asks(ask: Callable[[genai.Client], object], key: str = KEY) -> Call:
        def call(url: str, _: Rig) -> None:
            with client(url, key) as asking:
                ask(asking)

        return call

    def generate(model: str = MODEL, key: str = KEY, **config: Any) -> Call:
        made = types.GenerateContentConfig(**config)
        return asks(
            lambda it: it.models.generate_content(model=model, contents="Hi", config=made), key
        )

    def stream(**config: Any) -> Call:
        made = types.GenerateContentConfig(**config)
        return asks(
            lambda it: list(
                it.models.generate_content_stream(model=MODEL, contents="Hi", config=made)
            )
        )

    functions = {"tools": [types.Tool(function_declarations=[_DECLARED])]}
    form = {"response_mime_type": "application/json", "response_schema": _TYPED}
    return {
        "chat": generate(
            system_instruction="Be brief.", max_output_tokens=3, temperature=0.5, top_k=5, seed=7
        ),
        "stream": stream(max_output_tokens=3),
        "tools": generate(**functions),
        "tools in a stream": stream(**functions),
        "schema": generate(**form),
        "an unknown key": _fails(generate(key=STRANGE_KEY), errors.ClientError),
        "an unknown model": _fails(generate("nope"), errors.ClientError),
        "what is not supported": _fails(generate(candidate_count=2), errors.ClientError),
        "broken stream": _fails(stream(), errors.ServerError),
        "embeddings": asks(lambda it: it.models.embed_content(model=EMBEDDER, contents=_TEXTS)),
        "embeddings of gemini": asks(
            lambda it: it.models.embed_content(model="gemini-embedding-001", contents=_TEXTS[0])
        ),
        "count": asks(lambda it: it.models.count_tokens(model=MODEL, contents="Hi there")),
        "models": asks(lambda it: list(it.models.list())),
        "model": asks(lambda it: it.models.get(model=MODEL)),
    }


# Anthropic


def _message(key: str = KEY, **more: Any) -> Call:
    asked: Any = {"model": MODEL, "max_tokens": 3, "messages": _HI, **more}
    return lambda url, _: list(_anthropic(url, key).messages.create(**asked))


def _anthropic(url: str, key: str = KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key=key, timeout=_WAIT_S, max_retries=0)


_CALLED: Any = {
    "tools": [{"name": "weather", "input_schema": _SCHEMA}],
    "max_tokens": 64,
}
_ANTHROPIC: dict[str, Call] = {
    "chat": _message(system="Be brief.", stop_sequences=["END"]),
    "stream": _message(stream=True),
    "tools": _message(**_CALLED),
    "tools in a stream": _message(**_CALLED, tool_choice={"type": "any"}, stream=True),
    "schema": _message(
        max_tokens=64, output_config={"format": {"type": "json_schema", "schema": _SCHEMA}}
    ),
    "an unknown key": _fails(_message(STRANGE_KEY), anthropic.AuthenticationError),
    "an unknown model": _fails(_message(model="nope"), anthropic.NotFoundError),
    "what is not supported": _fails(
        _message(thinking={"type": "enabled", "budget_tokens": 1024}), anthropic.BadRequestError
    ),
    "broken stream": _fails(_message(stream=True, max_tokens=64), anthropic.APIError),
    "count": lambda url, _: _anthropic(url).messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": "Hi there"}]
    ),
    "models": lambda url, _: list(_anthropic(url).models.list()),
}


# Ollama and Mistral


def _ollama(url: str, key: str = KEY) -> ollama.Client:
    return ollama.Client(url, headers={"Authorization": f"Bearer {key}"}, timeout=_WAIT_S)


def _talk(model: str = MODEL, key: str = KEY, **more: Any) -> Call:
    return lambda url, _: list(_ollama(url, key).chat(model, _HI, **more))


_OLLAMA: dict[str, Call] = {
    "chat": _talk(options={"num_predict": 3, "seed": 7}),
    "stream": _talk(options={"num_predict": 3}, stream=True),
    "tools": _talk(tools=_TOOLS),
    "tools in a stream": _talk(tools=_TOOLS, stream=True),
    "schema": _talk(format=_SCHEMA),
    "an unknown key": _fails(_talk(key=STRANGE_KEY), ollama.ResponseError),
    "an unknown model": _fails(_talk("nope"), ollama.ResponseError),
    "what is not supported": _fails(_talk(logprobs=True), ollama.ResponseError),
    "broken stream": _fails(_talk(stream=True), ollama.ResponseError),
    "generate": lambda url, _: _ollama(url).generate(MODEL, "Once", options={"num_predict": 3}),
    "embeddings": lambda url, _: _ollama(url).embed(EMBEDDER, _TEXTS),
    "models": lambda url, _: _ollama(url).list(),
    "model": lambda url, _: _ollama(url).show(MODEL),
}


def _mistral(url: str, key: str = KEY) -> Mistral:
    return Mistral(api_key=key, server_url=url, timeout_ms=_WAIT_S * 1_000)


def _complete(key: str = KEY, **more: Any) -> Call:
    asked: Any = {"model": MODEL, "messages": _HI, **more}
    return lambda url, _: _mistral(url, key).chat.complete(**asked)


def _streamed(**more: Any) -> Call:
    def call(url: str, _: Rig) -> None:
        asked: Any = {"model": MODEL, "messages": _HI, **more}
        with _mistral(url).chat.stream(**asked) as stream:
            list(stream)

    return call


_MISTRAL: dict[str, Call] = {
    "chat": _complete(max_tokens=3, random_seed=7),
    "stream": _streamed(max_tokens=3),
    "tools": _complete(tools=_TOOLS),
    "tools in a stream": _streamed(tools=_TOOLS, tool_choice="any"),
    "schema": _complete(response_format=_FORM),
    "an unknown key": _fails(_complete(STRANGE_KEY), mistral_errors.SDKError),
    "an unknown model": _fails(_complete(model="nope"), mistral_errors.SDKError),
    "what is not supported": _fails(_complete(n=2), mistral_errors.SDKError),
    "broken stream": _fails(_streamed(), mistral_errors.ResponseValidationError),
    "embeddings": lambda url, _: _mistral(url).embeddings.create(model=EMBEDDER, inputs=_TEXTS),
    "models": lambda url, _: _mistral(url).models.list(),
}


CALLS: dict[str, dict[str, Call]] = {
    "openai": _openai_calls(_openai),
    "azure": _openai_calls(_azure),
    "boto3": _BEDROCK,
    "google": _google_calls(_gemini),
    "vertex": _google_calls(_vertex),
    "anthropic": _ANTHROPIC,
    "ollama": _OLLAMA,
    "mistralai": _MISTRAL,
}
