# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Stopping a gateway, what it writes down, and the process as the supervisor starts it."""

import asyncio
import contextlib
import dataclasses
import json
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.core import apikey
from bastide.dialects import frames
from paths.gateway_rig import (
    KEY,
    MODEL,
    PEPPER,
    Rig,
    bugs,
    gateway,
    make_snapshot,
    read_response,
    request_bytes,
)

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}).encode()
STREAM_BODY = BODY[:-1] + b', "stream": true}'


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def test_a_stop_lets_answers_end(rig: Rig) -> None:
    rig.engine.pace_s = 0.05
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY))
        rig.until(lambda: rig.engine.running)
        rig.call(rig.server.stop(5))
        assert read_response(talking).body.endswith(b"data: [DONE]\n\n")
        assert talking.recv(1) == b""
    with pytest.raises(OSError):
        rig.connect()


def test_a_stop_cuts_off_what_does_not_end(rig: Rig) -> None:
    rig.engine.hangs_after = 1
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY))
        rig.until(lambda: rig.engine.running)
        rig.call(rig.server.stop(0.05))
        response = read_response(talking)
    assert not response.whole
    assert b"The gateway stops" in response.body
    assert b"DONE" not in response.body
    assert rig.control.receipts[0].finish == "cancelled"
    assert rig.engine.running == 0


def test_nothing_that_is_logged_holds_a_prompt_an_answer_or_a_key(rig: Rig) -> None:
    rig.engine.fails_after = 2
    with rig.connect() as talking:
        talking.sendall(request_bytes(STREAM_BODY))
        read_response(talking)
    assert rig.logged == [
        {
            "event": "answer-failed",
            "receipt": rig.control.receipts[0].ident,
            "code": "unavailable",
        }
    ]
    assert KEY not in repr(rig.control.receipts)
    assert apikey.mac(b"p" * 32, KEY) not in repr(rig.control.receipts)


# The process


class Control(threading.Thread):
    """Pushes fresh snapshots to all who connect to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._loop = asyncio.new_event_loop()
        self.listening = threading.Event()

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._task = self._loop.create_task(self._serve())
            self._loop.run_until_complete(self._task)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self.join(10)

    async def _serve(self) -> None:
        async with await asyncio.start_unix_server(self._push, self._path):
            self.listening.set()
            await asyncio.Event().wait()

    async def _push(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        snapshot = dataclasses.replace(make_snapshot(), issued_ms=SystemClock().now_ms())
        writer.write(frames.encode(0, "snapshot", snapshot))
        incoming = frames.FrameReader()
        while data := await reader.read(65_536):
            for frame in incoming.feed(data):
                writer.write(frames.encode(frame.stream, "ok"))


@pytest.fixture
def control() -> Iterator[Path]:
    # A socket's path is short (unix(7)); pytest's own folders may not be.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "control.sock"
        serving = Control(path)
        serving.start()
        assert serving.listening.wait(10)
        yield path
        serving.stop()


def start(orders: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bastide.gateway"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"die_with_parent": False, **orders}) + "\n")
    process.stdin.close()
    return process


def get(url: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_process_serves_and_stops(control: Path) -> None:
    orders = {
        "listen": "127.0.0.1:0",
        "control_socket": str(control),
        "pepper": PEPPER.hex(),
    }
    process = start(orders)
    assert process.stderr is not None
    ready = json.loads(process.stderr.readline())
    assert ready["event"] == "ready", ready
    url = f"http://{ready['listen']}"
    for _ in range(500):  # until the first snapshot has come
        if get(url + "/healthz") == 200:
            break
    assert get(url + "/healthz") == 200
    assert get(url + "/v1/models") == 200
    ask = urllib.request.Request(
        url + "/v1/chat/completions",
        data=BODY,
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as down:  # no runner behind that socket
        urllib.request.urlopen(ask, timeout=20)
    assert down.value.code == 503
    assert down.value.headers["x-bastide-receipt"].startswith("r_")
    process.terminate()
    assert process.wait(20) == 0
    log = process.stderr.read()
    assert '"event": "stopped"' in log
    assert KEY not in log
    assert PEPPER.hex() not in log


@pytest.mark.parametrize(
    ("listen", "status"), [("0.0.0.0:0", 2), ("[::]:0", 2), ("nonsense", 2)], ids=str
)
def test_plain_http_stays_on_loopback(listen: str, status: int) -> None:
    orders = {"listen": listen, "control_socket": "none", "pepper": PEPPER.hex()}
    process = start(orders)
    assert process.wait(20) == status
    assert process.stderr is not None
    assert json.loads(process.stderr.read())["code"] == "misconfigured"


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        process = start({"listen": listen, "control_socket": "none", "pepper": PEPPER.hex()})
        assert process.wait(20) == 7
