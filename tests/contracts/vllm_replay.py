# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A server that answers as vLLM did when it was recorded (tests/vectors/vllm/), and a recorder.

A request is found again by its method, path and body; only the cache salt, which is another one at
each load, is left out. What was not recorded is answered with 404, as vLLM answers unknown paths.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bastide.adapters.engine.http1 import UnixHttp
from bastide.adapters.engine.life import EngineLife
from bastide.adapters.engine.vllm import Vllm

VECTORS = Path(__file__).parent.parent / "vectors" / "vllm" / "exchanges.json"
SLOTS, CONTEXT = 2, 2_048


class CountingEntropy:
    """Bytes that differ each time, and are the same in each run."""

    def __init__(self) -> None:
        self.calls = 0

    def token(self, count: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(count, "big")


class FakeProcess:
    """A process that ends when it is killed."""

    pid = 0

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.on_kill: list[Any] = []

    async def wait(self) -> int:
        await self.ended.wait()
        return -9

    def kill(self) -> None:
        for deed in self.on_kill:
            deed()
        self.ended.set()


def key_of(method: str, path: str, body: bytes) -> str:
    """What a request is found by."""
    asked = json.loads(body) if body else None
    if isinstance(asked, dict) and "cache_salt" in asked:
        asked["cache_salt"] = "SALT"
    return json.dumps([method, path, asked], sort_keys=True)


class Replay:
    """Answers connections. `asked` has every request that came, as (method, path, body).

    With `cut` an answer ends without its end after so many pieces; `drop` leaves out the pieces in
    which it stands; `held` sends the first pieces only and waits.
    """

    def __init__(self, exchanges: list[dict[str, Any]], real: str = "") -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.cut: int | None = None
        self.drop = ""
        self.held = False
        self.hung_up = asyncio.Event()
        self.recorded: list[dict[str, Any]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._real = UnixHttp(real, 4) if real else None
        self._known: dict[str, dict[str, Any]] = {}
        for row in exchanges:
            body = json.dumps(row["body"]).encode() if row["body"] is not None else b""
            self._known[key_of(row["method"], row["path"], body)] = row

    def abort(self) -> None:
        """Cut every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                length = [row for row in head.split("\r\n") if row.startswith("content-length")]
                size = int(length[0].split(":")[1]) if length else 0
                body = await reader.readexactly(size)
                self.asked.append((method, path, json.loads(body or b"{}")))
                row = await self._answer(method, path, body)
                await self._send(row, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hung_up.set()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        if self._real is not None:
            return await self._record(method, path, body)
        missing = {"status": 404, "pieces": ['{"detail":"Not Found"}']}
        return self._known.get(key_of(method, path, body), missing)

    async def _record(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        assert self._real is not None
        async with self._real.ask(method, path, body) as answer:
            text = (await answer.read()).decode()
        pieces = [event + "\n\n" for event in text.split("\n\n") if event]
        whole = text if not text.startswith("data:") else None
        asked = json.loads(key_of(method, path, body))[2]
        row = {
            "method": method, "path": path, "body": asked, "status": answer.status,
            "pieces": pieces if whole is None else [whole],
        }  # fmt: skip
        self.recorded.append(row)
        return row

    async def _send(
        self, row: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        kind = "text/event-stream" if row["pieces"][:1] and row["pieces"][0][:5] == "data:" else ""
        head = f"HTTP/1.1 {row['status']} X\r\ncontent-type: {kind or 'application/json'}\r\n"
        writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for index, piece in enumerate(row["pieces"]):
            if kind and self.cut is not None and index >= self.cut:
                writer.transport.abort()
                raise ConnectionError
            if kind and self.held and index > 2:
                await reader.readexactly(1)
            if kind and self.drop and self.drop in piece:
                continue
            data = piece.encode()
            if data:
                writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def replayed(folder: Path, real: str = "") -> AsyncGenerator[tuple[Vllm, Replay]]:
    """The adapter over what was recorded, or with `real` over that socket, recording it."""
    exchanges = [] if real else json.loads(VECTORS.read_text())["exchanges"]
    server, process = Replay(exchanges, real), FakeProcess()
    path = folder / "vllm.sock"
    listening = await asyncio.start_unix_server(server.serve, path)
    process.on_kill = [server.abort, listening.close]
    life = EngineLife(process, "smollm2")
    engine = Vllm(life, path, CountingEntropy(), slots=SLOTS, context_tokens=CONTEXT)
    try:
        yield engine, server
    finally:
        process.kill()
        await engine.close()
