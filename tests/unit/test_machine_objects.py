# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a machine keeps of sealed objects: what its own deployments need, and nothing else."""

from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.machine_objects import drop_unneeded
from bastide.app.node_broker import objects_of
from bastide.core.errors import NotProven
from bastide.core.key import Purpose
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
