# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a machine keeps of sealed objects: what its own deployments need, and nothing else."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from bastide.app.config import Home, Settings
from bastide.app.machine_agent import _Agent
from bastide.app.machine_home import MachineHome
from bastide.app.machine_objects import drop_unneeded
from bastide.app.node_broker import objects_of
from bastide.core.errors import NotProven
from bastide.core.key import Purpose
from bastide.core.snapshot import Snapshot
from bastide.core.subject import Digest
from bastide.stages import deploy
from unit.chain_fixture import make_chain

WRITE, EARLIER = "ab" * 16, "cd" * 16


def brought(home: Home, *names: str) -> list[Path]:
    """Bodies of objects, and beginnings of others of them, as a machine has them."""
    made = []
    for name in names:
        folder = home.machine / "fetched" / Digest.of(name.encode()).hex
        made += [home.store / f"{name}.{WRITE}.body", folder / EARLIER]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sealed")
    return made


def test_what_no_deployment_needs_is_removed(tmp_path: Path) -> None:
    chain, home = make_chain(tmp_path, plan_changes={"machine": "b"}, receipts=1), Home(tmp_path)
    ledger, row = chain.world.ledger, chain.rows["deployment"]
    needed = objects_of(ledger, row)
    kept = brought(home, *needed)
    gone = brought(home, "models/replaced", "bundles/replaced")
    assert drop_unneeded(home, ledger, "b") == len(gone)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    # On a machine that no deployment names, and on this one once its deployment has ended.
    assert drop_unneeded(home, ledger, "c") == len(kept)
    kept = brought(home, *needed)
    deploy.end(ledger, row, "replaced", chain.world.signers[Purpose.EVIDENCE], chain.world.clock)
    assert drop_unneeded(home, ledger, "b") == len(kept)
    assert not any(path.exists() for path in kept)


def test_nothing_is_removed_where_the_ledger_does_not_say_what_is_needed(tmp_path: Path) -> None:
    changes = {"machine": "b", "release": str(Digest.of(b"of no release"))}
    chain, home = make_chain(tmp_path, plan_changes=changes, receipts=1), Home(tmp_path)
    kept = brought(home, "models/a")
    with pytest.raises(NotProven, match="names no release"):
        drop_unneeded(home, chain.world.ledger, "b")
    assert all(path.exists() for path in kept)


def test_a_removal_that_failed_is_tried_again_after_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain, home = make_chain(tmp_path, plan_changes={"machine": "b"}, receipts=1), Home(tmp_path)
    clock, (body, *_) = chain.world.clock, brought(home, "models/replaced")
    body.unlink()
    body.mkdir()  # nothing that can be unlinked
    places = {"control": "127.0.0.1:1", "runner_listen": "127.0.0.1:2-3"}
    settings = Settings("test", node="c", **places)  # type: ignore[arg-type]
    none = cast(Any, None)  # it follows nothing here

    async def story() -> None:
        agent = _Agent(home, settings, MachineHome(home), none, chain.world.ledger, clock)

        async def told() -> str:
            await agent._tidy(Snapshot(1, 0, "", ""))
            return capsys.readouterr().err

        first = await told()
        assert '"bodies-kept"' in first and body.name in first, "it says which"
        body.rmdir()
        body.write_bytes(b"sealed")
        assert not await told(), "a minute has not passed"
        assert body.exists()
        clock.advance(60_000)
        assert '"bodies-dropped"' in await told()
        assert not body.exists()
        assert not await told()

    asyncio.run(story())
