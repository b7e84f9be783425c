# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""docs/leave-*.md work word for word, against a running environment.

All blocks of a page run in one shell, in order. A console block is commands (lines that start with
`$ `) and what they print; a Python block is followed by a text block with what it prints; `...`
stands for anything. URL and KEY are in the environment, and no credential of this machine is.
What a page says works is asked for, and what it says does not work yet must be refused by name.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
from botocore.exceptions import ClientError
from google import genai

from paths.conftest import Running
from paths.demo import ARGV, ROOT, environment
from paths.pages import Step, console, script_of, verify_printed

PAGES = sorted((ROOT / "docs").glob("leave-*.md"))

# Aliases and keys reach the gateway within a second: a reader never notices, a script must wait.
_WAIT = """
import os, time, urllib.error, urllib.request
for _ in range(100):
    key = os.environ["OPENAI_API_KEY"]
    asked = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/models/" + os.environ["ALIAS"],
        headers={"Authorization": "Bearer " + key},
    )
    try:
        urllib.request.urlopen(asked, timeout=10).close()
        break
    except urllib.error.HTTPError:
        time.sleep(0.1)
else:
    raise SystemExit("the alias and the key did not reach the gateway")
"""


def python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} - <<'EOF'\n{code}\nEOF"


def steps(text: str) -> list[Step]:
    """The commands of a page in order; a Python block is one."""
    found: list[Step] = []
    for kind, block in re.findall(r"```(console|python|text)\n(.*?)```", text, re.DOTALL):
        if kind == "python":
            found.append(Step(python(block)))
        elif kind == "text":
            found[-1].expected = block
        else:
            found += console(block)
            if "bastide env" in block:
                found.append(Step(python(_WAIT)))
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_word_for_word(page: Path, running: Running, tmp_path: Path) -> None:
    text = page.read_text()
    todo = steps(text)
    assert sum(bool(step.expected) for step in todo) >= 4
    (alias,) = re.findall(r"\$ bastide alias set (\S+)", text)
    command = " ".join(map(shlex.quote, ARGV))
    script = f'bastide() {{ {command} "$@" --home {shlex.quote(str(running.home))}; }}\n'
    script += script_of(todo)
    done = subprocess.run(
        ["bash", "-s"],
        input=script,
        cwd=tmp_path,
        env=environment(URL=running.url, KEY=running.key, ALIAS=alias, HOME=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    verify_printed(todo, done.stdout)


# What works

HELLO: list[Any] = [{"role": "user", "content": [{"text": "Hello"}]}]
SHORT = {"maxTokens": 8}
ADD = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ASKED: list[Any] = [{"role": "user", "content": "Add 2."}]


def bedrock_tools(bedrock: Any, model: str) -> None:
    spec = {"name": "add", "inputSchema": {"json": ADD}}
    answer = bedrock.converse(
        modelId=model,
        messages=HELLO,
        inferenceConfig={"maxTokens": 60},
        toolConfig={"tools": [{"toolSpec": spec}], "toolChoice": {"any": {}}},
    )
    [block] = answer["output"]["message"]["content"]
    assert block["toolUse"]["name"] == "add"


def bedrock_schema(bedrock: Any, model: str) -> None:
    form = {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": json.dumps(ADD), "name": "add"}},
    }
    answer = bedrock.converse(
        modelId=model,
        messages=HELLO,
        inferenceConfig={"maxTokens": 60},
        outputConfig={"textFormat": form},
    )
    assert answer["output"]["message"]["content"][0]["text"].lstrip().startswith("{")


def bedrock_count(bedrock: Any, model: str) -> None:
    asked = {"converse": {"messages": HELLO}}
    counted = bedrock.count_tokens(modelId=model, input=asked)["inputTokens"]
    answer = bedrock.converse(modelId=model, messages=HELLO, inferenceConfig=SHORT)
    usage = answer["usage"]
    # AWS counts what came from the cache apart.
    assert counted == usage["inputTokens"] + usage.get("cacheReadInputTokens", 0)


def bedrock_titan(bedrock: Any, model: str) -> None:
    body = {"inputText": "Hello", "textGenerationConfig": {"maxTokenCount": 8}}
    answer = bedrock.invoke_model(modelId=model, body=json.dumps(body))
    assert json.loads(answer["body"].read())["results"][0]["tokenCount"] > 0


def bedrock_guard(bedrock: Any, model: str) -> None:
    """It asks the tenant's guard; here is none, and the answer says so."""
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException, match="guard policy"):
        bedrock.apply_guardrail(
            guardrailIdentifier="abc",
            guardrailVersion="1",
            source="INPUT",
            content=[{"text": {"text": "Hello"}}],
        )


@pytest.mark.parametrize(
    "use", [bedrock_tools, bedrock_schema, bedrock_count, bedrock_titan, bedrock_guard]
)
def test_aws_what_works(
    use: Callable[[Any, str], None], bedrock: tuple[Any, Any], running: Running
) -> None:
    use(bedrock[0], running.model)


def azure_tools(client: openai.AzureOpenAI, model: str) -> None:
    tool: Any = {"type": "function", "function": {"name": "add", "parameters": ADD}}
    answer = client.chat.completions.create(
        model=model, messages=ASKED, tools=[tool], tool_choice="required", max_tokens=60
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function" and call.function.name == "add"


def azure_schema(client: openai.AzureOpenAI, model: str) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "add", "schema": ADD}}
    answer = client.chat.completions.create(
        model=model, messages=ASKED, response_format=form, max_tokens=60
    )
    assert (answer.choices[0].message.content or "").lstrip().startswith("{")


def azure_responses(client: openai.AzureOpenAI, model: str) -> None:
    answer = client.responses.create(model=model, input="Hello", max_output_tokens=16)
    assert answer.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def azure_moderations(client: openai.AzureOpenAI, model: str) -> None:
    """It asks the tenant's guard; here is none, and the answer says so."""
    with pytest.raises(openai.NotFoundError, match="guard policy"):
        client.moderations.create(input="Hello")


def azure_batches(client: openai.AzureOpenAI, model: str) -> None:
    assert list(client.batches.list()) == []


@pytest.fixture(scope="module")
def azure(running: Running) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=running.url, api_key=running.key, api_version="2024-10-21"
    )


@pytest.mark.parametrize(
    "use", [azure_tools, azure_schema, azure_responses, azure_moderations, azure_batches]
)
def test_azure_what_works(
    use: Callable[[openai.AzureOpenAI, str], None], azure: openai.AzureOpenAI, running: Running
) -> None:
    use(azure, running.model)


def test_google_what_works(running: Running) -> None:
    client = genai.Client(api_key=running.key, http_options={"base_url": running.url})
    asked: Any = {"model": running.model, "contents": "Hello"}
    counted = client.models.count_tokens(**asked)
    function = {"name": "add", "parameters_json_schema": ADD}
    config: Any = {
        "max_output_tokens": 60,
        "tools": [{"function_declarations": [function]}],
        "tool_config": {"function_calling_config": {"mode": "ANY"}},
    }
    [call] = client.models.generate_content(**asked, config=config).function_calls or []
    assert call.name == "add"
    config = {
        "max_output_tokens": 60,
        "response_mime_type": "application/json",
        "response_json_schema": ADD,
    }
    answer = client.models.generate_content(**asked, config=config)
    assert (answer.text or "").lstrip().startswith("{")
    plain = client.models.generate_content(**asked, config={"max_output_tokens": 8})
    assert plain.usage_metadata is not None
    assert counted.total_tokens == plain.usage_metadata.prompt_token_count
    with pytest.raises(genai.errors.ClientError, match="no embeddings"):
        client.models.embed_content(**asked)


# What does not work yet

LLAMA = json.dumps({"prompt": "Hello"})
AWS: dict[str, Callable[[Any, Any, str], object]] = {
    "systemTool": lambda bedrock, _, model: bedrock.converse(
        modelId=model,
        messages=HELLO,
        toolConfig={"tools": [{"systemTool": {"name": "nova_grounding"}}]},
    ),
    "image": lambda bedrock, _, model: bedrock.converse(
        modelId=model,
        messages=[
            {"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}
        ],
    ),
    "guardrailConfig": lambda bedrock, _, model: bedrock.converse(
        modelId=model,
        messages=HELLO,
        guardrailConfig={"guardrailIdentifier": "abc", "guardrailVersion": "1"},
    ),
    "document": lambda bedrock, _, model: bedrock.converse(
        modelId=model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"document": {"format": "txt", "name": "a", "source": {"bytes": b"x"}}},
                    {"text": "Hello"},
                ],
            }
        ],
    ),
    "X-Amzn-Bedrock-GuardrailIdentifier": lambda bedrock, _, model: bedrock.invoke_model(
        modelId=model,
        body=json.dumps({"inputText": "Hello"}),
        guardrailIdentifier="abc",
        guardrailVersion="1",
    ),
    "anthropic_version": lambda bedrock, _, model: bedrock.invoke_model(modelId=model, body=LLAMA),
    "/guardrails": lambda _, control, model: control.list_guardrails(),
    "/model-invocation-jobs": lambda _, control, model: control.list_model_invocation_jobs(),
}


@pytest.fixture(scope="module")
def bedrock(running: Running) -> tuple[Any, Any]:
    found = running.json("env", "--tenant", "demo")["variables"]
    pair = {
        "endpoint_url": running.url,
        "region_name": found["AWS_DEFAULT_REGION"],
        "aws_access_key_id": found["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": found["AWS_SECRET_ACCESS_KEY"],
    }
    wait = {**found, "ALIAS": running.model}
    subprocess.run([sys.executable, "-c", _WAIT], env=environment(**wait), check=True)
    return boto3.client("bedrock-runtime", **pair), boto3.client("bedrock", **pair)


@pytest.mark.parametrize("name", AWS)
def test_aws_what_does_not_work_is_refused_by_name(
    name: str, bedrock: tuple[Any, Any], running: Running
) -> None:
    with pytest.raises(ClientError) as caught:
        AWS[name](*bedrock, running.model)
    error = caught.value.response["Error"]
    assert error["Code"] in ("ValidationException", "ResourceNotFoundException")
    assert name in error["Message"]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("n", {"n": 2}),
        ("logprobs", {"logprobs": True}),
        ("data_sources", {"extra_body": {"data_sources": [{"type": "azure_search"}]}}),
    ],
)
def test_azure_what_does_not_work_is_refused_by_name(
    name: str, field: dict[str, Any], azure: openai.AzureOpenAI, running: Running
) -> None:
    with pytest.raises(openai.BadRequestError, match=f"'{name}'"):
        azure.chat.completions.create(model=running.model, messages=ASKED, **field)


def test_azure_what_is_not_there(azure: openai.AzureOpenAI, running: Running) -> None:
    model = running.model
    with pytest.raises(openai.BadRequestError, match="no embeddings"):
        azure.embeddings.create(model=model, input="Hello")
    image: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(openai.BadRequestError, match="only parts of type 'text'"):
        azure.chat.completions.create(model=model, messages=[{"role": "user", "content": [image]}])
    with pytest.raises(openai.BadRequestError, match="'audio/speech'"):
        azure.audio.speech.create(model=model, voice="alloy", input="Hello")
    with pytest.raises(openai.BadRequestError, match="'audio/transcriptions'"):
        azure.audio.transcriptions.create(model=model, file=b"x")
    with pytest.raises(openai.BadRequestError, match="'images/generations'"):
        azure.images.generate(model=model, prompt="Hello")
    for more in ({"previous_response_id": "resp_1"}, {"background": True}):
        with pytest.raises(openai.BadRequestError, match=next(iter(more))):
            azure.responses.create(model=model, input="Hello", **more)
    with pytest.raises(openai.NotFoundError):
        azure.fine_tuning.jobs.list()
    with pytest.raises(openai.NotFoundError):
        azure.beta.assistants.list()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("googleSearch", {"tools": [{"google_search": {}}]}),
        ("codeExecution", {"tools": [{"code_execution": {}}]}),
        ("candidateCount", {"candidate_count": 2}),
        ("responseLogprobs", {"response_logprobs": True}),
        ("thinkingBudget", {"thinking_config": {"thinking_budget": 5}}),
        ("cachedContent", {"cached_content": "cachedContents/x"}),
    ],
)
def test_google_what_does_not_work_is_refused_by_name(
    name: str, config: Any, running: Running
) -> None:
    client = genai.Client(api_key=running.key, http_options={"base_url": running.url})
    with pytest.raises(genai.errors.ClientError, match=name):
        client.models.generate_content(model=running.model, contents="Hello", config=config)
