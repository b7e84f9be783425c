# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A machine that joined asks control all it can, and keeps nobody else from the ledger."""

import asyncio
import dataclasses
import json
import socket
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.services import mutual_tls
from bastide.app.machine_guests import reads
from bastide.core import apikey
from bastide.core.limits import (
    MACHINE_ASKS_MAX,
    MACHINE_UNREAD_BYTES_MAX,
)
from bastide.core.service import Credential
from bastide.core.spiffe import service_id
from bastide.dialects import frames
from paths.cut_rig import enrol
from paths.demo import environment
from paths.gateway_rig import PEPPER
from paths.test_machine_door import ENVIRONMENT, World, go

DRIVER = Path(__file__).parent / "flood_driver.py"
CONNECTIONS = 24
ROUNDS = 5
PATIENCE_S = 10


async def flooding(world: World, shown: Credential, asks: Any) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(DRIVER),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**environment()},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    host, port = world.address
    told = {
        "host": host,
        "port": port,
        "expected": service_id(ENVIRONMENT, "control"),
        "credential": dataclasses.astuple(shown),
        "connections": CONNECTIONS,
        "asks": asks,
    }
    process.stdin.write(json.dumps(told).encode() + b"\n")
    assert await process.stdout.readline() == b"begun\n"
    return process


@pytest.mark.attacks("C278")
def test_a_flood_of_a_machine_keeps_no_gateway_from_a_new_key(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        b, c = await world.join("b"), await world.join("c")
        deployment = world.inner.deployment
        asks = [
            ("status", None),
            ("ledger", {"base": 0, "from": 0}),
            ("share-minute", {"deployment": deployment}),
            ("receipt", {}),
            ("object", {"deployment": deployment, "name": "models/m.x.body", "at": 0}),
        ]
        gateway = await world.inner.linked()
        flood = await flooding(world, b, asks)
        try:
            await asyncio.sleep(2)  # what it asked piles up, if it piles up
            # A tenth of a second each; without the bounds not one comes in a minute. So nothing
            # is timed here that a busy machine could make late.
            for _ in range(ROUNDS):
                key = apikey.make(SystemEntropy().token)
                enrol(world.inner.chain, key, "acme", "*")
                async with asyncio.timeout(PATIENCE_S):
                    while (
                        gateway.snapshot is None
                        or apikey.mac(PEPPER, key) not in gateway.snapshot.keys
                    ):
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
            # Another machine is answered, too.
            async with world.linked(c) as control:
                await control.ask("status", None)
            assert flood.returncode is None
        finally:
            flood.kill()
            await flood.wait()
            await gateway.close()

    go(tmp_path, story)


@pytest.mark.attacks("C278")
def test_a_machine_has_so_many_connections_and_another_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 6  # as many handshakes as there may be connections take long
    monkeypatch.setattr("bastide.app.machine_guests.MACHINE_CONNECTIONS_MAX", most)

    async def story(world: World) -> None:
        shown = await world.join("b")
        context, expected = mutual_tls.connecting(shown), service_id(ENVIRONMENT, "control")
        heard = [Heard() for _ in range(most + 2)]
        for one in heard:
            await mutual_tls.dial(lambda one=one: one, *world.address, context, expected)
        while not all(one.told or one.ended for one in heard):
            await asyncio.sleep(0.05)
        assert sum(one.ended for one in heard) == 2
        async with world.linked(await world.join("c")) as control:
            await control.ask("status", None)
        for one in heard:
            one.transport.abort()
        while not all(one.ended for one in heard):
            await asyncio.sleep(0.05)
        async with world.linked(shown) as control:  # its part is free again
            await control.ask("status", None)

    go(tmp_path, story)


@pytest.mark.attacks("C278")
def test_what_a_machine_does_not_read_is_not_answered_without_end(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        context = mutual_tls.connecting(await world.join("b"))
        deaf = Heard(deaf=True)
        place = *world.address, context, service_id(ENVIRONMENT, "control")
        await mutual_tls.dial(lambda: deaf, *place)
        deaf.transport.write(frames.encode(1, "ledger", {"base": 0, "from": 0}) * 20_000)

        def answering() -> int:
            return sum("Control._reply" in repr(row) for row in asyncio.all_tasks())

        while not answering():  # how soon it begins, the machine's load decides
            await asyncio.sleep(0.01)
        most = 0
        for _ in range(200):
            await asyncio.sleep(0.01)
            most = max(most, answering())
        assert 0 < most <= MACHINE_ASKS_MAX
        deaf.transport.abort()

    go(tmp_path, story)


@pytest.mark.attacks("C278")
def test_a_machine_that_reads_no_snapshot_is_cut(tmp_path: Path) -> None:
    async def story() -> None:
        ours, theirs = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"x" * MACHINE_UNREAD_BYTES_MAX)
        assert reads(writer, 1)
        writer.write(b"x" * MACHINE_UNREAD_BYTES_MAX)
        assert not reads(writer, 1)
        assert writer.is_closing()
        theirs.close()

    uvloop.run(story())


class Heard(asyncio.Protocol):
    """A connection, and whether control said anything, or ended it."""

    def __init__(self, deaf: bool = False) -> None:
        self._deaf = deaf
        self.told = self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's have another class
        if self._deaf:
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.told = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
