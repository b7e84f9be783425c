# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Stopping a gateway, what it writes down, and the process as the supervisor starts it."""

import asyncio
import contextlib
import dataclasses
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.app.runner import Runner
from bastide.core import apikey
from bastide.dialects import frames
from paths.certificates import Site
from paths.demo import environment
from paths.gateway_rig import (
    KEY,
    MODEL,
    PEPPER,
    Rig,
    ScriptedEngine,
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


@pytest.mark.attacks("C57")
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

    def __init__(self, path: Path, runner: Path | None = None) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._runner = runner  # socket of the runner behind every deployment
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
        if self._runner is not None:
            served = {
                name: dataclasses.replace(row, socket=str(self._runner))
                for name, row in snapshot.served.items()
            }
            snapshot = dataclasses.replace(snapshot, served=served)
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
        env=environment(),
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


@pytest.mark.attacks("C54")
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


class SlowEngine(ScriptedEngine):
    """Says a word every few milliseconds, and lives for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.words = ["word "] * 40
        self.pace_s = 0.02

    async def wait(self) -> int:
        await asyncio.Event().wait()
        return 0


@contextlib.contextmanager
def runner(path: Path) -> Generator[SlowEngine]:
    """A real runner in a thread, before an engine that follows a script."""
    engine, loop = SlowEngine(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def make() -> SlowEngine:
        return engine

    thread = threading.Thread(
        target=lambda: loop.run_until_complete(Runner(make, path, SystemClock()).run(stop)),
        daemon=True,
    )
    thread.start()
    try:
        yield engine
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_sigterm_lets_streams_end(http2: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, runner(Path(folder) / "runner.sock") as engine:
        serving = Control(Path(folder) / "control.sock", Path(folder) / "runner.sock")
        serving.start()
        assert serving.listening.wait(10)
        process = start(
            {
                "listen": "127.0.0.1:0",
                "control_socket": str(Path(folder) / "control.sock"),
                "pepper": PEPPER.hex(),
            }
        )
        assert process.stderr is not None
        ready = json.loads(process.stderr.readline())
        url = f"http://{ready['listen']}"
        while get(url + "/healthz") != 200:
            pass
        with (
            httpx.Client(http1=not http2, http2=http2, timeout=20) as http,
            http.stream(
                "POST",
                url + "/v1/chat/completions",
                content=STREAM_BODY,
                headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
            ) as answer,
        ):
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            pieces = answer.iter_bytes()
            said = next(pieces)
            process.terminate()
            said += b"".join(pieces)
        assert said.count(b"word ") == len(engine.words)
        assert said.endswith(b"data: [DONE]\n\n")
        assert process.wait(20) == 0
        host, port = ready["listen"].split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)
        serving.stop()


def test_the_end_of_its_orders_costs_no_connection(control: Path) -> None:
    """The pipe of the orders was once closed twice, the second time as somebody's connection."""
    issued = Site.make().issue()
    material = {"certificate": issued.certificate.decode(), "key": issued.key.decode()}
    process = start(
        {
            "listen": "127.0.0.1:0",
            "tls_listen": "127.0.0.1:0",
            "tls": material,
            "control_socket": str(control),
            "pepper": PEPPER.hex(),
        }
    )
    try:
        assert process.stderr is not None
        host, port = json.loads(process.stderr.readline())["listen"].split(":")
        kept = [http.client.HTTPConnection(host, int(port), timeout=10) for _ in range(20)]
        for connection in kept * 3:
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
    finally:
        process.terminate()
        process.wait(20)
