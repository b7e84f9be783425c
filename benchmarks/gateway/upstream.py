# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What stands behind every gateway in the comparison: an engine that answers prepared words.

Three faces of the same answers, in one process on uvloop (its parsing and sockets are C):

* OpenAI's API over HTTP, for the peers;
* a runner's frames over a Unix socket, for Bastide;
* a control process that confirms receipts, for Bastide. It keeps nothing: durability is measured
  in ledger_append.py. Two more write them to a disk in groups, one of which has them promised.

The request says by its `max_tokens` how many pieces it wants, and by its `seed` how many
milliseconds lie between two.
"""

import asyncio
import dataclasses
import gc
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import httptools
import msgspec
import uvloop
from full import everything

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.entropy.seeded import SeededEntropy  # noqa: E402
from bastide.app.config import Settings  # noqa: E402
from bastide.app.promises import delegate  # noqa: E402
from bastide.core import apikey  # noqa: E402
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Usage  # noqa: E402
from bastide.core.key import Purpose  # noqa: E402
from bastide.core.snapshot import KeyGrant, Snapshot  # noqa: E402
from bastide.dialects import frames  # noqa: E402
from paths.gateway_rig import MODEL, PEPPER, make_snapshot  # noqa: E402

OTHER_KEY = apikey.make(SeededEntropy(b"benchmark").token)  # of another tenant
from unit.ledger_fixture import make_signer  # noqa: E402

# Gateways with everything on, by the name of their control: it answers at once, or as it is.
FULL = {"full": "", "full-durable": "durable", "full-promised": "promised"}
WORD = " wall"
HEARTBEAT_S = 0.5


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    row = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "smollm2",
        "choices": [choice],
    }  # fmt: skip
    data = b"data: " + json.dumps(row).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"cache-control: no-cache\r\n\r\n"
)
FIRST, PIECE = chunk({"role": "assistant", "content": ""}), chunk({"content": WORD})
LAST = chunk({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def whole(count: int) -> bytes:
    message = {"role": "assistant", "content": WORD * count}
    row = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "smollm2",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": count, "total_tokens": 100 + count},
    }  # fmt: skip
    body = json.dumps(row).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


class OpenAI(asyncio.Protocol):
    """One connection of a peer to its upstream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        asked = msgspec.json.decode(body) if body else {}
        count, pace_ms = asked.get("max_tokens", 4), asked.get("seed") or 0
        if not asked.get("stream"):
            self._transport.write(whole(count))
        elif pace_ms:
            self._transport.write(HEAD + FIRST)
            self._pace(count, pace_ms / 1000)
        else:
            self._transport.write(HEAD + FIRST + PIECE * count + LAST)

    def _pace(self, left: int, pause_s: float) -> None:
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(LAST)
            return
        self._transport.write(PIECE)
        asyncio.get_running_loop().call_later(pause_s, self._pace, left - 1, pause_s)


class Runner(asyncio.Protocol):
    """One connection of a gateway to a runner."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._frames = frames.FrameReader()

    def data_received(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            if frame.kind == "generate":
                request = frames.decode(frame, GenerateRequest)
                asked = request.sampling
                count = asked.max_tokens or 4
                if request.whole:  # as a runner joins them
                    last = Delta(WORD * count, FinishReason.STOP, Usage(100, count))
                    self._transport.write(frames.encode(frame.stream, "delta", last))
                else:
                    self._answer(frame.stream, count, (asked.seed or 0) / 1000)

    def _answer(self, stream: int, count: int, pause_s: float) -> None:
        if pause_s:
            self._pace(stream, 1, count, pause_s)
            return
        out = [self._piece(stream, number + 1) for number in range(count)]
        self._transport.write(b"".join([*out, self._end(stream, count)]))

    def _pace(self, stream: int, number: int, count: int, pause_s: float) -> None:
        if self._transport.is_closing():
            return
        if number > count:
            self._transport.write(self._end(stream, count))
            return
        self._transport.write(self._piece(stream, number))
        loop = asyncio.get_running_loop()
        loop.call_later(pause_s, self._pace, stream, number + 1, count, pause_s)

    @staticmethod
    def _piece(stream: int, number: int) -> bytes:
        return frames.encode(stream, "delta", Delta(WORD, usage=Usage(100, number)))

    @staticmethod
    def _end(stream: int, count: int) -> bytes:
        return frames.encode(stream, "delta", Delta("", FinishReason.STOP, Usage(100, count)))


class Control(asyncio.Protocol):
    """One connection of a gateway to control."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._frames = frames.FrameReader()
        self._push()

    def data_received(self, data: bytes) -> None:
        found = self._frames.feed(data)
        self._transport.write(b"".join(frames.encode(row.stream, "ok") for row in found))

    def _push(self) -> None:
        if not self._transport.is_closing():
            now = dataclasses.replace(self._snapshot, issued_ms=int(time.time() * 1_000))
            self._transport.write(frames.encode(0, "snapshot", now))
            asyncio.get_running_loop().call_later(HEARTBEAT_S, self._push)


class Committing(Control):
    """Control as it is: what came while a group was written to the disk is the next group."""

    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        super().__init__(snapshot)
        self._file = os.open(folder / f"{id(self)}.log", os.O_CREAT | os.O_WRONLY)
        self._group: list[frames.Frame] = []
        self._writing: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            if frame.kind == "promise-key":
                public, now_ms = frames.decode(frame, str), int(time.time() * 1_000)
                settings = Settings(environment="test", receipts="promised")
                made = delegate(settings, public, make_signer("evidence", Purpose.EVIDENCE), now_ms)
                self._transport.write(frames.encode(frame.stream, "promise-key", made))
            else:
                self._group.append(frame)
        if self._group and (self._writing is None or self._writing.done()):
            self._writing = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        while self._group:
            group, self._group = self._group, []
            await asyncio.to_thread(self._commit, b"".join(frame.body for frame in group))
            done = b"".join(frames.encode(row.stream, "ok") for row in group)
            self._transport.write(done)

    def _commit(self, data: bytes) -> None:
        os.pwrite(self._file, data, 0)
        os.fdatasync(self._file)


async def serve(folder: Path) -> None:
    # What is measured waits for this process, so it must not stop for tens of milliseconds.
    gc.freeze()
    gc.disable()
    loop = asyncio.get_running_loop()
    snapshot, kept = make_snapshot(), []
    snapshot.keys[apikey.mac(PEPPER, OTHER_KEY)] = KeyGrant("k_other", "globex", ("*",))
    for name, row in snapshot.served.items():
        socket = str(folder / f"{name}.sock")
        snapshot.served[name] = dataclasses.replace(row, socket=socket, slots=1_000)
        kept.append(await loop.create_unix_server(Runner, socket))
    control = str(folder / "control.sock")
    kept.append(await loop.create_unix_server(lambda: Control(snapshot), control))
    for mode in ("durable", "promised"):
        told = partial(Committing, dataclasses.replace(snapshot, receipts=mode), folder)
        kept.append(await loop.create_unix_server(told, str(folder / f"{mode}.sock")))
    for name, mode in FULL.items():
        full = everything(snapshot, MODEL, folder / f"{name}-runner.sock")
        full = dataclasses.replace(full, receipts=mode or full.receipts)
        tell = partial(Committing, full, folder) if mode else partial(Control, full)
        kept.append(await loop.create_unix_server(tell, str(folder / f"{name}.sock")))
    server = await loop.create_server(OpenAI, "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
    kept.clear()  # a server that nobody holds is closed


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
