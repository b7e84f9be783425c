# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Streams that wait for their engine, many at once; `run.py --idle` of the benchmark has 10,000."""

import asyncio
import dataclasses
import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Usage
from bastide.core.limits import CONNECTIONS_MAX, RUNNER_STREAMS_MAX, WINDOW_REQUESTS_MAX
from bastide.core.receipt import commit, fingerprint, salt_for
from bastide.gateway.connection import Connection
from bastide.gateway.inbound import Inbound
from paths.gateway_rig import (
    KEY,
    MODEL,
    Rig,
    ScriptedEngine,
    bugs,
    gateway,
    read_response,
    request_bytes,
)

STREAMS = 500
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
WHOLE = request_bytes(json.dumps(BODY).encode())
STREAM = request_bytes(json.dumps(BODY | {"stream": True}).encode())
FIRST = "Wait"
BYTES_EACH = 7_500  # with the client's socket and the scripted engine, which stand here too


class HoldingEngine(ScriptedEngine):
    """Gives a stream its first word, and the others when `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        if not request.whole:
            yield Delta(FIRST, usage=Usage(9, 1))
            await self.go.wait()
        async for delta in super().generate(request):
            yield delta


def open_stream(rig: Rig, request: bytes = STREAM) -> socket.socket:
    """A stream whose first word has come, and was read."""
    client = rig.connect()
    client.sendall(request)
    seen = b""
    while FIRST.encode() not in seen or not seen.endswith(b"\n\n\r\n"):
        data = client.recv(65_536)
        assert data, seen
        seen += data
    assert seen.startswith(b"HTTP/1.1 200 ")
    return client


def read_rest(client: socket.socket) -> bytes:
    seen = b""
    while not seen.endswith(b"0\r\n\r\n") and (data := client.recv(65_536)):
        seen += data
    return seen


def inside(rig: Rig) -> int:
    return rig.do(lambda: sum(rig.pool.inside.values()))


def test_streams_that_wait_leave_room_for_others_and_end_properly() -> None:
    with gateway(None, CONNECTIONS_MAX, WINDOW_REQUESTS_MAX) as rig, ExitStack() as kept:
        engine = rig.engine = HoldingEngine()
        waiting = [kept.enter_context(open_stream(rig)) for _ in range(STREAMS)]
        with rig.connect() as other:
            other.sendall(WHOLE)
            assert read_response(other).status == 200
        assert inside(rig) == STREAMS
        for gone in waiting[::5]:
            gone.close()
        stay = [client for client in waiting if client.fileno() >= 0]
        rig.until(lambda: sum(rig.pool.inside.values()) == len(stay))
        rig.do(engine.go.set)
        for client in stay:
            rest = read_rest(client)
            assert "wörld" in rest.decode() and rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        rig.until(lambda: not sum(rig.pool.inside.values()))
        assert bugs(rig) == []


class ForgettingEngine(ScriptedEngine):
    """Gives the first word and keeps nothing of the request, as one in another process does."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.finish = FinishReason.STOP

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        del request
        yield Delta(FIRST, usage=Usage(9, 1))
        await self.go.wait()
        yield Delta("", self.finish, Usage(9, 1))


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("finish", [FinishReason.STOP, FinishReason.ERROR])
def test_a_stream_that_waits_keeps_no_long_prompt(replicas: int, finish: FinishReason) -> None:
    """Neither its bytes nor its words; the receipt is over them all the same."""
    count, long = 8, "word " * 40_000
    body = {**BODY, "messages": [{"role": "user", "content": long}], "stream": True}
    sent = request_bytes(json.dumps(body).encode())
    with gateway() as rig, ExitStack() as kept:
        engine = rig.engine = ForgettingEngine()
        engine.finish = finish
        served = rig.do(lambda: rig.control.snapshot).served
        others = tuple(f"{number}.sock" for number in range(2, replicas + 1))
        rig.publish(served={MODEL: dataclasses.replace(served[MODEL], others=others)})
        with open_stream(rig, sent):  # what is made once is there now
            tracemalloc.start()
            try:
                waiting = [kept.enter_context(open_stream(rig, sent)) for _ in range(count)]
                rig.do(gc.collect)
                each = tracemalloc.get_traced_memory()[0] / count
            finally:
                tracemalloc.stop()
        assert each < len(long) / 4, each
        rig.do(engine.go.set)
        for client in waiting:
            read_rest(client)
        rig.until(lambda: len(rig.control.receipts) == count + 1)
        told = rig.control.receipts[-1]
        salt = salt_for(KEY, told.ident)
        assert told.prompt_commitment == commit(salt, "prompt", sent.partition(b"\r\n\r\n")[2])
        again = fingerprint(KEY, "", sent.partition(b"\r\n\r\n")[2])
        assert told.fingerprint == (again if finish is FinishReason.ERROR else "")
        assert bugs(rig) == []


def test_one_process_takes_ten_thousand_streams() -> None:
    assert min(CONNECTIONS_MAX, WINDOW_REQUESTS_MAX) > 10_000
    # A runner cuts a gateway off that opens more, with all its streams.
    assert RUNNER_STREAMS_MAX >= 2 * WINDOW_REQUESTS_MAX


def test_a_connection_that_has_ended_leaves_nothing_for_the_collector() -> None:
    def left() -> int:
        kinds = (Connection, Inbound)
        return rig.do(lambda: sum(isinstance(row, kinds) for row in gc.get_objects()))

    with gateway() as rig:
        before = left()
        gc.disable()
        try:
            for request in (WHOLE, STREAM) * 5:
                with rig.connect() as client:
                    client.sendall(request)
                    assert read_response(client).status == 200
            rig.until(lambda: rig.server.connections == 0)
            assert left() <= before
        finally:
            gc.enable()
        assert bugs(rig) == []


@pytest.mark.parametrize("cut", [0, 1, 30, len(WHOLE)])
def test_what_comes_while_a_stream_runs_is_the_next_request(cut: int) -> None:
    """A connection has no parser while its stream runs, unless the next request has begun.

    cut: how much of it comes together with the first one; the rest comes in the middle.
    """
    with gateway() as rig:
        engine = rig.engine = HoldingEngine()
        with rig.connect() as client:
            client.sendall(STREAM + WHOLE[:cut])
            rig.until(lambda: engine.requests or sum(rig.pool.inside.values()))
            client.sendall(WHOLE[cut:] + STREAM)
            rig.do(engine.go.set)
            answers = [read_response(client) for _ in range(3)]
        assert [(row.status, row.whole) for row in answers] == [(200, True)] * 3
        streamed = [row.body.endswith(b"data: [DONE]\n\n") for row in answers]
        assert streamed == [True, False, True]
        assert bugs(rig) == []


def test_a_stream_that_waits_holds_little() -> None:
    """In what Python allocates; the sockets' own memory is the kernel's."""
    count = 200
    with gateway(None, CONNECTIONS_MAX, WINDOW_REQUESTS_MAX) as rig, ExitStack() as kept:
        engine = rig.engine = HoldingEngine()
        kept.enter_context(open_stream(rig))  # what is made once
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            clients = [kept.enter_context(open_stream(rig)) for _ in range(count)]
            gc.collect()
            each = (tracemalloc.get_traced_memory()[0] - before) / count
        finally:
            tracemalloc.stop()
        assert each < BYTES_EACH
        rig.do(engine.go.set)
        for client in clients:
            read_rest(client)
