# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Runners that answer elsewhere from now on: a new engine is made, and nobody loses the old one."""

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from bastide.core.guard import GuardPolicy
from bastide.core.snapshot import Snapshot
from paths.gateway_rig import (
    MODEL,
    bugs,
    gateway,
    make_snapshot,
    read_response,
    request_bytes,
)

GUARD = json.dumps(GuardPolicy.from_json({"in": {"iban": "refuse"}}).to_json())
LONG = "Some words that are not short. " * 60_000  # a guard reads this for a while
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": LONG}]},
    "/v1/embeddings": {"input": LONG},
}


def at(version: int, socket: str, embeds: bool) -> Snapshot:
    known = make_snapshot(version)
    served = dataclasses.replace(known.served[MODEL], socket=socket, embeds=embeds)
    return dataclasses.replace(known, served={MODEL: served}, guards={"*": GUARD})


@pytest.mark.parametrize("path", ASKED)
def test_who_is_still_in_its_guard_is_answered_by_the_engine_that_it_was_let_in_to(
    path: str,
) -> None:
    embeds = path.endswith("embeddings")
    with gateway() as rig:

        async def move() -> bool:
            """In the moment in which the request was let in; whether its engine is there yet."""
            while not rig.sockets:
                await asyncio.sleep(0)
            there = at(3, "there.sock", embeds)
            rig.control.publish(there)
            rig.pool.engine(there.served[MODEL], there)  # as for another request
            for _ in range(3):
                await asyncio.sleep(0)  # what that began has ended
            assert not rig.engine.requests, "the guard was too quick to show anything"
            return not rig.engine.closed

        rig.do(lambda: rig.control.publish(at(2, "here.sock", embeds)))
        with rig.connect() as talking:
            moved = rig.begin(move())
            body = json.dumps({"model": MODEL, **ASKED[path]}).encode()
            talking.sendall(request_bytes(body, path=path))
            assert moved.result(30)
            assert read_response(talking).status == 200
        assert rig.sockets == ["here.sock", "there.sock"]
        rig.until(lambda: rig.engine.closed)
        assert bugs(rig) == []
