# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Asks a gateway with whatever official SDKs are installed here, and prints what each got.

Run by tests/paths/test_old_sdks.py in an environment that holds an older generation of them. It
imports nothing of ours. The argument is one JSON object: url, key, bad_key, model, pair (AWS).
"""

import importlib.metadata
import json
import sys

TURN = [{"role": "user", "content": "Which town has a wall?"}]
SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOOL = {"name": "find_town", "description": "Finds a town", "parameters": SCHEMA}


def probe_openai(given):
    import openai

    def client(key):
        return openai.OpenAI(base_url=given["url"] + "/v1", api_key=key, max_retries=0)

    chat = client(given["key"]).chat.completions
    whole = chat.create(model=given["model"], messages=TURN, max_tokens=8)
    pieces = chat.create(model=given["model"], messages=TURN, max_tokens=8, stream=True)
    tools = [{"type": "function", "function": TOOL}]
    called = chat.create(model=given["model"], messages=TURN, tools=tools, tool_choice="required")
    (call,) = called.choices[0].message.tool_calls
    return {
        "whole": whole.choices[0].message.content,
        "stream": "".join(p.choices[0].delta.content or "" for p in pieces if p.choices),
        "usage": whole.usage.completion_tokens,
        "models": [row.id for row in client(given["key"]).models.list()][:9],
        "tool": [call.function.name, sorted(json.loads(call.function.arguments))],
        "parsed": openai_parsed(client(given["key"]), given["model"]),
        "bad_key": raised(lambda: client(given["bad_key"]).models.list()),
        "bad_model": raised(lambda: chat.create(model="nobody", messages=TURN)),
    }


def openai_parsed(client, model):
    """An answer by a class, as it was asked for when `parse` was still in beta."""
    import pydantic

    class Town(pydantic.BaseModel):
        town: str

    made = client.beta.chat.completions.parse(model=model, messages=TURN, response_format=Town)
    return made.choices[0].message.parsed.town


def probe_azure(given):
    import openai

    client = openai.AzureOpenAI(
        azure_endpoint=given["url"], api_key=given["key"], api_version="2024-06-01", max_retries=0
    )
    whole = client.chat.completions.create(model=given["model"], messages=TURN, max_tokens=8)
    pieces = client.chat.completions.create(
        model=given["model"], messages=TURN, max_tokens=8, stream=True
    )
    return {
        "whole": whole.choices[0].message.content,
        "stream": "".join(p.choices[0].delta.content or "" for p in pieces if p.choices),
    }


def probe_anthropic(given):
    import anthropic

    def client(key):
        return anthropic.Anthropic(base_url=given["url"], api_key=key, max_retries=0)

    messages = client(given["key"]).messages
    asked = {"model": given["model"], "messages": TURN, "max_tokens": 8}
    tool = {"name": "find_town", "description": "Finds a town", "input_schema": SCHEMA}
    called = messages.create(**(asked | {"max_tokens": 64}), tools=[tool],
                             tool_choice={"type": "any"})  # fmt: skip
    use = called.content[-1]
    with messages.stream(**asked) as stream:
        pieces = "".join(stream.text_stream)
    return {
        # Newer releases have no argument for it any more.
        "whole": messages.create(**asked, extra_body={"temperature": 0.5}).content[0].text,
        "stream": pieces,
        "tool": [use.name, sorted(use.input)],
        "bad_key": raised(lambda: client(given["bad_key"]).messages.create(**asked)),
        "bad_model": raised(lambda: messages.create(**(asked | {"model": "nobody"}))),
    }


def probe_google(given):
    from google import genai
    from google.genai import types

    def client(key):
        return genai.Client(api_key=key, http_options={"base_url": given["url"]})

    asking, stranger = client(given["key"]), client(given["bad_key"])
    models = asking.models  # newer releases close a client that nobody holds
    config = types.GenerateContentConfig(max_output_tokens=8)
    asked = {"model": given["model"], "contents": TURN[0]["content"], "config": config}
    return {
        "whole": models.generate_content(**asked).text,
        "stream": "".join(row.text or "" for row in models.generate_content_stream(**asked)),
        "count": models.count_tokens(model=given["model"], contents="a b c").total_tokens > 0,
        "bad_key": raised(lambda: stranger.models.generate_content(**asked)),
        "bad_model": raised(lambda: models.generate_content(**(asked | {"model": "nobody"}))),
    }


def probe_boto3(given):
    import boto3
    from botocore.config import Config

    def client(secret):
        return boto3.client(
            "bedrock-runtime", region_name="eu-central-1", endpoint_url=given["url"],
            aws_access_key_id=given["pair"][0], aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    asked = {
        "modelId": given["model"],
        "messages": [{"role": "user", "content": [{"text": TURN[0]["content"]}]}],
        "inferenceConfig": {"maxTokens": 8},
    }
    runtime = client(given["pair"][1])
    whole = runtime.converse(**asked)
    rows = list(runtime.converse_stream(**asked)["stream"])
    deltas = [row["contentBlockDelta"]["delta"] for row in rows if "contentBlockDelta" in row]
    return {
        "whole": whole["output"]["message"]["content"][0]["text"],
        "stream": "".join(delta["text"] for delta in deltas),
        "usage": whole["usage"]["outputTokens"],
        "bad_key": raised(lambda: client("x" * 40).converse(**asked)),
        "bad_model": raised(lambda: runtime.converse(**(asked | {"modelId": "nobody"}))),
    }


def raised(deed):
    try:
        deed()
    except Exception as error:
        return type(error).__name__
    return None


PROBES = {
    "openai": ("openai", probe_openai),
    "azure": ("openai", probe_azure),
    "anthropic": ("anthropic", probe_anthropic),
    "google": ("google-genai", probe_google),
    "boto3": ("boto3", probe_boto3),
}


def main():
    given = json.loads(sys.argv[1])
    found = {}
    for name, (package, probe) in PROBES.items():
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = probe(given)
    print(json.dumps(found))


main()
