# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which failed starts of a runner on another machine cost the bodies that it fetched.

To see these tests fail I once broke the code: without `prove_stated` in `Away.verify_stated` a key
that counts no more cost the weights, and without `drop` a damaged body stayed for ever.
"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app import runner_main, wiring, wiring_store
from bastide.app.config import Home, Settings
from bastide.app.loading import bundle_name
from bastide.app.machine_runner import Away
from bastide.core.errors import NotProven
from bastide.core.snapshot import Snapshot
from bastide.crypto import age
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import DATABASE_KEY
from unit.test_standing_machines import stolen

SETTINGS = Settings("test", control="127.0.0.1:1", runner_listen="127.0.0.1:42410-42460")


class Start:
    """A runner that has joined as a node and fetched its bundle, and is about to load."""

    def __init__(self, folder: Path) -> None:
        self.chain: ChainWorld = make_chain(folder, plan_changes={"machine": "b"}, receipts=1)
        self.home = Home(folder)
        identity = age.HybridIdentity(SystemEntropy().token(32))
        name = bundle_name(self.chain.rows["release"].subject.digest)
        given = (self.home.store, (identity.secret(),), (), SystemEntropy())
        store = wiring.open_store(*given, tuple)
        store.put(name, [b"bundle"])
        self.headers = {name: store.header(name)}
        self.body = self.home.store / wiring_store.body_name(name, self.headers[name])
        self.asked = 0

        async def headers() -> dict[str, bytes]:
            self.asked += 1
            return self.headers

        self.node: Any = SimpleNamespace(keys=SimpleNamespace(age=identity), headers=headers)

    def load(self) -> str:
        """Why it is not loaded."""
        deployment = self.chain.rows["deployment"].subject.digest
        keyring: Any = SimpleNamespace(secret=lambda _: DATABASE_KEY)
        jail: Any = None  # no engine is started here

        async def run() -> None:
            away = Away(self.home, SETTINGS, str(deployment), SystemClock())
            size = self.chain.world.ledger.size
            away.control = SimpleNamespace(snapshot=Snapshot(size, 0, "test", "policy"))  # type: ignore[assignment]
            given = (self.home, SETTINGS, keyring, jail, self.home.run, deployment)
            await runner_main._load(*given, self.node, away, SystemClock())

        with pytest.raises(NotProven) as refused:
            asyncio.run(run())
        return refused.value.message


def test_what_the_ledger_does_not_prove_costs_no_body(tmp_path: Path) -> None:
    start = Start(tmp_path)
    stolen(start.chain.world, 1)
    assert "is not enrolled" in start.load()
    assert start.body.exists()
    assert start.asked == 0, "nothing is fetched for what may not be served"


def test_a_body_that_does_not_open_is_fetched_again(tmp_path: Path) -> None:
    start = Start(tmp_path)
    sealed = bytearray(start.body.read_bytes())
    sealed[-1] ^= 1
    start.body.write_bytes(sealed)
    assert bundle_name(start.chain.rows["release"].subject.digest) in start.load()
    assert not start.body.exists()
