# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""When a gateway promises, and when its answers wait instead."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.control.memory import MemoryControl
from bastide.app.config import Settings
from bastide.app.promises import delegate
from bastide.core.key import Purpose
from bastide.core.limits import PROMISE_CONFIRM_S, PROMISE_KEY_S, PROMISE_RETRY_S
from bastide.core.receipt import Receipt
from bastide.crypto.promises import open_promise
from bastide.gateway import promising
from bastide.gateway.promising import PROMISE_HEADER, Promised, Promises
from unit.ledger_fixture import make_signer

EVIDENCE = make_signer("evidence", Purpose.EVIDENCE)


class Control(MemoryControl):
    """Delegates keys as control does, if it is set up to promise."""

    mode = "promised"
    asked = 0

    async def ask(self, kind: str, body: Any) -> Any:
        assert kind == "promise-key"
        self.asked += 1
        settings = Settings(environment="test", receipts=self.mode)
        return delegate(settings, body, EVIDENCE, self._clock.now_ms())


class World:
    def __init__(self) -> None:
        self.clock = FixedClock()
        self.control = Control(self.clock)
        self.logged: list[str] = []
        self.promises = Promises(
            self.control, self.clock, b"s" * 32, lambda event, **_: self.logged.append(event)
        )
        self._numbers = iter(range(1_000_000))

    async def put(self) -> str | None:
        """Put a receipt: its promise, empty if it was waited for, None if it waits still."""
        ident = f"r_{next(self._numbers):026}"
        receipt = Receipt(
            ident, self.clock.now_ms(), "t", "k", "m", "r", "d", "p", "n", "s", "pc", "ac", 1, 2,
            "stop",
        )  # fmt: skip
        sink = Promised(self.promises, self.control)
        waiting = asyncio.ensure_future(sink.put(receipt))
        await asyncio.sleep(0.02)
        if not waiting.done():
            waiting.cancel()
            return None
        await waiting
        return dict(sink.headers(())).get(PROMISE_HEADER, "")


def go(story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        world = World()
        await story(world)
        world.control.confirming.set()
        await world.promises.settle(1)

    asyncio.run(run())


def test_the_first_answer_waits_for_the_key_and_the_next_does_not() -> None:
    async def story(world: World) -> None:
        assert await world.put() == ""
        world.control.confirming.clear()
        text = await world.put()
        assert text
        promise = open_promise(text, "test", EVIDENCE.public)
        assert promise.time_ms == world.clock.now_ms()
        assert world.control.asked == 1

    go(story)


def test_a_key_is_delegated_anew_before_its_day_is_over() -> None:
    async def story(world: World) -> None:
        await world.put()
        world.clock.advance(int(PROMISE_KEY_S * 500) + 1)
        assert await world.put()
        assert world.control.asked == 2
        world.clock.advance(int(PROMISE_KEY_S * 1_000) + 1)
        world.control.mode = "durable"  # control does not delegate any more
        for _ in range(3):
            assert await world.put() == ""
            world.clock.advance(int(PROMISE_RETRY_S * 1_000) + 1)
        assert world.logged == ["promises-refused"] * 3

    go(story)


def test_no_more_is_promised_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promising, "PROMISES_MAX", 3)

    async def story(world: World) -> None:
        await world.put()
        world.control.confirming.clear()
        assert [bool(await world.put()) for _ in range(3)] == [True] * 3
        assert await world.put() is None
        world.control.confirming.set()
        await asyncio.sleep(0.02)
        assert await world.put()

    go(story)


def test_once_control_is_late_answers_wait_until_all_is_confirmed() -> None:
    async def story(world: World) -> None:
        await world.put()
        world.control.confirming.clear()
        assert await world.put()
        world.clock.advance(int(PROMISE_CONFIRM_S * 1_000) + 1)
        assert await world.put() is None
        world.control.confirming.set()
        await asyncio.sleep(0.02)
        assert await world.put()
        assert world.logged == ["promises-paused", "promises-resumed"]

    go(story)


def test_a_receipt_that_control_did_not_take_is_put_again() -> None:
    async def story(world: World) -> None:
        await world.put()
        world.control.fault = "away"
        text = await world.put()
        assert text
        ident = open_promise(text, "test", EVIDENCE.public).receipt
        assert ident not in [row.ident for row in world.control.receipts]
        world.control.fault = None
        assert await world.put() == ""  # not before the other is confirmed
        await asyncio.sleep(PROMISE_RETRY_S + 0.1)
        assert ident in [row.ident for row in world.control.receipts]
        assert await world.put()

    go(story)
