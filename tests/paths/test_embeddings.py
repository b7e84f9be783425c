# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An embedding model on its whole way: from a package to vectors with a receipt, by every gate."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from bastide.app.built_in import BUILT_IN, open_built_in
from bastide.core.errors import NotFound, NotProven, Refused
from bastide.core.receipt import vector_bytes
from paths.demo import ROOT, Demo
from unit.model_files import make_sentence_model

NAME = BUILT_IN["embed"].claim.name
TEXTS = ["How do I reset my password?", "I forgot my login.", "The soup is too salty."]


@pytest.fixture(scope="module")
def admitted(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """An environment with the built-in model, admitted and not yet evaluated."""
    demo = Demo(tmp_path_factory.mktemp("embeddings") / "home")
    demo.json("init")
    row = demo.json("model", "add", "--builtin", "embed")
    assert (row["model"], row["architecture"]) == (NAME, "bert")
    return demo


@pytest.fixture(scope="module")
def served(admitted: Demo) -> Iterator[tuple[Demo, openai.OpenAI, str]]:
    """The same, evaluated, released, deployed and running; a client, and its key."""
    demo = admitted
    scores = demo.json("evaluate", NAME)
    assert scores["suite"]["name"] == "similarity"
    for words in (("release", "propose"), ("approve",), ("release", "publish"), ("deploy",)):
        demo.run(*words, NAME)
    row = demo.json("up")
    try:
        client = openai.OpenAI(base_url=f"{row['gateway_url']}/v1", api_key=row["key"], timeout=60)
        yield demo, client, row["key"]
    finally:
        demo.run("down", status=None)


@pytest.mark.slow
def test_vectors_have_a_receipt_that_two_verifiers_open(
    served: tuple[Demo, openai.OpenAI, str], tmp_path: Path
) -> None:
    demo, client, key = served
    answer = client.embeddings.with_raw_response.create(
        model=NAME, input=TEXTS, encoding_format="float"
    )
    made = answer.parse()
    vectors = [row.embedding for row in made.data]
    like, unlike = (
        sum(a * b for a, b in zip(vectors[0], vectors[other], strict=True)) for other in (1, 2)
    )
    assert like > 0.4 > 0.2 > unlike
    ident = answer.headers["x-bastide-receipt"]
    chain = demo.json("verify", ident)
    assert chain["verified"] is True
    files = {"receipt.json": demo.run("receipt", "export", ident).stdout.encode()}
    files["prompt"] = answer.http_request.content
    files["answer"] = vector_bytes(vectors)
    files["key"] = key.encode()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    receipt = json.loads(files["receipt.json"])["receipt"]
    assert (receipt["finish"], receipt["completion_tokens"]) == ("embedded", 0)
    assert receipt["prompt_tokens"] == made.usage.prompt_tokens

    def verify(answer_file: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, str(ROOT / "tools" / "verify_receipt.py"), "receipt.json"]
        argv += ["--keys", str(demo.home / "public" / "keys.json"), "--prompt", "prompt"]
        argv += ["--answer", answer_file, "--api-key-file", "key"]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = verify("answer")
    assert done.returncode == 0, done.stderr
    (tmp_path / "other").write_bytes(vector_bytes(vectors[::-1]))
    assert verify("other").returncode == 6


@pytest.mark.slow
def test_the_receipts_of_a_batch_open_with_one_command(
    served: tuple[Demo, openai.OpenAI, str], tmp_path: Path
) -> None:
    demo, client, key = served
    body = {"model": NAME, "encoding_format": "float"}
    row = {"method": "POST", "url": "/v1/embeddings"}
    lines = [
        json.dumps({"custom_id": f"n{n}", **row, "body": {**body, "input": text}})
        for n, text in enumerate(TEXTS)
    ]
    files = {"in.jsonl": "\n".join(lines).encode(), "key": key.encode()}
    sent = client.files.create(file=("in.jsonl", files["in.jsonl"]), purpose="batch")
    made = client.batches.create(
        input_file_id=sent.id, endpoint="/v1/embeddings", completion_window="24h"
    )
    while (done := client.batches.retrieve(made.id)).status not in ("completed", "failed"):
        time.sleep(0.1)
    assert done.output_file_id is not None, done
    files["out.jsonl"] = client.files.content(done.output_file_id).content
    files["swapped.jsonl"] = files["out.jsonl"].replace(b'"n0"', b'"n?"').replace(b'"n1"', b'"n0"')
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    def opened(output: str, status: int) -> subprocess.CompletedProcess[str]:
        words = ("receipt", "open-batch", made.id, "--api-key-file", str(tmp_path / "key"))
        given = ("--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / output))
        return demo.run(*words, *given, status=status)

    assert opened("out.jsonl", 0).stdout.startswith("OPENED  3 receipts")
    assert "output, line" in opened("swapped.jsonl", 6).stderr


@pytest.mark.slow
def test_the_model_is_asked_for_what_it_makes(served: tuple[Demo, openai.OpenAI, str]) -> None:
    _, client, _ = served
    with pytest.raises(openai.BadRequestError, match="answers nothing"):
        client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "Hi"}])
    with pytest.raises(openai.BadRequestError, match="index 1 has 602 tokens"):
        client.embeddings.create(model=NAME, input=["short", "word " * 600])
    with pytest.raises(openai.BadRequestError, match="vectors of 384 numbers"):
        client.embeddings.create(model=NAME, input="short", dimensions=64)


@pytest.mark.slow
def test_the_deployment_says_what_the_engine_is_loaded_for(
    served: tuple[Demo, openai.OpenAI, str],
) -> None:
    demo, _, _ = served
    rows: list[Any] = demo.json("ledger", "ls", "--kind", "deployment/v1")
    body = demo.json("ledger", "show", str(rows[-1]["entry"]))
    plan = json.loads(json.dumps(body))["statement"]["predicate"]["deployment"]
    assert plan["engine"] == "llamacpp-embedding"
    assert plan["share"]["context_tokens"] == 512  # what the model reads, not what was set


def test_what_is_asked_of_a_model_that_answers_cannot_be_asked_of_it(admitted: Demo) -> None:
    row = admitted.json("evaluate", NAME, "--suite", "foundation", status=None)
    assert "makes embeddings, no answers" in row["message"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((), 2),
        (("--builtin", "embed", "--name", "mine"), 2),
        (("--builtin", "nothing"), 1),
    ],
)
def test_a_built_in_model_is_named_alone(admitted: Demo, words: tuple[str, ...], status: int):
    admitted.run("model", "add", *words, status=status)


def test_another_model_in_the_package_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / BUILT_IN["embed"].package
    (package / "model" / "1_Pooling").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('it is never imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, data in make_sentence_model().items():
        (package / "model" / name).write_bytes(data)
    with ExitStack() as stack, pytest.raises(NotProven, match="another model"):
        open_built_in("embed", stack)
    (package / "model" / "model.safetensors").write_bytes(b"\x80\x04K\x01.")
    with ExitStack() as stack, pytest.raises(Refused, match="safe to load"):
        open_built_in("embed", stack)
    (package / "model" / "config.json").unlink()
    with ExitStack() as stack, pytest.raises(NotFound):
        open_built_in("embed", stack)
