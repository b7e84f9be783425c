# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who begins handshakes at a door for machines and ends none keeps nobody out, for whatever long.

To see these tests fail I once broke the code: without a bound all 300 stayed; with the
oldest of all displaced, whoever came from elsewhere was; without its timeout a handshake stayed.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bastide.adapters.services import mutual_tls
from bastide.adapters.services.handshakes import Handshakes
from bastide.core.limits import SERVICE_HANDSHAKES_MAX
from bastide.core.spiffe import service_id
from paths.test_machine_door import ENVIRONMENT, World, credential, go

TOO_MANY = SERVICE_HANDSHAKES_MAX + 44

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """On the loop of control and runners, and on Python's own."""
    return request.param


async def silent(port: int, count: int, source: str = "127.0.0.1") -> list[Streams]:
    """Connections that say nothing."""
    place = {"local_addr": (source, 0)}
    return [await asyncio.open_connection("127.0.0.1", port, **place) for _ in range(count)]


async def cut(one: Streams) -> None:
    """Wait until the other end has cut a connection."""
    with contextlib.suppress(ConnectionError):
        assert await one[0].read() == b""


def ended(rows: list[Streams]) -> int:
    return sum(reader.at_eof() or reader.exception() is not None for reader, _ in rows)


@contextlib.asynccontextmanager
async def door(most: int, told: list[str]) -> AsyncGenerator[tuple[Handshakes, int]]:
    async def admit(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.close()

    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    context = mutual_tls.listening(credential("control", listens=True))
    made = Handshakes(bound, context, admit, lambda: told.append("crowded"), most)
    try:
        yield made, bound.getsockname()[1]
    finally:
        made.close()
        await asyncio.sleep(0)


@pytest.mark.attacks("C278")
def test_a_flood_of_handshakes_keeps_no_machine_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(world: World) -> None:
        shown = await world.join("b")
        rows = await silent(world.address[1], TOO_MANY)
        async with world.linked(shown) as control:
            assert (await control.ask("status", None))["environment"] == ENVIRONMENT
        while ended(rows) < TOO_MANY - SERVICE_HANDSHAKES_MAX:
            await asyncio.sleep(0.01)
        assert ended(rows[-SERVICE_HANDSHAKES_MAX // 2 :]) == 0, "the newest have their time"
        assert capsys.readouterr().err.count("door-crowded") == 1
        for _, writer in rows:
            writer.transport.abort()

    go(tmp_path, story)


@pytest.mark.attacks("C278")
def test_who_floods_displaces_their_own(run: Run) -> None:
    async def story() -> None:
        told: list[str] = []
        async with door(6, told) as (made, port):
            (slow,) = await silent(port, 1, "127.0.0.2")  # far away, and first of all
            flood = await silent(port, 40)
            while ended(flood) < 35:
                await asyncio.sleep(0.01)
            assert (made.going, ended([slow]), ended(flood)) == (6, 0, 35)
            assert told == ["crowded"]
            context = mutual_tls.connecting(credential("machine", "b"))
            heard = asyncio.Event()

            class Guest(asyncio.Protocol):
                def data_received(self, data: bytes) -> None:
                    assert data == b"welcome"
                    heard.set()

            expected = service_id(ENVIRONMENT, "control")
            await mutual_tls.dial(Guest, "127.0.0.1", port, context, expected)
            await heard.wait()
            for _, writer in flood:
                writer.transport.abort()
            slow[1].transport.abort()
            while made.going:
                await asyncio.sleep(0.01)
            flood = await silent(port, 7)
            await cut(flood[0])
            assert told == ["crowded"] * 2, "it was calm in between"

    run(asyncio.wait_for(story(), 60))


def test_a_handshake_that_trickles_is_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastide.adapters.services.handshakes.SERVICE_HANDSHAKE_S", 0.5)

    async def story() -> None:
        async with door(6, []) as (made, port):
            (one,) = await silent(port, 1)
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)

            async def trickle() -> None:
                for byte in hello * 1_000:
                    one[1].write(bytes([byte]))
                    await asyncio.sleep(0.2)

            trickling = asyncio.create_task(trickle())
            await cut(one)
            trickling.cancel()
            while made.going:  # it is told a moment later
                await asyncio.sleep(0.01)

    run(asyncio.wait_for(story(), 60))


def test_a_door_that_closes_cuts_its_handshakes(run: Run) -> None:
    async def story() -> None:
        async with door(6, []) as (made, port):
            (one,) = await silent(port, 1)
            while not made.going:
                await asyncio.sleep(0.01)
        await cut(one)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)

    run(asyncio.wait_for(story(), 60))
