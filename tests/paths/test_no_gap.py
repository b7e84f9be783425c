# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The number of replicas goes up and down under streams of the real engine, and nobody notices.

Real processes: `bastide up`, `bastide deploy --replicas`, clients that ask without a pause. No
request is refused, no stream is cut, each answer has its receipt, and the promise counts at every
replica.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from paths.conftest import Running
from paths.furnished import running_copy
from paths.test_metrics import read

pytestmark = pytest.mark.slow

WORDS = (12, 600, 700, 800)  # of each client's answers
PATIENCE_S = 120


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_copy(tmp_path_factory, "gap") as (demo, up):
        yield Running(demo.home, up)


@dataclass
class Told:
    """What clients heard."""

    answers: int = 0
    tokens: int = 0
    faults: list[str] = field(default_factory=list)
    receipts: set[str] = field(default_factory=set)
    times: list[tuple[float, float]] = field(default_factory=list)  # of each answer, by the clock

    def across(self, switched: float) -> bool:
        """Whether an answer that was begun before went on for a while after."""
        return any(began < switched and ended > switched + 0.5 for began, ended in self.times)


async def stream(client: httpx.AsyncClient, world: Running, words: int, told: Told) -> None:
    """One answer, heard to its end."""
    body = {
        "model": world.model,
        "prompt": f"{told.answers}: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,",
        "max_tokens": words,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"authorization": f"Bearer {world.key}"}
    url, ended = f"{world.url}/v1/completions", False
    began = time.time()
    async with client.stream("POST", url, json=body, headers=headers) as answer:
        if answer.status_code != 200:
            told.faults.append(f"{answer.status_code}: {(await answer.aread())[:200]!r}")
            return
        told.receipts.add(answer.headers["x-bastide-receipt"])
        async for line in answer.aiter_lines():
            if line == "data: [DONE]":
                ended = True
            elif line.startswith("data: "):
                row = json.loads(line[6:])
                if "error" in row:
                    told.faults.append(line)
                told.tokens += (row.get("usage") or {}).get("completion_tokens", 0)
    if not ended:
        told.faults.append("a stream without an end")
    told.answers += 1
    told.times.append((began, time.time()))


async def asking(world: Running, words: int, told: Told, stop: asyncio.Event) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        while not stop.is_set():
            try:
                await stream(client, world, words, told)
            except httpx.HTTPError as error:
                told.faults.append(repr(error))


async def changed(world: Running, told: Told, replicas: int) -> set[str]:
    """Deploy so many replicas, with streams that run when they take over; their runners' names."""
    before = {row["runner"] for row in (await status(world))["replicas"]}
    more = ("--replicas", str(replicas)) if replicas > 1 else ()
    await asyncio.to_thread(world.json, "deploy", world.model, *more)
    end = time.monotonic() + PATIENCE_S
    while True:
        row = await status(world)
        names = {one["runner"] for one in row["replicas"] if one["up"]}
        if not row["coming"] and len(names) == replicas and not names & before:
            break
        assert before & {one["runner"] for one in row["replicas"] if one["up"]} or row["coming"]
        assert time.monotonic() < end, row
        await asyncio.sleep(0.1)
    asked, switched = told.answers, await asyncio.to_thread(ended_at, world)
    end = time.monotonic() + PATIENCE_S
    # An answer is known here only once it has ended, and a long one takes its time.
    while told.answers < asked + 2 * len(WORDS) or not told.across(switched):
        assert time.monotonic() < end, "no stream ran while the other deployment took over"
        await asyncio.sleep(0.1)
    return names


def ended_at(world: Running) -> float:
    """When the last deployment ended, by the ledger."""
    newest = world.json("ledger", "ls", "--kind", "deployment-end/v1")[-1]
    shown = world.json("ledger", "show", str(newest["entry"]))
    return float(shown["statement"]["predicate"]["time_ms"]) / 1000


async def status(world: Running) -> dict[str, Any]:
    row: dict[str, Any] = await asyncio.to_thread(world.json, "status")
    return row


async def scenario(world: Running) -> Told:
    told, stop = Told(), asyncio.Event()
    clients = [asyncio.create_task(asking(world, words, told, stop)) for words in WORDS]
    try:
        await asyncio.sleep(1)
        for replicas in (2, 1):
            runners = await changed(world, told, replicas)
            await asyncio.to_thread(guaranteed, world, runners)
    finally:
        stop.set()
        await asyncio.gather(*clients)
    return told


def guaranteed(world: Running, runners: set[str]) -> None:
    """Every replica knows the promise."""
    end = time.monotonic() + 20
    while True:
        page = read(world.run("metrics").stdout)
        name = "bastide_share_guaranteed_units_per_second"
        seen = {
            dict(labels)["process"]: value for (what, labels), value in page.items() if what == name
        }
        if runners <= seen.keys() and {seen[one] for one in runners} == {5.0}:
            return
        assert time.monotonic() < end, seen
        time.sleep(0.2)


def test_replicas_come_and_go_and_no_client_notices(world: Running) -> None:
    (tenant,) = (row["tenant"] for row in world.json("tenant", "ls"))
    world.json("share", "set", tenant, "--model", world.model, "--tokens-per-s", "5")
    (before,) = world.json("usage", "--tenant", tenant) or [{"requests": 0, "completion_tokens": 0}]
    told = asyncio.run(scenario(world))
    assert told.faults == []
    assert told.answers == len(told.receipts) > 4 * len(WORDS)
    end = time.monotonic() + 20
    while True:
        (used,) = world.json("usage", "--tenant", tenant)
        requests = used["requests"] - before["requests"]
        if requests >= told.answers:
            break
        assert time.monotonic() < end, (used, told.answers)
        time.sleep(0.2)
    # Nothing was answered twice, and nothing without a receipt.
    assert requests == told.answers
    assert used["completion_tokens"] - before["completion_tokens"] == told.tokens
    world.run("ledger", "audit")
    ends = world.json("ledger", "ls", "--kind", "deployment-end/v1")
    assert len(ends) == 2
    # The runners of those that were replaced have ended by themselves.
    while len(list((world.home / "run").glob("meter-runner-*.sock"))) > 1:
        assert time.monotonic() < end + 20
        time.sleep(0.2)
