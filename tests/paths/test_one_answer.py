# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Several answers to one prompt, and probabilities of tokens: each SDK is refused by the name.

Nobody gets one answer for two, or an answer without what was asked for beside it.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import ollama
import openai
import pytest
from botocore.exceptions import ClientError
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from mistralai.client import Mistral
from mistralai.client import errors as mistral_errors

from paths.bedrock_rig import client as bedrock_client
from paths.bedrock_rig import signing_gateway
from paths.gateway_rig import KEY, MODEL, Rig

HI: Any = [{"role": "user", "content": "Hi"}]
GPT = "openai.gpt-oss-20b-1:0"
Fields = dict[str, Any]
CHAT: dict[str, Fields] = {
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"top_logprobs": 3},
    "prompt_logprobs": {"extra_body": {"prompt_logprobs": 1}},
}
COMPLETIONS: dict[str, Fields] = {
    "n": {"n": 2},
    "best_of": {"best_of": 2},
    "echo": {"echo": True},
    "logprobs": {"logprobs": 0},  # the chosen token's: not the same as none
    "prompt_logprobs": {"extra_body": {"prompt_logprobs": 1}},  # vLLM's
}
RESPONSES: dict[str, Fields] = {
    "top_logprobs": {"top_logprobs": 2},
    "include": {"include": ["message.output_text.logprobs"]},
}
GOOGLE: dict[str, Fields] = {
    "generationConfig.candidateCount": {"candidate_count": 2},
    "generationConfig.responseLogprobs": {"response_logprobs": True},
    "generationConfig.logprobs": {"logprobs": 3},
}
OLLAMA: dict[str, Fields] = {
    "logprobs": {"logprobs": True},
    "top_logprobs": {"top_logprobs": 3},
}


@pytest.fixture
def rig() -> Iterator[Rig]:
    with signing_gateway() as made:
        yield made
        assert made.engine.requests == []


@pytest.mark.parametrize("stream", [False, True])
def test_openai_and_azure(rig: Rig, stream: bool) -> None:
    more: Fields = {"api_key": KEY, "timeout": 20, "max_retries": 0}
    for asking in (
        openai.OpenAI(base_url=f"{rig.url}/v1", **more),
        openai.AzureOpenAI(azure_endpoint=rig.url, api_version="2024-10-21", **more),
    ):
        base: Fields = {"model": MODEL, "stream": stream}
        asks: list[tuple[Callable[..., Any], Fields, dict[str, Fields]]] = [
            (asking.chat.completions.create, {**base, "messages": HI}, CHAT),
            (asking.completions.create, {**base, "prompt": "Hi"}, COMPLETIONS),
            (asking.responses.create, {**base, "input": "Hi"}, RESPONSES),
        ]
        for ask, asked, table in asks:
            for name, fields in table.items():
                with pytest.raises(openai.BadRequestError, match=f"'{name}'") as bad:
                    ask(**asked, **fields)
                assert (bad.value.param, bad.value.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize("cloud", ["gemini", "vertex"])
def test_google(rig: Rig, cloud: str) -> None:
    options = types.HttpOptions(base_url=rig.url, timeout=20_000)
    account: Fields = {"project": "any", "location": "eu", "credentials": Credentials(KEY)}
    who: Fields = {"api_key": KEY} if cloud == "gemini" else {"vertexai": True, **account}
    with genai.Client(http_options=options, **who) as asking:
        for ask in (asking.models.generate_content, asking.models.generate_content_stream):
            for name, fields in GOOGLE.items():
                config = types.GenerateContentConfig(**fields)
                with pytest.raises(errors.ClientError) as bad:
                    list(ask(model=MODEL, contents="Hi", config=config))
                assert (bad.value.code, bad.value.status) == (400, "INVALID_ARGUMENT")
                assert f"'{name}'" in (bad.value.message or "")


@pytest.mark.parametrize("stream", [False, True])
def test_ollama(rig: Rig, stream: bool) -> None:
    asking: Any = ollama.Client(rig.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20)
    for name, fields in OLLAMA.items():
        for ask in (asking.chat, asking.generate):
            with pytest.raises(ollama.ResponseError, match=f"'{name}'") as bad:
                list(ask(MODEL, HI if ask == asking.chat else "Hi", stream=stream, **fields))
            assert bad.value.status_code == 400


def test_mistral(rig: Rig) -> None:
    asking = Mistral(api_key=KEY, server_url=rig.url, timeout_ms=20_000)
    for ask in (asking.chat.complete, asking.chat.stream):
        with pytest.raises(mistral_errors.SDKError) as bad:
            ask(model=MODEL, messages=HI, n=2)
        assert bad.value.status_code == 400
        assert json.loads(bad.value.body)["error"]["param"] == "n"


@pytest.mark.parametrize("name", ["n", "logprobs", "top_logprobs"])
def test_openais_body_at_bedrock(rig: Rig, name: str) -> None:
    rig.publish(aliases={GPT: MODEL})
    body = json.dumps({"messages": HI, "model": GPT, **CHAT[name]})
    asking = bedrock_client(rig)
    for ask in (asking.invoke_model, asking.invoke_model_with_response_stream):
        with pytest.raises(ClientError) as bad:
            ask(modelId=GPT, body=body)
        assert bad.value.response["Error"]["Code"] == "ValidationException"
        assert f"'{name}'" in bad.value.response["Error"]["Message"]
