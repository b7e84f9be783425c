# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Children that cannot be started are started again, and the log says why they were not.

To see it fail I once let `_keep` catch nothing: the child was never started again.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.app.children import Child, Children
from bastide.app.config import Home
from bastide.core.errors import Unavailable


def test_a_child_whose_start_fails_is_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    home.run.mkdir()  # but no folder for logs
    locked = True

    def orders() -> dict[str, Any]:
        if locked:
            raise Unavailable("the keyring is locked")
        return {"told": "all"}

    async def told(what: str) -> list[dict[str, Any]]:
        """The log's lines, once one has this in it."""
        rows: list[str] = []
        async with asyncio.timeout(30):
            while not any(what in row for row in rows):
                await asyncio.sleep(0.02)
                rows += capsys.readouterr().err.splitlines()
        return [json.loads(row) for row in rows]

    async def run() -> None:
        nonlocal locked
        children = Children(home, SystemClock(), lambda _: {}, "machine")
        # What prints its orders: the standard library's.
        children.start(Child("one", "json.tool", orders))
        rows = await told("No such file")
        assert (rows[0]["event"], rows[0]["child"]) == ("not-started", "one")
        home.log.mkdir()
        assert {row["service"] for row in await told("the keyring is locked")} == {"machine"}
        locked = False
        ended = await told('"status": 0')
        assert ended[-1]["why"] == "it ended with status 0"
        assert json.loads((home.log / "one.log").read_text().partition("}")[0] + "}")["told"]
        assert children.restarts()["one"] >= 3
        await children.stop(["one"])

    asyncio.run(run())
