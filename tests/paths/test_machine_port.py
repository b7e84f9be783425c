# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control's port for machines: what is none of it goes on without it, and it holds up no end.

To see these tests fail I once broke the code: without `except` in `_listen` control ended; without
`abort` who was connected stayed so.
"""

import asyncio
import socket
from pathlib import Path

import pytest
import uvloop

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.services import mutual_tls
from bastide.adapters.store.local import LocalStore
from bastide.app.config import Settings
from bastide.app.control_far import FarDoor
from bastide.app.founding import free_address
from bastide.app.machine_broker import MachineBroker
from bastide.app.machines import machine_statement
from bastide.app.setting_checks import split_address
from bastide.core.key import Purpose
from bastide.core.service import Caller
from bastide.core.spiffe import service_id
from bastide.crypto import p256, service_x509
from paths.test_machine_door import ENVIRONMENT, SECRET, World, credential, go
from unit.ledger_fixture import make_ledger


def test_a_taken_port_stops_nothing_and_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = socket.create_server(("127.0.0.1", 0))

    async def story(world: World) -> None:
        await asyncio.sleep(1.5)
        assert (await world.inner.link.ask("status", None))["environment"] == ENVIRONMENT
        said = [row for row in capsys.readouterr().err.splitlines() if "does-not-listen" in row]
        assert len(said) == 1, "once, not at each try"
        assert "Address already in use" in said[0]
        taken.close()
        async with world.linked(await world.join("b")) as control:
            assert (await control.ask("status", None))["environment"] == ENVIRONMENT

    with taken:
        go(tmp_path, story, f"127.0.0.1:{taken.getsockname()[1]}")


def test_nobody_who_is_connected_holds_up_its_end(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    settings = Settings(ENVIRONMENT, control_listen=free_address(0))
    broker = MachineBroker(
        world.ledger, world.records, settings, SECRET,
        lambda: world.signers[Purpose.EVIDENCE], LocalStore(tmp_path / "store"), lambda _: [],
        SystemClock(), SystemEntropy(),
    )  # fmt: skip
    secret = p256.secret_from(SystemEntropy().token(48))
    key = str(service_x509.key_of(service_x509.public_of(secret)))
    for kind, more in (("machine/v1", {"expires_ms": 1}), ("machine-key/v1", {"key": key})):
        stated = machine_statement(kind, "b", 1, invitation=key, **more)
        world.ledger.append_statement(stated, [world.signers[Purpose.EVIDENCE]])
    came, lost = asyncio.Event(), asyncio.Event()

    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter, ___: Caller) -> None:
        came.set()
        await asyncio.Event().wait()

    class Peer(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set()

    async def run() -> None:
        running = asyncio.create_task(FarDoor(settings, broker, SystemClock()).run(serve))
        context = mutual_tls.connecting(credential("machine", "b", key=secret))
        place = (*split_address(settings.control_listen), context)
        async with asyncio.timeout(20):
            while not came.is_set():
                await asyncio.sleep(0.05)
                try:
                    await mutual_tls.dial(Peer, *place, service_id(ENVIRONMENT, "control"))
                except OSError:
                    continue  # it does not listen yet
                await came.wait()
        running.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait((running,))
            await lost.wait()

    uvloop.run(run())
