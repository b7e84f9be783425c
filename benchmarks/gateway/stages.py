# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Where the gateway's own CPU goes: the stages of a whole answer, of a piece and of HTTP/2.

In one process, without sockets: connections write into nothing, runner and control answer from
prepared bytes. Each number is the least of many batches, in thread time, so that what else runs on
the machine hardly shows. Stages are measured alone and warm; *between them* is what the whole costs
more: coroutines, timers, queues, and caches that are cold.

    python benchmarks/gateway/stages.py
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import uvloop
from full import everything
from load import Mode
from load_h2 import in_h2

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.clock.system import SystemClock  # noqa: E402
from bastide.adapters.engine import remote  # noqa: E402
from bastide.adapters.entropy.system import SystemEntropy  # noqa: E402
from bastide.app.seen import Seen, make_table  # noqa: E402
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Said, Usage  # noqa: E402
from bastide.core.receipt import Receipt, standing_of  # noqa: E402
from bastide.dialects import frames, openai_chat  # noqa: E402
from bastide.dialects.surface import Context  # noqa: E402
from bastide.gateway.connection import Connection  # noqa: E402
from bastide.gateway.h2_connection import H2Connection  # noqa: E402
from bastide.gateway.h2_frames import Frames  # noqa: E402
from bastide.gateway.h2_head import answer_block  # noqa: E402
from bastide.gateway.h2_toll import Toll  # noqa: E402
from bastide.gateway.host import Patience  # noqa: E402
from bastide.gateway.inbound import Bodies, Inbound, Known  # noqa: E402
from bastide.gateway.reply import Pen, Reply  # noqa: E402
from bastide.gateway.routes import Routes  # noqa: E402
from bastide.gateway.server import Server  # noqa: E402
from bastide.gateway.window import EnginePool  # noqa: E402
from paths.gateway_rig import KEY, MODEL, PEPPER, make_snapshot  # noqa: E402

CONNECTIONS, BATCHES, PIECES = 16, 60, 64
WHOLE = Mode("whole", stream=False, pieces=4).request(KEY, MODEL)
STREAM = Mode("stream", stream=True, pieces=PIECES).request(KEY, MODEL)
BODY = WHOLE.partition(b"\r\n\r\n")[2]
SAID, ENDED = " wall" * 4, Usage(100, 4)
CLOCK, CHANCE = SystemClock(), SystemEntropy()


def least_us(deed: Callable[[], Any], times: int = 300) -> float:
    """CPU µs of a deed: the least of many batches."""
    spent = []
    for _ in range(BATCHES):
        began = time.thread_time()
        for _ in range(times):
            deed()
        spent.append((time.thread_time() - began) / times)
    return 1e6 * min(spent)


class Wire:
    """A transport that goes nowhere."""

    def write(self, data: bytes) -> None:
        """Forget it."""

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> None:
        return None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class RunnerWire(Wire):
    """Answers requests: whole, or with each piece in a turn of its own. Its own time is kept."""

    def __init__(self, link: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._link, self._loop = link, loop
        self._reader = frames.FrameReader()
        self.spent_s = 0.0

    def write(self, data: bytes) -> None:
        began, out = time.thread_time(), b""
        for frame in self._reader.feed(data):
            if frame.kind == "generate" and frames.decode(frame, GenerateRequest).whole:
                out += frames.encode(frame.stream, "delta", Delta(SAID, FinishReason.STOP, ENDED))
            elif frame.kind == "generate":
                self._loop.call_soon(self._piece, frame.stream, 1)
        if out:
            self._loop.call_soon(self._link.data_received, out)
        self.spent_s += time.thread_time() - began

    def _piece(self, stream: int, number: int) -> None:
        began, last = time.thread_time(), number > PIECES
        usage = Usage(100, number)
        delta = Delta("", FinishReason.STOP, usage) if last else Delta(" wall", None, usage)
        data = frames.encode(stream, "delta", delta)
        self.spent_s += time.thread_time() - began
        self._link.data_received(data)
        if not last:  # the one before is taken meanwhile, or two would be joined
            later = self._loop.call_soon
            later(later, later, later, self._piece, stream, number + 1)


class World:
    """A gateway before a runner and a control that answer at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, full: bool = False) -> None:
        """full: with all that an operator can set; see full.py."""
        engine, link = remote.RemoteEngine("none"), remote._Link()
        self.runner = RunnerWire(link, loop)
        link.connection_made(self.runner)  # type: ignore[arg-type]
        engine._link = link
        self.snapshot, self.received_at, self.erasure = make_snapshot(), float("inf"), None
        if full:
            self.snapshot = everything(self.snapshot, MODEL, Path("none"))
        self._loop = loop
        pool, seen = EnginePool(lambda _: engine, CLOCK), Seen(make_table(CLOCK.now_ms()))
        self.routes = Routes(self, pool, CLOCK, CHANCE, PEPPER, print, seen)
        self.server = Server(self.routes, CLOCK.now_ms, print, frozenset)

    def put(self, receipt: Receipt) -> asyncio.Future[None]:
        """Confirm in the next turn, as a control would at best."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_soon(done.set_result, None)
        return done

    async def batch(self, protocols: list[Any], requests: list[bytes]) -> float:
        """CPU µs for each request, of all at once."""
        self.runner.spent_s, began = 0.0, time.thread_time()
        for protocol, request in zip(protocols, requests, strict=True):
            protocol.data_received(request)
        while any(protocol.tasks for protocol in protocols):  # noqa: ASYNC110 - turns of the loop are what is measured
            await asyncio.sleep(0)
        spent_s = time.thread_time() - began - self.runner.spent_s
        return 1e6 * spent_s / len(protocols)

    async def plain(self, request: bytes) -> float:
        protocols = [Connection(self.server, Patience()) for _ in range(CONNECTIONS)]
        for protocol in protocols:
            protocol.connection_made(Wire())  # type: ignore[arg-type]
        requests = [request] * CONNECTIONS
        return min([await self.batch(protocols, requests) for _ in range(4 * BATCHES)])

    async def h2(self, request: bytes) -> float:
        found: list[float] = []
        for _ in range(BATCHES // 3):
            clients = [asking(request, 8) for _ in range(CONNECTIONS)]
            protocols = [H2Connection(self.server, Patience()) for _ in clients]
            for protocol, (opening, _) in zip(protocols, clients, strict=True):
                protocol.connection_made(Wire())  # type: ignore[arg-type]
                protocol.data_received(opening)
            turns = zip(*(rows for _, rows in clients), strict=True)
            found += [await self.batch(protocols, list(requests)) for requests in turns]
        return min(found)


def asking(request: bytes, count: int) -> tuple[bytes, list[bytes]]:
    """What a client of HTTP/2 sends: its opening, and so many requests one after the other."""
    fields, body = in_h2(request)
    client = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    client.initiate_connection()
    client.increment_flow_control_window(1 << 30)
    opening, rows = client.data_to_send(), []
    for _ in range(count):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, fields)
        client.send_data(stream, body, end_stream=True)
        rows.append(client.data_to_send())
    return opening, rows


def whole_stages(world: World) -> dict[str, float]:
    """The stages of a whole answer, in their order."""
    inbound, screened = (
        Inbound(screen, Known(), Bodies()) for screen in (lambda _: None, world.routes.screen)
    )
    (request,) = screened.feed(WHOLE)
    assert not isinstance(request, (bytes, Reply))
    answering, caller, route = world.routes._answering, request.caller, request.route
    assert route is not None
    asked = openai_chat.decode(BODY, "id")
    call, _ = answering._let_in(request, "id", caller, asked.request)
    context = Context("id", 1, MODEL, call.served.release, asked)
    last = Delta("", FinishReason.STOP, ENDED)
    back = frames.encode(1, "delta", Delta(SAID, FinishReason.STOP, ENDED))
    pen, reader = Pen(CLOCK.now_ms), frames.FrameReader()
    standing = call.request.standing
    assert standing is not None
    receipt = Receipt(
        "r_id", 1, "acme", "k", MODEL, "r", "d", "p", "n", "s", standing.prompt_commitment,
        standing.prompt_commitment, 100, 4, "stop",
    )  # fmt: skip

    def write() -> bytes:
        body = openai_chat.ChatWriter(context).whole(Said(SAID), last)
        return pen.whole(Reply(200, body, (("x-bastide-receipt", "r_id"),)), "id", True)

    return {
        "read head and body (llhttp)": least_us(lambda: inbound.feed(WHOLE)),
        "route, key, scopes": least_us(lambda: world.routes.screen(request)),
        "id": least_us(world.routes.new_ident),
        "decode the dialect": least_us(lambda: openai_chat.decode(BODY, "id")),
        "salt and commitment to the prompt": least_us(lambda: standing_of("r_id", "k", KEY, BODY)),
        "frame to the runner": least_us(lambda: frames.encode(1, "generate", call.request)),
        "frame from the runner": least_us(lambda: frames.decode(reader.feed(back)[0], Delta)),
        "frame to control": least_us(lambda: frames.encode(1, "receipt", receipt)),
        "write the answer": least_us(write),
    }


def piece_stages() -> dict[str, float]:
    """The stages of a piece of a stream."""
    context = Context("id", 1, MODEL, "sha256:ab", openai_chat.decode(BODY, "id"))
    writer, reader = openai_chat.ChatWriter(context), frames.FrameReader()
    piece = frames.encode(1, "delta", Delta(" wall", None, Usage(100, 4)))
    return {
        "frame from the runner": least_us(lambda: frames.decode(reader.feed(piece)[0], Delta)),
        "write the piece": least_us(lambda: writer.piece(" wall")),
    }


class H2Steps:
    """What HTTP/2 adds, step by step, with one client."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}
        opening, self.rows = asking(WHOLE, 8)
        self._server, self._toll = Frames(), Toll(0.0)
        self._server.receive_data(self._toll.pass_on(opening, 0.0))

    def answer(self, stream: int, row: bytes) -> None:
        """One request and its answer."""
        data = self._step("bounds (toll)", self._toll.pass_on, row, 1.0)
        self._step("read (h2)", self._server.receive_data, data)
        receipt = (("x-bastide-receipt", "r_id"),)
        head = (200, "application/json", receipt, "id", "", 500)
        block = self._step("head of the answer", answer_block, *head)
        self._step("its two frames", self._send, stream, block)

    def _send(self, stream: int, block: bytes) -> bytes:
        self._server.send_head(stream, block, last=False)
        self._server.send_part(stream, b"x" * 500, last=True)
        return self._server.data_to_send()

    def _step(self, name: str, deed: Callable[..., Any], *given: Any) -> Any:
        began = time.thread_time()
        found = deed(*given)
        self.spent.setdefault(name, []).append(time.thread_time() - began)
        return found


def h2_stages() -> dict[str, float]:
    """What HTTP/2 adds to a request and its answer, which were not the first ones."""
    least: dict[str, float] = {}
    for _ in range(BATCHES):
        steps = H2Steps()
        for number, row in enumerate(steps.rows):
            steps.answer(2 * number + 1, row)
        for name, spent in steps.spent.items():
            least[name] = min(least.get(name, 1.0), *spent[1:])
    return {name: 1e6 * spent for name, spent in least.items()}


def show(title: str, whole_us: float, stages: dict[str, float]) -> dict[str, float]:
    print(f"{title}: {whole_us:.1f} µs")
    rows = {**stages, "between them": whole_us - sum(stages.values())}
    for name, spent_us in rows.items():
        print(f"  {name:36}{spent_us:7.2f}")
    return {"all": round(whole_us, 1), **{name: round(row, 2) for name, row in rows.items()}}


async def main() -> None:
    world = World(asyncio.get_running_loop())
    gc.collect()
    gc.freeze()
    whole, stream = await world.plain(WHOLE), await world.plain(STREAM)
    full = World(asyncio.get_running_loop(), full=True)
    full_whole, full_stream = await full.plain(WHOLE), await full.plain(STREAM)
    h2_whole, h2_stream = await world.h2(WHOLE), await world.h2(STREAM)
    pieces = PIECES + 1
    found = {
        "whole": show("A whole answer", whole, whole_stages(world)),
        "piece": show("A piece, alone in its turn", stream / pieces, piece_stages()),
        "h2": show("HTTP/2, on top of a whole answer", h2_whole - whole, h2_stages()),
    }
    print(f"HTTP/2, on top of a piece: {(h2_stream - stream) / pieces:.1f} µs")
    found["full"] = {"whole": round(full_whole, 1), "piece": round(full_stream / pieces, 2)}
    print(f"With everything on: {full_whole:.1f} µs, and {full_stream / pieces:.1f} µs for a piece")
    print(json.dumps(found))


if __name__ == "__main__":
    uvloop.run(main())
