# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which process gets which keys: with attestation no runner gets one of the store's."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.app.children import Child, Children
from bastide.app.config import Home, Settings, write_settings
from bastide.app.supervisor import Supervisor
from bastide.core.key import Purpose
from bastide.core.snapshot import Served, Snapshot
from bastide.ports import Keyring

SERVED = Served(
    name="demo",
    release="sha256:" + "a" * 64,
    deployment="sha256:" + "b" * 64,
    socket="1.sock",
    node="node-1",
    sandbox="bubblewrap",
    slots=1,
    context_tokens=64,
    created_s=0,
)


class Watched(Children):
    """Starts nothing, and remembers what it would have started."""

    started: ClassVar[list[Child]] = []

    def start(self, child: Child) -> None:
        self.started.append(child)


def orders(tmp_path: Path, attestation: str, served: Served = SERVED) -> tuple[Keyring, Keyring]:
    """The keyrings of control and of a runner."""
    home = Home(tmp_path)
    home.config.write_text(write_settings(Settings("test", attestation=attestation)))
    source = SeededEntropy(b"keys")
    keyring = MemoryKeyring.generate((), source)
    Watched.started.clear()
    supervisor = Supervisor(home, lambda: keyring, FixedClock(), Watched)
    snapshot = Snapshot(1, 0, "test", "policy", served={"demo": served})
    asyncio.run(supervisor._runners.reconcile(snapshot))
    (runner,) = Watched.started
    told = (supervisor._control_keys(), runner.orders())
    control, runner_keys = (MemoryKeyring.from_portion(row["keys"]) for row in told)
    return control, runner_keys


@pytest.mark.attacks("C152")
@pytest.mark.parametrize("attestation", ["", "tpm2"])
def test_the_store_opens_in_control_or_in_runners(tmp_path: Path, attestation: str) -> None:
    control, runner = orders(tmp_path, attestation)
    assert bool(control.identities()) is bool(attestation)
    assert bool(runner.identities()) is not bool(attestation)
    assert runner.secret(Purpose.DATABASE) == control.secret(Purpose.DATABASE)
    assert runner.signers(Purpose.EVIDENCE) == ()


@pytest.mark.attacks("C173")
def test_where_the_policy_asks_for_nodes_no_setting_gives_runners_the_store(tmp_path: Path) -> None:
    _, runner = orders(tmp_path, "", replace(SERVED, attested=()))
    assert runner.identities() == ()
