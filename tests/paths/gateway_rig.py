# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A real gateway on a loopback port, in a thread, before an engine that follows a script."""

import asyncio
import concurrent.futures
import dataclasses
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import uvloop

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.control.memory import MemoryControl
from bastide.adapters.engine.fake import FakeEngine
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app.seen import Seen, make_table
from bastide.core import apikey
from bastide.core.chat import (
    Delta,
    Embedded,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    TokenChoice,
    Usage,
)
from bastide.core.errors import Unavailable
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.gateway.connection import Patience
from bastide.gateway.routes import Routes
from bastide.gateway.server import Server
from bastide.gateway.window import EnginePool

T = TypeVar("T")
PEPPER = b"p" * 32
MODEL = "smollm2"
RELEASE = "sha256:" + "ab" * 32
_MADE = SeededEntropy(b"rig")
KEY = apikey.make(_MADE.token)
NARROW_KEY = apikey.make(_MADE.token)  # may use another model only
STRANGE_KEY = apikey.make(_MADE.token)  # well formed, enrolled nowhere


class ScriptedEngine:
    """Answers with its words, one by one; can pause before a word, and fail after one."""

    def __init__(self) -> None:
        self.words: Sequence[str] = ("Hel", "lo ", "wörld", "!")
        self.pace_s = 0.0
        self.fails_after: int | None = None
        self.fault: Exception = Unavailable("the engine died")
        self.hangs_after: int | None = None
        self.finish = FinishReason.STOP
        self.met = ""
        self.thinking: FakeEngine | None = None  # answers instead of the words, if it is there
        self.requests: list[GenerateRequest] = []
        self.running = 0
        self.running_most = 0
        self.closed = False

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        self.requests.append(request)
        self.running += 1
        self.running_most = max(self.running, self.running_most)
        try:
            if self.thinking is not None:
                async for delta in self.thinking.generate(request):
                    yield delta
                return
            for index, word in enumerate(self.words):
                if self.fails_after == index:
                    raise self.fault
                if self.hangs_after == index:
                    await asyncio.sleep(3_600)
                await asyncio.sleep(self.pace_s)
                yield Delta(word, usage=Usage(9, index + 1, 4))
            yield Delta("", self.finish, Usage(9, len(self.words), 4), met=self.met)
        finally:
            self.running -= 1

    async def count(self, request: GenerateRequest) -> int:
        return sum(len(message.content) for message in request.messages)

    async def embed(self, request: EmbedRequest) -> Embedded:
        if self.fails_after == 0:
            raise self.fault
        if self.hangs_after == 0:
            await asyncio.sleep(3_600)
        return await FakeEngine().embed(request)

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        raise Unavailable("not in the script")

    async def health(self) -> None:
        return

    async def close(self) -> None:
        self.closed = True


def make_snapshot(version: int = 1) -> Snapshot:
    def served(name: str) -> Served:
        return Served(
            name=name,
            release=RELEASE,
            deployment=f"sha256:{name}",
            socket=f"{name}.sock",
            node="node-1",
            sandbox="bubblewrap",
            slots=2,
            context_tokens=2048,
            created_s=1_700_000_000,
        )

    return Snapshot(
        version=version,
        issued_ms=1_700_000_000_000,
        environment="test",
        policy="sha256:" + "cd" * 32,
        keys={
            apikey.mac(PEPPER, KEY): KeyGrant("k_wide", "acme", ("*",)),
            apikey.mac(PEPPER, NARROW_KEY): KeyGrant("k_narrow", "acme", ("other",)),
        },
        served={MODEL: served(MODEL), "other": served("other")},
    )


class Rig:
    """The gateway and what surrounds it. `call` and `do` run code in its event loop."""

    def __init__(self, patience: Patience, connections_max: int, requests_max: int = 20) -> None:
        self.clock = FixedClock()
        self.control = MemoryControl(self.clock, make_snapshot(), receipt_timeout_s=0.3)
        self.engine = ScriptedEngine()
        self.sockets: list[str] = []
        self.logged: list[dict[str, Any]] = []
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread.start()
        self.pool = EnginePool(self._open, self.clock, requests_max)
        self._seen = make_table(self.clock.now_ms())
        routes = Routes(
            self.control,
            self.pool,
            self.clock,
            SeededEntropy(b"ids"),
            PEPPER,
            self._log,
            Seen(self._seen),
        )
        self.server = Server(
            routes,
            self.clock.now_ms,
            self._log,
            lambda: frozenset() if (now := self.control.snapshot) is None else now.certificates,
            patience,
            connections_max,
        )
        self.call(self.server.start(listening))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def do(self, deed: Callable[[], T]) -> T:
        async def run() -> T:
            return deed()

        return self.call(run())

    def until(self, true: Callable[[], Any], seconds: float = 10) -> None:
        async def wait() -> None:
            async with asyncio.timeout(seconds):
                while not true():
                    await asyncio.sleep(0.002)

        self.call(wait())

    def publish(self, **changes: Any) -> None:
        snapshot = dataclasses.replace(make_snapshot(version=2), **changes)
        self.do(lambda: self.control.publish(snapshot))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def close(self) -> None:
        self.call(self.server.stop(0.1))
        self.call(self.pool.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
        os.close(self._seen)  # a process of the product has one for its life

    def _open(self, path: str) -> ScriptedEngine:
        self.sockets.append(path)
        return self.engine

    def _log(self, event: str, **fields: Any) -> None:
        self.logged.append({"event": event, **fields})


@contextmanager
def gateway(
    patience: Patience | None = None, connections_max: int = 100, requests_max: int = 20
) -> Generator[Rig]:
    rig = Rig(patience or Patience(), connections_max, requests_max)
    try:
        yield rig
    finally:
        rig.close()


def bugs(rig: Rig) -> list[dict[str, Any]]:
    return [row for row in rig.logged if row["event"] == "bug"]


def request_bytes(
    body: bytes,
    *,
    path: str = "/v1/chat/completions",
    headers: str = "",
    key: str = KEY,
    method: str = "POST",
) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


@dataclasses.dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool  # False if the connection ended before the body did


def read_response(client: socket.socket) -> Response:
    """Read exactly one response, and leave what follows it in the socket."""
    head = _until(client, b"\r\n\r\n")
    if not head.endswith(b"\r\n\r\n"):
        return Response(0, {}, head, False)
    first, *lines = head[:-4].decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(first.split(" ")[1])
    if status < 200:
        return Response(status, headers, b"", True)
    if "content-length" in headers:
        length = int(headers["content-length"])
        body = _exactly(client, length)
        return Response(status, headers, body, len(body) == length)
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while line := _until(client, b"\r\n"):
            length = int(line, 16)
            body += _exactly(client, length + 2)[:-2]
            if length == 0:
                return Response(status, headers, body, True)
        return Response(status, headers, body, False)
    return Response(status, headers, _exactly(client, 1 << 30), True)


def _until(client: socket.socket, mark: bytes) -> bytes:
    data = b""
    while not data.endswith(mark) and (byte := client.recv(1)):
        data += byte
    return data


def _exactly(client: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := client.recv(min(65_536, length - len(data)))):
        data += more
    return data
