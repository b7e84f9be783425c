# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The callers: keep-alive connections that ask, and notice when the answer is whole."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Mode:
    """One kind of request. `pace_ms` lies between two pieces; 0 is as fast as it goes."""

    name: str
    stream: bool
    pieces: int
    pace_ms: int = 0
    prompt: str = "Which town has a wall? " * 20

    def request(self, key: str, model: str, more: str = "") -> bytes:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": self.prompt}],
            "max_tokens": self.pieces,
            "stream": self.stream,
        }
        if self.pace_ms:
            body["seed"] = self.pace_ms
        data = json.dumps(body).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\n{more}"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data


class Caller(asyncio.Protocol):
    """One connection; `ask` returns (seconds to the first byte, seconds to the end)."""

    def __init__(self) -> None:
        self._done: asyncio.Future[None] | None = None
        self._seen = b""
        self._first_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        if not self._first_at:
            self._first_at = time.perf_counter()
        self._seen = seen = (
            self._seen + data if len(self._seen) < 16_384 else self._seen[-64:] + data
        )
        if self._done is not None and not self._done.done() and _is_whole(seen):
            self._done.set_result(None)

    async def ask(self, request: bytes) -> tuple[float, float]:
        self._done = asyncio.get_running_loop().create_future()
        self._seen, self._first_at = b"", 0.0
        began = time.perf_counter()
        self.transport.write(request)
        await self._done
        if b" 200 " not in self._seen[:20] and self._seen.startswith(b"HTTP"):
            raise RuntimeError(self._seen[-200:].decode(errors="replace"))
        return self._first_at - began, time.perf_counter() - began


def _is_whole(seen: bytes) -> bool:
    if seen.endswith(END):
        return True
    head, found, body = seen.partition(b"\r\n\r\n")
    lower = head.lower()
    at = lower.find(b"content-length: ")
    if not found or at < 0:
        return False
    return len(body) >= int(lower[at + 16 :].split(b"\r\n", 1)[0])


async def flood(
    port: int,
    request: bytes,
    callers: int,
    count: int,
    *,
    connect: Callable[[], Any] = Caller,
    connections: int = 0,
    context: ssl.SSLContext | None = None,
) -> tuple[float, list[float]]:
    """Ask `count` times, `callers` at once, without a pause.

    connect: a protocol with `ask` and `transport`.
    connections: how many the callers share; 0 is one for each.
    context: of TLS, if it is used.
    Returns the seconds that it took, and those of each answer.
    """
    loop, left, times = asyncio.get_running_loop(), count, []
    name = None if context is None else "localhost"

    async def run(caller: Any) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            times.append((await caller.ask(request))[1])

    connected = [
        await loop.create_connection(connect, "127.0.0.1", port, ssl=context, server_hostname=name)
        for _ in range(connections or callers)
    ]
    began = time.perf_counter()
    try:
        await asyncio.gather(
            *(run(connected[number % len(connected)][1]) for number in range(callers))
        )
    finally:
        for transport, _ in connected:
            transport.close()
    return time.perf_counter() - began, times


async def drip(port: int, request: bytes, per_s: float, count: int) -> list[tuple[float, float]]:
    """Ask at a fixed rate, whether answers have come or not (an open loop)."""
    loop = asyncio.get_running_loop()
    idle: list[Caller] = []
    times: list[tuple[float, float]] = []

    async def one() -> None:
        if idle:
            caller = idle.pop()
        else:
            _, caller = await loop.create_connection(Caller, "127.0.0.1", port)
        times.append(await caller.ask(request))
        idle.append(caller)

    began, tasks = loop.time(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / per_s - loop.time()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    for caller in idle:
        caller.transport.close()
    return sorted(times)
