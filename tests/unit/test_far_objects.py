# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Which objects a machine gets is found once for many pieces, and anew when the ledger has grown.

To see these tests fail I once broke the code: without the ledger's size in what is remembered, a
deployment that had ended gave its objects on; without the memory each piece was looked up.
"""

from pathlib import Path

import pytest
from sqlalchemy import event

from bastide.adapters.clock.system import SystemClock
from bastide.app.config import Home, Settings, write_settings
from bastide.app.control_far import open_far_door
from bastide.core.errors import Refused
from bastide.core.key import Purpose
from bastide.core.service import Caller
from bastide.stages import deploy
from unit.chain_fixture import make_chain


def test_what_a_deployment_needs_is_found_once_until_the_ledger_grows(tmp_path: Path) -> None:
    chain, home = make_chain(tmp_path, plan_changes={"machine": "b"}, receipts=1), Home(tmp_path)
    world, row = chain.world, chain.rows["deployment"]
    settings = Settings("test", control_listen="127.0.0.1:1")
    home.config.write_text(write_settings(settings))
    body = home.store / "models" / "1.abc.body"
    body.parent.mkdir(parents=True)
    body.write_bytes(b"sealed")
    signer = world.signers[Purpose.EVIDENCE]
    given = (world.ledger, world.records, SystemClock())
    door = open_far_door(home, settings, "11" * 32, lambda: signer, *given)
    assert door is not None
    caller = Caller("machine", machine="b")
    asked = {"deployment": str(row.subject.digest), "name": "models/1.abc.body", "at": 0}
    reads: list[str] = []

    @event.listens_for(world.records, "before_cursor_execute")
    def count(_: object, __: object, statement: str, *___: object) -> None:
        if "entry" in statement and "data" in statement:
            reads.append(statement)

    found = []
    for _ in range(3):
        assert door.answers["object"](caller, asked) == {"size": 6, "data": b"sealed"}
        found.append(len(reads))
    assert found[0] > 0
    assert found == found[:1] * 3, "the ledger was read again for each piece"
    deploy.end(world.ledger, row, "replaced", signer, world.clock)
    with pytest.raises(Refused, match="no active deployment"):
        door.answers["object"](caller, asked)
