# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What control states reaches every gateway and every replica within a second; real processes."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bastide.core import apikey
from bastide.core.subject import Digest
from paths.cut_rig import MODEL, enrol, state
from paths.gateway_rig import KEY, STRANGE_KEY, request_bytes
from paths.streams_rig import asking, listen
from paths.test_cut_replicas import REPLICAS, World, world

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:FakeEngine")]

REACHES_S = 1.0  # the promise
LOOK_S = 0.02
NEW_KEY = STRANGE_KEY  # well formed, and not enrolled before this test does it


async def status(port: int, key: str, path: str = "/v1/models") -> int:
    """What a gateway answers to a question that needs a key."""
    method, body = ("GET", b"") if path == "/v1/models" else ("POST", b'{"input": "Hi"}')
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = request_bytes(body, path=path, key=key, method=method, headers="Connection: close\r\n")
    writer.write(asked)
    said = await reader.readline()
    writer.close()
    return int(said.split()[1])


async def everywhere(known: Callable[[], Awaitable[bool]]) -> float:
    """How many seconds it took until it was known."""
    began = time.monotonic()
    async with asyncio.timeout(20):
        while not await known():
            await asyncio.sleep(LOOK_S)
    return time.monotonic() - began


def shares(made: World, number: int) -> list[dict[str, float]]:
    """Of one replica: what is promised, what was taken here, and what it heard of elsewhere."""
    runner = made.runners[number]
    assert runner.stdin is not None and runner.stdout is not None
    runner.stdin.write("shares\n")
    runner.stdin.flush()
    return json.loads(runner.stdout.readline())


def promise(made: World, tokens_per_s: float) -> None:
    state(
        made.controlled.chain, "share/v1", f"acme/{MODEL}", {"share": ["acme", MODEL]},
        tenant="acme", deployment=MODEL, tokens_per_s=tokens_per_s, burst_s=1.0, weight=1.0,
    )  # fmt: skip


async def changes(made: World) -> dict[str, float]:
    """How long each kind of change took to be everywhere."""
    chain, seconds = made.controlled.chain, dict[str, float]()

    def answered(wanted: int, **ask: Any) -> Callable[[], Awaitable[bool]]:
        async def known() -> bool:
            said = await asyncio.gather(*(status(port, **ask) for port in made.ports))
            return said == [wanted] * len(made.ports)

        return known

    def promised(tokens_per_s: float) -> Callable[[], Awaitable[bool]]:
        async def known() -> bool:
            told = [shares(made, number)[0] for number in range(REPLICAS)]
            return told == [{"acme": tokens_per_s}] * REPLICAS

        return known

    assert await answered(401, key=NEW_KEY)()
    ident = enrol(chain, NEW_KEY, "acme", "*")
    seconds["a key"] = await everywhere(answered(200, key=NEW_KEY))
    for tokens_per_s in (5.0, 7.0):
        promise(made, tokens_per_s)
        seconds[f"a share of {tokens_per_s}"] = await everywhere(promised(tokens_per_s))
    assert await answered(404, key=KEY, path="/v1/moderations")()
    whose = {"guard": "acme"}
    state(
        chain, "guard/v1", "acme", whose, tenant="acme", policy={"out": {"iban": "mask"}},
    )  # fmt: skip
    seconds["a policy"] = await everywhere(answered(200, key=KEY, path="/v1/moderations"))
    state(
        chain, "api-key-revocation/v1", ident, {"key": ident}, key=apikey.ident_of(NEW_KEY),
        reason="lost",
    )  # fmt: skip
    seconds["a revocation"] = await everywhere(answered(401, key=NEW_KEY))
    return seconds


async def taken_is_told(made: World) -> None:
    """What one replica gives under a promise, each of the others hears within a second."""
    ask, _ = asking(MODEL, 3)
    heard = await asyncio.gather(*(listen(made.ports[0], asyncio.Semaphore(0), ask) for _ in "ab"))
    assert all(one.ended for one in heard)

    async def told() -> bool:
        rows = [shares(made, number) for number in range(REPLICAS)]
        here = [row[1].get("acme", 0.0) for row in rows]
        elsewhere = [row[2].get("acme", 0.0) for row in rows]
        return sum(here) > 0 and all(
            abs(sum(here) - own - others) < 1e-6
            for own, others in zip(here, elsewhere, strict=True)
        )

    assert await everywhere(told) <= REACHES_S


@pytest.mark.attacks("C197")
def test_every_change_is_known_to_all_gateways_and_replicas_within_a_second() -> None:
    async def scenario() -> None:
        async with world() as made:
            # Each replica and gateway serves this very plan.
            served = made.controlled.link.snapshot
            assert served is not None
            assert served.served[MODEL].deployment == str(Digest.parse(made.controlled.deployment))
            seconds = await changes(made)
            assert max(seconds.values()) <= REACHES_S, seconds
            await taken_is_told(made)

    asyncio.run(scenario())
