# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of a gateway: over many requests, and with many streams that wait for their engine."""

import asyncio
import functools
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import uvloop
from load import END, Caller, Mode, flood
from targets import Target

SAMPLE_EVERY = 50_000  # requests
CALLERS = 64
STREAMS_OF_TEN = 3
HEAP_SETTLES = 3  # samples that the slope leaves out: caches fill, free lists grow
WHOLE = Mode("whole", stream=False, pieces=4)
SHORT = Mode("short_stream", stream=True, pieces=4)
HOLD_MS = 75_000  # what a waiting stream waits: opening all, IDLE_S and the probes must fit in
HELD = Mode("held", stream=True, pieces=1, pace_ms=HOLD_MS, prompt="Which town has a wall?")
IDLE_S = 30.0
TEXT, DONE = b" wall", b"data: [DONE]"
DIALS = 200  # connections that are opened at once
PROBES = 200
GAP_S = 0.005  # between two probes


def million(target: Target, count: int) -> dict[str, Any]:
    """Memory each 50,000 requests; of ten, seven are read as a whole and three as streams.

    Its slope is that of a line through all samples but the first ones, in KiB per 1,000 requests.
    """
    whole = WHOLE.request(target.key, target.model, target.headers)
    short = SHORT.request(target.key, target.model, target.headers)
    samples = [(0, target.memory_mb())]
    began = time.monotonic()
    while samples[-1][0] < count:
        step = min(SAMPLE_EVERY, count - samples[-1][0])
        streams = step * STREAMS_OF_TEN // 10
        uvloop.run(flood(target.port, whole, CALLERS, step - streams))
        uvloop.run(flood(target.port, short, CALLERS, streams))
        samples.append((samples[-1][0] + step, target.memory_mb()))
        done, mb = samples[-1]
        print(f"{target.name}: {done} requests, {mb:.2f} MB", file=sys.stderr, flush=True)
    return {
        "requests": count,
        "streams": count * STREAMS_OF_TEN // 10,
        "seconds": time.monotonic() - began,
        "mb": [round(mb, 2) for _, mb in samples],
        "kib_per_1000": slope_kib(samples),
    }


def slope_kib(samples: Sequence[tuple[int, float]]) -> float:
    """KiB for each 1,000 requests, of the line through the samples (least squares)."""
    settled = samples[HEAP_SETTLES:] if len(samples) > 2 * HEAP_SETTLES else samples
    line = statistics.linear_regression([row[0] for row in settled], [row[1] for row in settled])
    return line.slope * 1_024 * 1_000


class Waiting(asyncio.Protocol):
    """A stream that is read to its end; `first` comes with the first text."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[bool] = loop.create_future()  # True: to its proper end
        self.status = b""
        self._request = request
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-2_048:]
        if not self.status:
            self.status = data[9:12]
        refused = self.status != b"200"
        if not self.first.done() and (refused or TEXT in self._tail):
            self.first.set_result(None)
        if not self.ended.done() and (refused or self._tail.endswith(END)):
            self.ended.set_result(not refused and DONE in self._tail)

    def connection_lost(self, exc: Exception | None) -> None:
        for future, value in ((self.first, None), (self.ended, False)):
            if not future.done():
                future.set_result(value)


def idle(target: Target, count: int) -> dict[str, Any]:
    """Memory and CPU of `count` streams that have their first text and wait for the next."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return uvloop.run(_idle(target, count))


async def _idle(target: Target, count: int) -> dict[str, Any]:
    probe = WHOLE.request(target.key, target.model, target.headers)
    alone = await _probe(target.port, probe)
    empty_mb, began = target.memory_mb(), time.monotonic()
    waiting = await _open(target, count)
    opened_s, full_mb = time.monotonic() - began, target.memory_mb()
    before = target.cpu_s()
    await asyncio.sleep(IDLE_S)
    idle_cpu = (target.cpu_s() - before) / IDLE_S
    alive = sum(row.status == b"200" and not row.ended.done() for row in waiting)
    beside = await _probe(target.port, probe)
    still_full = sum(not row.ended.done() for row in waiting)
    ended = await asyncio.gather(*(row.ended for row in waiting))
    for row in waiting:
        row.transport.close()
    await asyncio.sleep(1)
    return {
        "streams": count,
        "refused": sum(row.status != b"200" for row in waiting),
        "alive_after_30_s": alive,
        "alive_after_probes": still_full,
        "ended_properly": sum(ended),
        "open_s": opened_s,
        "mb_before": empty_mb,
        "mb_open": full_mb,
        "mb_after": target.memory_mb(),
        "kib_per_stream": (full_mb - empty_mb) * 1_024 / count,
        "cpu_share_idle": idle_cpu,
        "probe_alone": alone,
        "probe_beside": beside,
    }


async def _open(target: Target, count: int) -> list[Waiting]:
    loop, waiting = asyncio.get_running_loop(), list[Waiting]()
    requests = [HELD.request(key, target.model, target.headers) for key in target.keys]
    while len(waiting) < count:
        some = range(len(waiting), min(count, len(waiting) + DIALS))
        made = await asyncio.gather(
            *(
                loop.create_connection(
                    functools.partial(Waiting, requests[number % len(requests)]),
                    "127.0.0.1",
                    target.port,
                )
                for number in some
            )
        )
        waiting += [row for _, row in made]
        await asyncio.gather(*(row.first for _, row in made))
    return waiting


async def _probe(port: int, request: bytes) -> dict[str, float]:
    """What a new request on a new connection takes."""
    loop, times = asyncio.get_running_loop(), []
    for _ in range(PROBES):
        began = time.perf_counter()
        transport, caller = await loop.create_connection(Caller, "127.0.0.1", port)
        await caller.ask(request)
        times.append(time.perf_counter() - began)
        transport.close()
        await asyncio.sleep(GAP_S)
    times.sort()
    return {"p50_ms": 1e3 * times[PROBES // 2], "p99_ms": 1e3 * times[PROBES * 99 // 100]}
