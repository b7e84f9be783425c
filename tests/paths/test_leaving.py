# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""docs/leave-*.md work word for word, against a running environment.

All blocks of a page run in one shell, in order. A console block is commands (lines that start with
`$ `) and what they print; a Python block is followed by a text block with what it prints; `...`
stands for anything. URL and KEY are in the environment, and no credential of this machine is.
What a page says does not work yet is asked for too, and must be refused by name.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
from botocore.exceptions import ClientError
from google import genai

from paths.conftest import Running
from paths.demo import ARGV, ROOT, environment

PAGES = sorted((ROOT / "docs").glob("leave-*.md"))
MARK = "\x01"

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


@dataclass
class Step:
    command: str
    expected: str = ""


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
            for line in block.splitlines():
                if line.startswith("$ "):
                    found.append(Step(line[2:]))
                else:
                    found[-1].expected += line + "\n"
            if "bastide env" in block:
                found.append(Step(python(_WAIT)))
    return found


def matches(expected: str, printed: str) -> bool:
    """`...` stands for anything, also over several lines."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_word_for_word(page: Path, running: Running, tmp_path: Path) -> None:
    text = page.read_text()
    todo = steps(text)
    assert sum(bool(step.expected) for step in todo) >= 4
    (alias,) = re.findall(r"\$ bastide alias set (\S+)", text)
    command = " ".join(map(shlex.quote, ARGV))
    script = f'bastide() {{ {command} "$@" --home {shlex.quote(str(running.home))}; }}\n'
    script += "".join(f"{step.command}\nprintf '{MARK}%s{MARK}\\n' $?\n" for step in todo)
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
    parts = re.split(f"{MARK}(\\d+){MARK}\\n", done.stdout)
    printed, states = parts[0::2], parts[1::2]
    assert len(states) == len(todo), done.stdout
    for step, output, state in zip(todo, printed, states, strict=False):
        assert state == "0", f"$ {step.command}\n{output}\nexit {state}"
        if step.expected:
            assert matches(step.expected, output), (
                f"$ {step.command}\n{output}\n--- expected\n{step.expected}"
            )


# What does not work yet

HELLO = [{"role": "user", "content": [{"text": "Hello"}]}]
TITAN = json.dumps({"inputText": "Hello"})
AWS: dict[str, Callable[[Any, Any, str], object]] = {
    "toolConfig": lambda bedrock, _, model: bedrock.converse(
        modelId=model,
        messages=HELLO,
        toolConfig={"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}]},
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
    "ApplyGuardrail": lambda bedrock, _, model: bedrock.apply_guardrail(
        guardrailIdentifier="abc",
        guardrailVersion="1",
        source="INPUT",
        content=[{"text": {"text": "Hello"}}],
    ),
    "CountTokens": lambda bedrock, _, model: bedrock.count_tokens(
        modelId=model, input={"converse": {"messages": HELLO}}
    ),
    "anthropic_version": lambda bedrock, _, model: bedrock.invoke_model(modelId=model, body=TITAN),
    "/guardrails": lambda _, control, model: control.list_guardrails(),
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
        ("tools", {"tools": [{"type": "function", "function": {"name": "a"}}]}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("n", {"n": 2}),
        ("logprobs", {"logprobs": True}),
        ("data_sources", {"extra_body": {"data_sources": [{"type": "azure_search"}]}}),
    ],
)
def test_azure_what_does_not_work_is_refused_by_name(
    name: str, field: dict[str, Any], running: Running
) -> None:
    client = openai.AzureOpenAI(
        azure_endpoint=running.url, api_key=running.key, api_version="2024-10-21"
    )
    with pytest.raises(openai.BadRequestError, match=f"'{name}'"):
        client.chat.completions.create(
            model=running.model, messages=[{"role": "user", "content": "Hello"}], **field
        )
    with pytest.raises(openai.BadRequestError, match="no embeddings"):
        client.embeddings.create(model=running.model, input="Hello")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=running.model, input="Hello")


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
