# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An answer through the gateway, as clients see it: the `openai` SDK, curl and plain sockets."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from bastide.core.errors import Busy, Misconfigured
from bastide.core.limits import SNAPSHOT_AGE_MAX_S
from bastide.core.receipt import commit, salt_for
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    RELEASE,
    STRANGE_KEY,
    Rig,
    bugs,
    gateway,
    make_snapshot,
    read_response,
    request_bytes,
)

TEXT = "Hello wörld!"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
BODY = json.dumps(ASK).encode()
STREAM_BODY = json.dumps({**ASK, "stream": True}).encode()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def client(rig: Rig, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=rig.url + "/v1", api_key=key, max_retries=0, timeout=20)


def curl(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["curl", "-sS", "-i", "-N", "--max-time", "20", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Answers


def test_the_sdk_reads_a_whole_answer(rig: Rig) -> None:
    raw = client(rig).chat.completions.with_raw_response.create(**ASK, seed=3, max_tokens=7)
    answer = raw.parse()
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 4)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert answer.system_fingerprint == "fp_" + RELEASE[7:19]
    assert rig.engine.requests[0].sampling.max_tokens == 7
    # One name for the request, the answer and its receipt.
    ident = answer.id.removeprefix("chatcmpl-")
    assert raw.headers["x-bastide-receipt"] == f"r_{ident}" == rig.control.receipts[0].ident
    assert raw.headers["x-request-id"] == f"req_{ident}"
    assert raw.headers["x-content-type-options"] == "nosniff"


def test_the_sdk_reads_a_stream(rig: Rig) -> None:
    options = {"include_usage": True}
    with client(rig).chat.completions.create(**ASK, stream=True, stream_options=options) as stream:
        assert stream.response.headers["x-bastide-receipt"].startswith("r_")
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(row.choices[0].delta.content or "" for row in chunks if row.choices) == TEXT
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 13
    assert len({row.id for row in chunks}) == 1


def test_the_asynchronous_sdk(rig: Rig) -> None:
    async def talk() -> list[str]:
        options: dict[str, Any] = {"base_url": rig.url + "/v1", "api_key": KEY, "max_retries": 0}
        async with openai.AsyncOpenAI(**options) as asking:

            async def whole() -> str:
                answer = await asking.chat.completions.create(**ASK)
                return answer.choices[0].message.content or ""

            async def streamed() -> str:
                text = ""
                async for row in await asking.chat.completions.create(**ASK, stream=True):
                    text += row.choices[0].delta.content or ""
                return text

            return await asyncio.gather(*(f() for _ in range(3) for f in (whole, streamed)))

    assert asyncio.run(talk()) == [TEXT] * 6


def test_plain_completions(rig: Rig) -> None:
    answer = client(rig).completions.create(model=MODEL, prompt="Once")
    assert answer.choices[0].text == TEXT
    rows = list(client(rig).completions.create(model=MODEL, prompt="Once", stream=True))
    assert "".join(row.choices[0].text for row in rows) == TEXT
    assert rows[-1].choices[0].finish_reason == "stop"
    assert rig.engine.requests[0].prompt == "Once"


def test_models(rig: Rig) -> None:
    assert [row.id for row in client(rig).models.list()] == ["other", MODEL]
    assert client(rig).models.retrieve(MODEL).owned_by == "test"
    assert [row.id for row in client(rig, NARROW_KEY).models.list()] == ["other"]
    with pytest.raises(openai.NotFoundError):
        client(rig).models.retrieve("nope")
    with pytest.raises(openai.PermissionDeniedError):
        client(rig, NARROW_KEY).models.retrieve(MODEL)


def test_curl(rig: Rig) -> None:
    ask = ["-H", f"Authorization: Bearer {KEY}", "--json", STREAM_BODY.decode()]
    done = curl(rig, rig.url + "/v1/chat/completions", *ask)
    assert done.returncode == 0, done.stderr
    assert "x-bastide-receipt: r_" in done.stdout
    assert done.stdout.endswith("data: [DONE]\n\n")
    head = curl(rig, "--head", rig.url + "/healthz")
    assert head.stdout.startswith("HTTP/1.1 200 OK")


def test_a_client_of_http_1_0_gets_a_stream_that_ends_with_the_connection(rig: Rig) -> None:
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY).replace(b"HTTP/1.1", b"HTTP/1.0"))
        response = read_response(talking)
    assert "transfer-encoding" not in response.headers
    assert response.body.endswith(b"data: [DONE]\n\n")


# Who may ask


@pytest.mark.attacks("C48")
@pytest.mark.parametrize("key", [STRANGE_KEY, "sk-1234", "bst_", KEY[:-1] + "0", KEY + "x", "ö"])
def test_unknown_keys(rig: Rig, key: str) -> None:
    with rig.connect() as talking:
        talking.sendall(request_bytes(BODY, key=key))
        response = read_response(talking)
    assert response.status == 401
    assert json.loads(response.body)["error"]["code"] == "invalid_api_key"
    assert rig.engine.requests == []


def test_the_sdk_maps_refusals_to_its_exceptions(rig: Rig) -> None:
    with pytest.raises(openai.AuthenticationError):
        client(rig, STRANGE_KEY).chat.completions.create(**ASK)
    with pytest.raises(openai.PermissionDeniedError):
        client(rig, NARROW_KEY).chat.completions.create(**ASK)
    with pytest.raises(openai.NotFoundError) as missing:
        client(rig).chat.completions.create(**{**ASK, "model": "gpt-4o"})
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client(rig).chat.completions.create(**ASK, n=3)
    assert (bad.value.param, bad.value.code) == ("n", "unsupported_parameter")
    assert rig.engine.requests == []


@pytest.mark.attacks("C49")
def test_a_revoked_key_is_refused_at_once_on_a_living_connection(rig: Rig) -> None:
    with rig.connect() as talking:
        talking.sendall(request_bytes(BODY))
        assert read_response(talking).status == 200
        keys = make_snapshot().keys
        rig.publish(keys={mac: keys[mac] for mac in keys if keys[mac].key != "k_wide"})
        talking.sendall(request_bytes(BODY))
        assert read_response(talking).status == 401


def test_a_key_that_is_revoked_while_the_body_arrives(rig: Rig) -> None:
    with rig.connect() as talking:
        whole = request_bytes(BODY)
        talking.sendall(whole[:-5])
        rig.until(lambda: rig.server.connections)
        rig.publish(keys={})
        talking.sendall(whole[-5:])
        assert read_response(talking).status == 401


@pytest.mark.attacks("C51")
def test_a_stale_snapshot_refuses_all(rig: Rig) -> None:
    rig.clock.advance(int(SNAPSHOT_AGE_MAX_S * 1000))
    client(rig).chat.completions.create(**ASK)
    rig.clock.advance(1)
    with pytest.raises(openai.InternalServerError) as stale:
        client(rig).chat.completions.create(**ASK)
    assert stale.value.status_code == 503
    health = curl(rig, rig.url + "/healthz").stdout
    assert health.startswith("HTTP/1.1 503 ")
    rig.publish()
    client(rig).chat.completions.create(**ASK)


@pytest.mark.attacks("C51")
def test_no_snapshot_refuses_all(rig: Rig) -> None:
    rig.control.snapshot = None
    assert curl(rig, rig.url + "/healthz").stdout.startswith("HTTP/1.1 503 ")
    with pytest.raises(openai.InternalServerError):
        client(rig).models.list()


# Receipts


def test_a_receipt_commits_to_prompt_and_answer(rig: Rig) -> None:
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY))
        response = read_response(talking)
    (receipt,) = rig.control.receipts
    assert receipt.ident == response.headers["x-bastide-receipt"]
    assert (receipt.tenant, receipt.key, receipt.finish) == ("acme", "k_wide", "stop")
    assert (receipt.release, receipt.node, receipt.sandbox) == (RELEASE, "node-1", "bubblewrap")
    assert (receipt.prompt_tokens, receipt.completion_tokens) == (9, 4)
    salt = salt_for(KEY, receipt.ident)
    assert receipt.prompt_commitment == commit(salt, "prompt", STREAM_BODY)
    assert receipt.answer_commitment == commit(salt, "answer", TEXT.encode())


@pytest.mark.attacks("C22")
@pytest.mark.parametrize("body", [BODY, STREAM_BODY], ids=["whole", "stream"])
def test_the_end_of_an_answer_waits_for_its_receipt(rig: Rig, body: bytes) -> None:
    rig.do(rig.control.confirming.clear)
    with rig.connect() as talking:
        talking.sendall(request_bytes(body))
        rig.until(lambda: rig.engine.requests and not rig.engine.running)
        talking.settimeout(0.1)
        early = b""
        with pytest.raises(TimeoutError):
            while True:
                early += talking.recv(65_536)
        assert b'finish_reason":"stop' not in early
        assert b"DONE" not in early
        rig.do(rig.control.confirming.set)
        talking.settimeout(10)
        assert talking.recv(65_536)
    assert len(rig.control.receipts) == 1


@pytest.mark.attacks("C22")
def test_no_answer_is_complete_if_the_receipt_is_never_confirmed(rig: Rig) -> None:
    rig.do(rig.control.confirming.clear)
    with pytest.raises(openai.InternalServerError):
        client(rig).chat.completions.create(**ASK)
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY))
        response = read_response(talking)
    assert response.status == 200
    assert not response.whole
    assert b"DONE" not in response.body
    assert b'"finish_reason":"stop"' not in response.body
    error = json.loads(response.body.split(b"data: ")[-1])["error"]
    assert error["code"] == "service_unavailable"


def test_a_sink_that_refuses(rig: Rig) -> None:
    rig.control.fault = "the disk is full"
    with pytest.raises(openai.InternalServerError, match="disk is full") as failed:
        client(rig).chat.completions.create(**ASK)
    assert failed.value.response.headers["x-bastide-receipt"].startswith("r_")
    with pytest.raises(openai.APIError, match="disk is full"):
        list(client(rig).chat.completions.create(**ASK, stream=True))


# Engines that fail, clients that go


def test_an_engine_that_fails_at_once(rig: Rig) -> None:
    rig.engine.fails_after = 0
    with pytest.raises(openai.InternalServerError, match="engine died") as failed:
        client(rig).chat.completions.create(**ASK, stream=True)
    assert failed.value.status_code == 503
    assert rig.control.receipts[0].finish == "error"
    assert failed.value.response.headers["x-bastide-receipt"] == rig.control.receipts[0].ident


def test_a_prompt_that_the_engine_refuses(rig: Rig) -> None:
    rig.engine.fails_after, rig.engine.fault = 0, Misconfigured("the prompt is too long")
    with pytest.raises(openai.BadRequestError, match="too long"):
        client(rig).chat.completions.create(**ASK)
    assert rig.control.receipts[0].finish == "error"


def test_a_bug_of_ours_is_a_500_that_tells_nothing(rig: Rig) -> None:
    rig.engine.fails_after, rig.engine.fault = 0, ZeroDivisionError("secret prompt")
    with pytest.raises(openai.InternalServerError) as failed:
        client(rig).chat.completions.create(**ASK)
    assert failed.value.status_code == 500
    assert "secret" not in str(failed.value)
    (bug,) = bugs(rig)
    assert "secret" not in repr(bug)
    rig.logged.clear()
    assert rig.control.receipts[0].finish == "error"


def test_an_engine_that_fails_in_the_middle(rig: Rig) -> None:
    rig.engine.fails_after = 2
    seen = ""
    with pytest.raises(openai.APIError, match="engine died"):
        for row in client(rig).chat.completions.create(**ASK, stream=True):
            seen += row.choices[0].delta.content or ""
    assert seen == "Hello "
    receipt = rig.control.receipts[0]
    assert receipt.finish == "error"
    salt = salt_for(KEY, receipt.ident)
    assert receipt.answer_commitment == commit(salt, "answer", b"Hello ")
    ask = ["-H", f"Authorization: Bearer {KEY}", "--json", STREAM_BODY.decode()]
    done = curl(rig, rig.url + "/v1/chat/completions", *ask)
    assert done.returncode == 18  # curl: the transfer ended with data outstanding
    assert "DONE" not in done.stdout


@pytest.mark.attacks("C56")
@pytest.mark.parametrize("half", [True, False], ids=["half-closed", "closed"])
@pytest.mark.parametrize("body", [BODY, STREAM_BODY], ids=["whole", "stream"])
def test_a_client_that_goes_away_frees_its_slot(rig: Rig, body: bytes, half: bool) -> None:
    rig.engine.hangs_after = 2
    talking = rig.connect()
    talking.sendall(request_bytes(body))
    rig.until(lambda: rig.engine.running)
    if half:
        talking.shutdown(1)
    else:
        talking.close()
    rig.until(lambda: not rig.engine.running, seconds=0.5)
    rig.until(lambda: rig.control.receipts)
    talking.close()
    assert rig.control.receipts[0].finish == "cancelled"
    assert rig.server.connections == 0


def test_a_client_that_goes_away_while_control_is_silent_frees_its_slot(rig: Rig) -> None:
    rig.do(rig.control.confirming.clear)
    rig.engine.hangs_after = 1
    talking = rig.connect()
    talking.sendall(request_bytes(STREAM_BODY))
    rig.until(lambda: rig.engine.running)
    talking.close()
    rig.until(lambda: not rig.engine.running, seconds=0.5)


def test_a_tenant_gets_half_of_the_window_and_then_is_refused(rig: Rig) -> None:
    """Order is the runner's business; here only so much is on its way, of 20 places."""
    rig.engine.hangs_after = 0
    waiting = [rig.connect() for _ in range(10)]
    for talking in waiting:
        talking.sendall(request_bytes(STREAM_BODY))
    engine = rig.pool.engine(make_snapshot().served[MODEL], make_snapshot())
    rig.until(lambda: engine.inside == 10)
    with pytest.raises(openai.RateLimitError) as busy:
        client(rig).chat.completions.create(**ASK)
    assert busy.value.response.headers["retry-after"] == "1"
    assert not engine.full("another tenant") and rig.engine.running_most == 10
    rig.engine.hangs_after = None
    for talking in waiting:
        talking.close()
    rig.until(lambda: engine.inside == 0)
    assert client(rig).chat.completions.create(**ASK).choices


def test_a_deployment_that_ends_closes_its_engine_after_the_last_answer(rig: Rig) -> None:
    rig.engine.pace_s = 0.05
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY))
        rig.until(lambda: rig.engine.running)
        rig.publish(served={"other": make_snapshot().served["other"]})
        with pytest.raises(openai.NotFoundError):
            client(rig).chat.completions.create(**ASK)
        client(rig).chat.completions.create(**{**ASK, "model": "other"})
        assert read_response(talking).body.endswith(b"data: [DONE]\n\n")
    rig.until(lambda: rig.engine.closed)
    assert rig.sockets == [f"{MODEL}.sock", "other.sock"]


def test_a_busy_runner_is_a_429_that_says_when_and_leaves_no_receipt(rig: Rig) -> None:
    rig.engine.fails_after, rig.engine.fault = 0, Busy("later", retry_after_s=12.4)
    for more in ({}, {"stream": True}):
        with pytest.raises(openai.RateLimitError) as busy:
            client(rig).chat.completions.create(**ASK, **more)
        assert busy.value.response.headers["retry-after"] == "13"
        assert "x-bastide-receipt" not in busy.value.response.headers
    assert rig.control.receipts == []
