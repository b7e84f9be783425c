# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One receipt that cannot be booked is refused alone: others in its group are not."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
import uvloop
from msgspec import structs

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.adapters.engine.llamacpp_wire import AnswerReader
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.app.config import Home, Settings
from bastide.app.control import Control
from bastide.core.errors import Unavailable
from paths.passes import callers, passing
from unit.chain_fixture import ChainWorld, make_chain

BAD = ({"completion_tokens": 2**60}, {"prompt_tokens": -1}, {"time_ms": 2**62})


async def put_together(chain: ChainWorld, folder: Path) -> list[BaseException | None]:
    """Put two good receipts and the bad ones at once; what came of each."""
    home = Home(folder)
    home.run.mkdir()
    keyring = MemoryKeyring.generate((), SeededEntropy(b"control"))
    settings = Settings(environment="test.example/receipts")
    ledger = chain.world.ledger
    known = callers(ledger)
    control = Control(ledger, chain.book, keyring, settings, SystemClock(), callers=known)
    stop = asyncio.Event()
    running = asyncio.create_task(control.run(home, stop))
    link = ControlLink(str(home.control_socket), SystemClock(), credential=passing("gateway"))
    await link.start()
    first = chain.receipts[0]
    changes = ({}, *BAD, {})
    given = [
        structs.replace(first, ident=f"r_{number:026}", **change)
        for number, change in enumerate(changes)
    ]
    try:
        return await asyncio.gather(*map(link.put, given), return_exceptions=True)
    finally:
        await link.close()
        stop.set()
        await running


def test_a_bad_receipt_does_not_spoil_its_group(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    first, *bad, last = uvloop.run(put_together(chain, tmp_path))
    assert (first, last) == (None, None)
    assert [type(error) for error in bad] == [Unavailable] * len(BAD)
    assert chain.book.find(f"r_{len(BAD) + 1:026}").finish == chain.receipts[0].finish
    chain.book.audit()


@pytest.mark.parametrize("count", [-1, 2**60, 2**70])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_an_engine_cannot_count_what_no_receipt_holds(name: str, count: int) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, name: count}
    choice = {"delta": {}, "finish_reason": "stop"}
    line = b"data: " + json.dumps({"choices": [choice], "usage": usage}).encode()
    with pytest.raises(Unavailable, match="malformed"):
        AnswerReader().feed(line)
    fine = AnswerReader()
    good = {"prompt_tokens": 1, "completion_tokens": 2}
    fine.feed(b"data: " + msgspec.json.encode({"choices": [choice], "usage": good}))
    assert fine.last().usage is not None
