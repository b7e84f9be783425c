# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway costs: requests per second, CPU per request, added latency, in one run.

Every server answers from the same fake engine in its own process, so only the server differs:

* bastide: the gateway with keys, scopes, window, receipts and commitments; the receipts go to
  memory, as durability is control's work (benchmarks/ledger_append.py).
* starlette: the usual relay, starlette on uvicorn (uvloop, httptools), with one key compared and
  no receipts. Only if both are installed.
* floor: an asyncio protocol that sends prepared bytes. Added latency is counted from here.

Rounds are interleaved; each number is the median of the rounds.

    python benchmarks/gateway.py --rounds 5 --json
"""

import argparse
import asyncio
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.clock.system import SystemClock  # noqa: E402
from bastide.adapters.control.memory import MemoryControl  # noqa: E402
from bastide.adapters.engine.fake import FakeEngine  # noqa: E402
from bastide.adapters.entropy.system import SystemEntropy  # noqa: E402
from bastide.core.chat import GenerateRequest, Message, Sampling  # noqa: E402
from bastide.core.snapshot import Served  # noqa: E402
from bastide.gateway.routes import Routes  # noqa: E402
from bastide.gateway.server import Server  # noqa: E402
from bastide.gateway.window import EnginePool  # noqa: E402
from paths.gateway_rig import KEY, MODEL, PEPPER, make_snapshot, request_bytes  # noqa: E402

CALLERS = 16
CHUNKS = 64
PACED_PER_S = 50
WHOLE, STREAM = "whole", "stream"
_ALIVE: list[Any] = []  # what a server process must not lose
PROMPT = "Which town has a wall? " * 20


def body(mode: str) -> dict[str, Any]:
    count = CHUNKS if mode == STREAM else 4
    turn = {"role": "user", "content": PROMPT}
    return {"model": MODEL, "messages": [turn], "max_tokens": count, "stream": mode == STREAM}


REQUESTS = {mode: request_bytes(json.dumps(body(mode)).encode()) for mode in (WHOLE, STREAM)}


# Servers, each in a process of its own


async def serve_bastide() -> int:
    clock = SystemClock()
    control = MemoryControl(clock)
    pool = EnginePool(lambda _: FakeEngine(slots=10_000))
    log = lambda event, **fields: None  # noqa: E731
    routes = Routes(control, pool, clock, SystemEntropy(), PEPPER, log)
    server = Server(routes, clock.now_ms, log)
    listening = _socket()
    await server.start(listening)
    snapshot = make_snapshot()
    wide = {name: _with_slots(row) for name, row in snapshot.served.items()}
    snapshot.served.update(wide)

    async def refresh() -> None:
        while True:
            control.publish(snapshot)
            control.receipts.clear()
            await asyncio.sleep(0.2)

    _ALIVE.append(asyncio.create_task(refresh()))
    return listening.getsockname()[1]


async def serve_starlette() -> int:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    engine = FakeEngine(slots=10_000)

    async def chat(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "no"}}, 401)
        asked = await request.json()
        messages = tuple(Message(row["role"], row["content"]) for row in asked["messages"])
        sampling = Sampling(max_tokens=asked["max_tokens"])
        deltas = engine.generate(GenerateRequest("x", asked["model"], messages, None, sampling))

        async def events() -> AsyncIterator[str]:
            async for delta in deltas:
                choice = {"index": 0, "delta": {"content": delta.text}, "finish_reason": None}
                row = {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}
                yield f"data: {json.dumps(row)}\n\n"
            yield "data: [DONE]\n\n"

        if asked["stream"]:
            return StreamingResponse(events(), media_type="text/event-stream")
        text = "".join([delta.text async for delta in deltas])
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse({"id": "x", "object": "chat.completion", "choices": [choice]})

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    config = uvicorn.Config(app, log_level="error", access_log=False, http="httptools", ws="none")
    listening = _socket()
    _ALIVE.append(asyncio.create_task(uvicorn.Server(config).serve([listening])))
    await asyncio.sleep(0.5)
    return listening.getsockname()[1]


class Floor(asyncio.Protocol):
    """Sends the same bytes for every request, and chunk by chunk for a stream."""

    PIECE = b"5c\r\n" + b"x" * 0x5C + b"\r\n"
    HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        pieces = CHUNKS if b'"stream": true' in data else 4
        self._transport.write(self.HEAD + self.PIECE * pieces + b"0\r\n\r\n")


async def serve_floor() -> int:
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", 0)
    _ALIVE.append(server)
    return server.sockets[0].getsockname()[1]


SERVERS = {"bastide": serve_bastide, "starlette": serve_starlette, "floor": serve_floor}


def _socket() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    return listening


def _with_slots(row: Served) -> Served:
    return dataclasses.replace(row, slots=1_000)


async def _serve(name: str) -> None:
    print(await SERVERS[name](), flush=True)
    await asyncio.Event().wait()


# The client


class Caller(asyncio.Protocol):
    """One keep-alive connection; `ask` returns how long the whole answer took."""

    def __init__(self) -> None:
        self._done: asyncio.Future[None] | None = None
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        tail = self._tail = (self._tail + data)[-4_096:]
        whole = tail.endswith(b"0\r\n\r\n") or (tail.endswith(b"}") and b"content-length" in tail)
        if whole and self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def ask(self, request: bytes) -> float:
        self._done = asyncio.get_running_loop().create_future()
        self._tail = b""
        began = time.perf_counter()
        self._transport.write(request)
        await self._done
        assert b"error" not in self._tail
        return time.perf_counter() - began


async def call_hard(port: int, mode: str, count: int) -> float:
    """Requests per second with CALLERS connections that never pause."""
    loop, left = asyncio.get_running_loop(), count

    async def run(caller: Caller) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await caller.ask(REQUESTS[mode])

    callers = [await loop.create_connection(Caller, "127.0.0.1", port) for _ in range(CALLERS)]
    began = time.perf_counter()
    await asyncio.gather(*(run(caller) for _, caller in callers))
    seconds = time.perf_counter() - began
    for transport, _ in callers:
        transport.close()
    return count / seconds


async def call_softly(port: int, count: int) -> list[float]:
    """Milliseconds per request at a rate that no server notices."""
    transport, caller = await asyncio.get_running_loop().create_connection(
        Caller, "127.0.0.1", port
    )
    times = []
    for _ in range(count):
        times.append(1_000 * await caller.ask(REQUESTS[WHOLE]))
        await asyncio.sleep(1 / PACED_PER_S)
    transport.close()
    return sorted(times)


class Target:
    """One server process."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, __file__, "--serve", name]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._watched = psutil.Process(self._process.pid)
        self.found: dict[str, list[float]] = {}

    def hard(self, mode: str, count: int) -> None:
        before = self._cpu_s()
        self._keep(f"{mode}/per_s", uvloop.run(call_hard(self.port, mode, count)))
        self._keep(f"{mode}/cpu_us", 1e6 * (self._cpu_s() - before) / count)

    def softly(self, count: int) -> None:
        times = uvloop.run(call_softly(self.port, count))
        self._keep("p50_ms", times[len(times) // 2])
        self._keep("p99_ms", times[int(len(times) * 0.99)])

    def memory_mb(self) -> float:
        return self._watched.memory_full_info().pss / 2**20

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _cpu_s(self) -> float:
        times = self._watched.cpu_times()
        return times.user + times.system

    def _keep(self, name: str, value: float) -> None:
        self.found.setdefault(name, []).append(value)


def measure(names: list[str], rounds: int, scale: int) -> dict[str, dict[str, float]]:
    targets = {name: Target(name) for name in names}
    try:
        for target in targets.values():  # warm
            uvloop.run(call_hard(target.port, WHOLE, 200))
        for _ in range(rounds):
            for target in targets.values():
                target.hard(WHOLE, 2_000 * scale)
                target.hard(STREAM, 200 * scale)
                target.softly(50 * scale)
        found = {
            name: {key: statistics.median(values) for key, values in target.found.items()}
            for name, target in targets.items()
        }
        for name, target in targets.items():
            found[name]["pss_mb"] = target.memory_mb()
        return found
    finally:
        for target in targets.values():
            target.stop()


def report(rounds: int, scale: int) -> dict[str, Any]:
    names = ["floor", "bastide"]
    absent = []
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401

        names.append("starlette")
    except ImportError:
        absent = ["starlette"]
    found = measure(names, rounds, scale)
    for name in names:
        for mark in ("p50_ms", "p99_ms"):
            found[name][f"added_{mark}"] = found[name][mark] - found["floor"][mark]
    ratios = {}
    if not absent:
        ours, theirs = found["bastide"], found["starlette"]
        for key in ("whole/per_s", "stream/per_s"):
            ratios[f"bastide to starlette, {key}"] = ours[key] / theirs[key]
        for key in ("whole/cpu_us", "stream/cpu_us", "added_p50_ms", "pss_mb"):
            ratios[f"starlette to bastide, {key}"] = theirs[key] / ours[key]
    return {
        "callers": CALLERS,
        "chunks": CHUNKS,
        "rounds": rounds,
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "not_installed": absent,
        "servers": {
            name: {key: round(value, 3) for key, value in row.items()}
            for name, row in found.items()
        },
        "ratios": {name: round(value, 2) for name, value in ratios.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=1, help="multiplies the requests of a round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.serve:
        uvloop.run(_serve(given.serve))
        return
    found = report(given.rounds, given.scale)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found["servers"].items():
        print(f"{name:10}", "  ".join(f"{key} {value:g}" for key, value in row.items()))
    for name, value in found["ratios"].items():
        print(f"{value:8.2f} x  {name}")
    for name in found["not_installed"]:
        print(f"{name} is not installed: not compared")


if __name__ == "__main__":
    main()
