# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The queue as HTTP clients meet it: when to come back, and what a batch is allowed."""

import asyncio
import math
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine.fake import FakeEngine
from bastide.adapters.engine.remote import RemoteEngine
from bastide.app.runner import Runner
from bastide.app.turns import Turns
from bastide.core.share import Promise
from paths.desk_rig import desk, lines
from paths.gateway_rig import KEY, MODEL, Rig, gateway

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

QUEUE_S = 2.0  # of work that may wait, so that few requests fill it


class _Mortal(FakeEngine):
    async def wait(self) -> int:
        await asyncio.sleep(3_600)
        return 0


class Shared:
    """A gateway before a real runner with one slot, whose engine is known to do `capacity`."""

    def __init__(self, rig: Rig, folder: Path, capacity: float) -> None:
        self.rig = rig
        self.stop = asyncio.Event()
        socket = folder / "runner.sock"

        async def start() -> tuple[Turns, Any]:
            turns = Turns(1, SystemClock())
            turns._queue._queue_s_max = QUEUE_S
            turns._queue._capacity.units_per_s = capacity

            async def make() -> _Mortal:
                return _Mortal(slots=10, context_tokens=10**6, pace_s=0.05)

            runner = Runner(make, socket, SystemClock(), None, turns)  # type: ignore[arg-type]
            return turns, asyncio.ensure_future(runner.run(self.stop))

        self.turns, self.serving = rig.call(start())
        rig.engine = RemoteEngine(str(socket))  # type: ignore[assignment]
        rig.until(lambda: socket.exists())

    def ask(self, tokens: int) -> httpx.Response:
        body = {
            "model": MODEL,
            "max_tokens": tokens,
            "messages": [{"role": "user", "content": "Hi"}],
        }
        headers = {"authorization": f"Bearer {KEY}"}
        url = f"{self.rig.url}/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers, timeout=60)

    def refused_after(self, tokens: int) -> tuple[float, float]:
        """What one more request is told, and what the queue's own numbers come to. Seconds."""
        asking = [self.rig.begin(asyncio.to_thread(self.ask, 10_000)) for _ in range(2)]
        self.rig.until(lambda: self.turns.free == 0 and self.turns.waiting == 1)
        tenant = self.turns._queue._tenants["acme"]
        told = self.ask(tokens)
        assert told.status_code == 429
        rate = self.turns._queue._rate(tenant)
        assert rate is not None
        wanted = tokens + 0.25 * 2 / 4  # two bytes of prompt
        honest = tenant.queued / rate - QUEUE_S + wanted / rate
        self.rig.do(lambda: self.stop.set())
        for one in asking:
            one.result(60)
        return float(told.headers["retry-after"]), honest


@pytest.mark.parametrize(
    ("capacity", "promise"), [(20.0, 0.0), (5.0, 0.0), (20.0, 15.0), (1.0, 0.0)]
)
def test_retry_after_is_what_the_queue_computes(
    tmp_path: Path, capacity: float, promise: float
) -> None:
    """Four times slower is four times later; no constant would pass all of these."""
    with gateway() as rig:
        shared = Shared(rig, tmp_path, capacity)
        if promise:
            rig.do(lambda: shared.turns.share_out({"acme": Promise(promise)}))
        told, honest = shared.refused_after(40)
        # One tenant waits, so all of the capacity is its own, whether promised or not.
        assert honest == pytest.approx((64.125 + 40.125) / capacity - QUEUE_S, rel=0.02)
        assert told == math.ceil(max(1.0, honest))


def test_lines_of_a_batch_reach_the_queue_as_background() -> None:
    """Through the desk's own process, the frames and the runner. What a client asks does not."""
    with desk() as rig:
        client = openai.OpenAI(base_url=f"{rig.url}/v1", api_key=KEY, timeout=20)
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "me"}])
        (mine,) = rig.engine.requests
        assert (mine.tenant, mine.background) == ("acme", False)
        file = client.files.create(file=("in.jsonl", lines(3)), purpose="batch").id
        batch = client.batches.create(
            input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h"
        )
        rig.until(lambda: client.batches.retrieve(batch.id).status == "completed")
        marks = [(row.tenant, row.background) for row in rig.engine.requests[1:]]
        assert marks == [("acme", True)] * 3
