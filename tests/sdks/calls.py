# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Makes each call once with whatever official SDKs are installed here, for their recording.

Run by tests/paths/generations.py in an environment that holds an older generation of them. It
imports nothing of ours. The argument is one JSON object: key, bad_key, model, pair (AWS), and in
`calls` the address for each, by "SDK call". It prints the errors that were raised, by call; without
`calls` the names that there are, and the versions.
"""

import importlib.metadata
import json
import sys

TURN = [{"role": "user", "content": "Hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "Weather of a city.", "parameters": SCHEMA}
GIVEN = json.loads(sys.argv[1])


def variations(ask, brief, tools, forced, unsupported):
    """The usual calls; `ask` takes a model, a key, whether to stream, and more arguments."""
    model = GIVEN["model"]
    return {
        "chat": lambda url: ask(url, model, False, **brief),
        "stream": lambda url: ask(url, model, True, **brief),
        "tools": lambda url: ask(url, model, False, **tools),
        "tools in a stream": lambda url: ask(url, model, True, **tools, **forced),
        "an unknown model": lambda url: ask(url, "nope", False, **brief),
        "what is not supported": lambda url: ask(url, model, False, **unsupported),
        "broken stream": lambda url: ask(url, model, True),
    }


def openai_like(client):
    def ask(url, model, stream, key="key", **more):
        made = client(url, GIVEN[key]).chat.completions.create(
            model=model, messages=TURN, stream=stream, **more
        )
        list(made)

    tools = {"tools": [{"type": "function", "function": FUNCTION}]}
    form = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA}}
    forced = {"tool_choice": "required"}
    return variations(ask, {"max_tokens": 3, "seed": 7}, tools, forced, {"n": 2}) | {
        "schema": lambda url: ask(url, GIVEN["model"], False, response_format=form),
        "an unknown key": lambda url: ask(url, GIVEN["model"], False, "bad_key"),
        "models": lambda url: list(client(url, GIVEN["key"]).models.list()),
    }


def openai_calls():
    import openai

    return openai_like(
        lambda url, key: openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
    )


def azure_calls():
    import openai

    return openai_like(
        lambda url, key: openai.AzureOpenAI(
            azure_endpoint=url, api_key=key, api_version="2024-06-01", max_retries=0
        )
    )


def anthropic_calls():
    import anthropic

    def ask(url, model, stream, key="key", **more):
        client = anthropic.Anthropic(base_url=url, api_key=GIVEN[key], max_retries=0)
        asked = {"model": model, "max_tokens": 64, "messages": TURN, **more}
        list(client.messages.create(**asked, stream=stream))

    tools = {"tools": [{"name": "weather", "input_schema": SCHEMA}]}
    forced = {"tool_choice": {"type": "any"}}
    unsupported = {"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
    brief = {"max_tokens": 3, "system": "Be brief."}
    return variations(ask, brief, tools, forced, unsupported) | {
        "an unknown key": lambda url: ask(url, GIVEN["model"], False, "bad_key"),
    }


def google_calls():
    from google import genai
    from google.genai import types

    def ask(url, model, stream, key="key", **config):
        client = genai.Client(api_key=GIVEN[key], http_options={"base_url": url})
        asked = {
            "model": model,
            "contents": "Hi",
            "config": types.GenerateContentConfig(**config),
        }
        if stream:
            list(client.models.generate_content_stream(**asked))
        else:
            client.models.generate_content(**asked)

    typed = {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}},
        "required": ["city"],
    }
    tool = {"name": "weather", "description": "Weather of a city.", "parameters": typed}
    tools = {"tools": [{"function_declarations": [tool]}]}
    form = {"response_mime_type": "application/json", "response_schema": typed}
    brief = {"max_output_tokens": 3, "seed": 7}
    return variations(ask, brief, tools, {}, {"candidate_count": 2}) | {
        "schema": lambda url: ask(url, GIVEN["model"], False, **form),
        "an unknown key": lambda url: ask(url, GIVEN["model"], False, "bad_key"),
    }


def boto3_calls():
    import boto3
    from botocore.config import Config

    def ask(url, model, stream, **more):
        client = boto3.client(
            "bedrock-runtime", region_name="eu-central-1", endpoint_url=url,
            aws_access_key_id=GIVEN["pair"][0], aws_secret_access_key=GIVEN["pair"][1],
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        asked = {"modelId": model, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
        if stream:
            list(client.converse_stream(**asked, **more)["stream"])
        else:
            client.converse(**asked, **more)

    spec = {"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}
    unsupported = {"additionalModelRequestFields": {"reasoning": True}}
    brief = {"inferenceConfig": {"maxTokens": 3}}
    return variations(ask, brief, {"toolConfig": {"tools": [spec]}}, {}, unsupported)


SDKS = {
    "openai": ("openai", openai_calls),
    "azure": ("openai", azure_calls),
    "anthropic": ("anthropic", anthropic_calls),
    "google": ("google-genai", google_calls),
    "boto3": ("boto3", boto3_calls),
}


def main():
    calls, versions = {}, {}
    for sdk, (package, make) in SDKS.items():
        try:
            versions[sdk] = f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
        calls |= {f"{sdk} {name}": call for name, call in make().items()}
    raised = {}
    for name, url in GIVEN.get("calls", {}).items():
        try:
            calls[name](url)
        except Exception as error:
            raised[name] = type(error).__name__
    print(json.dumps({"names": list(calls), "versions": versions, "raised": raised}))


main()
