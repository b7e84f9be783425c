# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""From `bastide up` to a verified answer: the whole path, in real processes on a real model."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import openai
import psutil
import pytest
from botocore.exceptions import ClientError

from paths.conftest import Running

QUESTION = "What is the capital of Sweden?"


def supervisor(running: Running) -> psutil.Process:
    pid = int((running.home / "run" / "supervisor.lock").read_text())
    return psutil.Process(pid)


def child(running: Running, module: str) -> psutil.Process:
    for process in supervisor(running).children(recursive=True):
        if any(part.endswith((module, f"{module}.py")) for part in process.cmdline()):
            return process
    raise AssertionError(f"no process runs {module}")


def wait_for(check: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError(f"not so within {seconds} s")


def test_up_says_what_is_where(running: Running) -> None:
    assert running.up["ready"] is True
    assert running.url.startswith("http://127.0.0.1:")
    assert running.key.startswith("bst_")
    status = running.json("status")
    assert status["gateway_url"] == running.url
    assert status["model"] == running.model == "smollm2-135m-instruct"
    assert status["tenant"] == "demo"
    again = running.json("up")
    assert again["started"] is False
    assert again["key"] is None, "a key is shown once"


@pytest.mark.attacks("C16")
def test_solo_says_openly_that_one_person_holds_all_keys(running: Running) -> None:
    assert "ONE PERSON" in running.run("up").stdout
    running.run("chat", "Hi", "--max-tokens", "4")
    verified = running.run("verify", "newest")
    assert "one person holds" in verified.stdout + verified.stderr


def test_chat_verify_trace(running: Running) -> None:
    asked = running.run("chat", QUESTION)
    assert "Stockholm" in asked.stdout
    receipt = asked.stderr.split()[-1]
    assert receipt.startswith("r_")
    line = running.run("verify", receipt).stdout
    assert line.startswith("VERIFIED")
    assert "approvals (firm, guardian)" in line
    chain = running.json("trace", receipt)
    assert running.json("model", "show", running.model)["digest"] in json.dumps(chain)


def test_the_openai_sdk_streams_with_usage_and_a_receipt(running: Running) -> None:
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
    with client.chat.completions.with_streaming_response.create(
        model=running.model,
        messages=[{"role": "user", "content": QUESTION}],
        temperature=0,
        max_tokens=32,
        stream=True,
        stream_options={"include_usage": True},
    ) as response:
        receipt = response.headers["x-bastide-receipt"]
        chunks = list(response.parse())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Stockholm" in text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert running.json("verify", receipt)["verified"] is True
    plain = client.completions.create(model=running.model, prompt="1, 2, 3,", max_tokens=4)
    assert plain.choices[0].text.strip()
    assert [model.id for model in client.models.list()] == [running.model]


def test_curl_streams_the_same_answer(running: Running) -> None:
    body = {
        "model": running.model,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "stream": True,
    }
    url = f"{running.url}/v1/chat/completions"
    headers = [f"-HAuthorization: Bearer {running.key}", "-HContent-Type: application/json"]
    done = subprocess.run(
        ["curl", "-sS", "-N", url, "-d", json.dumps(body), *headers],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip().endswith("data: [DONE]")
    assert "Stockholm" in done.stdout


@pytest.mark.attacks("C49")
def test_a_revoked_key_is_refused_at_once(running: Running) -> None:
    row = running.json("key", "new", "--tenant", "demo")
    assert row["access_key_id"] == "BST" + row["id"].removeprefix("k_").upper()
    bedrock = boto3.client(
        "bedrock",
        endpoint_url=running.url,
        region_name="eu-central-1",
        aws_access_key_id=row["access_key_id"],
        aws_secret_access_key=row["secret_access_key"],
    )
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=row["key"], max_retries=0)

    def accepted() -> bool:
        try:
            client.models.list()
        except openai.AuthenticationError:
            return False
        return True

    def signer_accepted() -> bool:
        try:
            bedrock.list_foundation_models()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "UnrecognizedClientException"
            return False
        return True

    wait_for(accepted, 5)
    assert signer_accepted(), "the pair of a key opens what the key opens"
    running.json("key", "revoke", row["id"])
    wait_for(lambda: not accepted(), 5)
    assert not signer_accepted()
    listed = {key["id"]: key for key in running.json("key", "ls")}
    assert listed[row["id"]]["active"] is False
    for shown in (row["key"], row["secret_access_key"]):
        assert shown not in json.dumps(listed), "a list never shows a key"


@pytest.mark.attacks("C50")
def test_a_key_s_scope_is_kept(running: Running) -> None:
    row = running.json("key", "new", "--tenant", "demo", "--model", "another")
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=row["key"], max_retries=0)
    time.sleep(1)
    with pytest.raises((openai.PermissionDeniedError, openai.NotFoundError)):
        client.completions.create(model=running.model, prompt="Hi", max_tokens=1)


@pytest.mark.parametrize("module", ["llamacpp_child", "runner_main"])
def test_a_kill_mid_stream_is_a_clean_error_and_it_recovers(running: Running, module: str) -> None:
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
    stream = client.chat.completions.create(
        model=running.model,
        messages=[{"role": "user", "content": "Write a very long story about a lighthouse."}],
        max_tokens=1500,
        stream=True,
    )
    next(iter(stream))
    child(running, module).send_signal(signal.SIGKILL)
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass

    def answers() -> bool:
        try:
            client.completions.create(model=running.model, prompt="Hi", max_tokens=1)
        except openai.APIError:
            return False
        return True

    wait_for(answers, 30)
    # Whoever is woken finds the cause, and no word of the prompt.
    logs = {path.name: path.read_text() for path in (running.home / "log").glob("*.log")}
    assert not any("lighthouse" in text for text in logs.values())
    whose = {"llamacpp_child": "runner-", "runner_main": "supervisor"}[module]
    assert any("was killed by SIGKILL" in logs[name] for name in logs if name.startswith(whose))
    if module == "runner_main":
        rows = [json.loads(row) for row in logs["gateway.log"].splitlines()]
        told = [row for row in rows if row["event"].startswith("runner-")]
        assert {"runner-away", "runner-there"} == {row["event"] for row in told}
        assert any(row.get("why", "").startswith("its connection broke") for row in told)
        assert all(f"{row['runner']}.log" in logs for row in told)


def test_killing_the_runner_and_control_and_gateway_recovers(running: Running) -> None:
    for module in ("runner_main", "app.control", "gateway.desk", "bastide.gateway"):
        child(running, module).send_signal(signal.SIGKILL)
        wait_for(lambda: running.json("status")["ready"], 30)
        assert running.json("chat", "Hi", "--max-tokens", "2")["receipt"].startswith("r_")
    assert running.json("ledger", "audit")["holds"] is True


@pytest.mark.attacks("C58")
def test_no_secret_stands_in_arguments_or_environments(running: Running) -> None:
    secrets = [(running.home / "unlock").read_text().strip(), running.key, "AGE-SECRET-KEY"]
    processes = [supervisor(running), *supervisor(running).children(recursive=True)]
    assert len(processes) >= 4
    for process in processes:
        folder = Path("/proc") / str(process.pid)
        seen = (folder / "cmdline").read_bytes()
        try:
            seen += (folder / "environ").read_bytes()
        except PermissionError:
            # Our services are undumpable: their own user cannot look either.
            assert os.geteuid() != 0
        for secret in secrets:
            assert secret.encode() not in seen, process.name()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks into an undumpable process")
def test_the_gateway_holds_no_database_no_store_and_no_engine(running: Running) -> None:
    """Its hot path waits for no disk: there is nothing on a disk that it has open but its log."""
    running.json("chat", "Hi", "--max-tokens", "2")
    gateway = child(running, "bastide.gateway")
    loaded = (Path("/proc") / str(gateway.pid) / "maps").read_text()
    assert "httptools" in loaded
    for library in ("sqlcipher", "_sqlite3", "obstore", "llama"):
        assert library not in loaded
    opened = [Path(file.path) for file in gateway.open_files()]
    assert [path for path in opened if path.is_relative_to(running.home / "store")] == []
    assert [path for path in opened if ".db" in path.name] == []


@pytest.mark.attacks("C59")
def test_nothing_listens_or_talks_beyond_loopback(running: Running) -> None:
    findings = {row["ident"]: row for row in running.json("doctor", status=None)["findings"]}
    # Services hide their sockets from everybody but root; test_outbound.py sees them as any user.
    hidden = os.geteuid() != 0 and "hide their sockets" in findings["sockets"]["seen"]
    assert findings["sockets"]["state"] == ("warn" if hidden else "ok"), findings["sockets"]
    assert findings["ledger"]["state"] == "ok"
    assert findings["sandbox"]["seen"] in ("bubblewrap", "landlock")
    processes = [supervisor(running), *supervisor(running).children(recursive=True)]
    for process in processes:
        try:
            connections = process.net_connections("inet")
        except psutil.AccessDenied:
            assert os.geteuid() != 0
            continue
        for connection in connections:
            assert connection.laddr.ip == "127.0.0.1"
            assert not connection.raddr or connection.raddr.ip == "127.0.0.1"


def test_the_gateway_refuses_without_a_key(running: Running) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{running.url}/v1/models")
    assert caught.value.code == 401


@pytest.mark.attacks("C5")
def test_rebuild_replays_to_identical_rows_while_it_runs(running: Running) -> None:
    before = running.json("model", "ls"), running.json("release", "ls"), running.json("key", "ls")
    running.json("ledger", "rebuild")
    after = running.json("model", "ls"), running.json("release", "ls"), running.json("key", "ls")
    assert before == after
    assert running.json("chat", "Hi", "--max-tokens", "2")["finish"]


@pytest.mark.attacks("C25")
def test_a_receipt_that_was_shown_survives_the_death_of_control(running: Running) -> None:
    """Invariant 3 for answers: whoever saw the end of an answer can prove it for ever."""
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
    shown: list[str] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                raw = client.completions.with_raw_response.create(
                    model=running.model, prompt="Hi", max_tokens=1
                )
                shown.append(raw.headers["x-bastide-receipt"])
            except openai.APIError:
                time.sleep(0.05)

    askers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for asker in askers:
        asker.start()
    for _ in range(3):
        time.sleep(0.7)
        child(running, "app.control").send_signal(signal.SIGKILL)
        wait_for(lambda: running.json("status")["ready"], 30)
    over.set()
    for asker in askers:
        asker.join()
    assert len(shown) > 3
    time.sleep(1.5)
    for receipt in shown[:: max(1, len(shown) // 8)] + shown[-1:]:
        assert running.json("verify", receipt)["verified"] is True
    assert running.json("ledger", "audit")["holds"] is True
