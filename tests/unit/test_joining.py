# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A node keeps its quote fresh, and ends before the quote does; its keys leave it never."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app.joining import Node, kept_attested
from bastide.core.errors import NotProven, Refused, Unavailable
from bastide.crypto.base64url import b64url
from unit.node_fixture import EVENT

LIFE_MS = 600_000


class FakeAttester:
    """Answers at once; remembers what it measured and what it was asked to quote."""

    kind = "tpm2"

    def __init__(self) -> None:
        self.events: list[dict[str, str]] = []
        self.quoted: list[bytes] = []

    def identify(self) -> dict[str, bytes]:
        return {"ek": b"ek", "ak": b"ak"}

    def measure(self, event: Any) -> None:
        self.events.append(dict(event))

    def answer(self, challenge: Any) -> bytes:
        return challenge["blob"]

    def quote(self, qualifying: bytes) -> dict[str, bytes]:
        self.quoted.append(qualifying)
        return {"quote": qualifying}

    def close(self) -> None:
        pass


class FakeControl:
    """Control that says yes, or what `trouble` raises."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.joins: list[dict[str, Any]] = []
        self.times: list[int] = []
        self.asked: list[str] = []
        self.trouble: Callable[[], Exception | None] = lambda: None

    async def ask(self, kind: str, body: Any) -> Any:
        self.asked.append(kind)
        error = self.trouble()
        if error is not None:
            raise error
        if kind == "node-challenge":
            nonce = f"{len(self.asked):064x}"
            return {"nonce": nonce, "blob": b64url(b"blob"), "secret": b64url(b"secret")}
        if kind == "node-join":
            self.joins.append(body)
            self.times.append(self.clock.now_ms())
            number = len(self.joins)
            return {
                "statement": f"sha256:{number:064x}",
                "expires_ms": self.clock.now_ms() + LIFE_MS,
            }
        return {"models/1": b64url(b"header")}


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> tuple[Node, FakeControl, FakeAttester, FixedClock]:
    clock = FixedClock()
    control, attester = FakeControl(clock), FakeAttester()
    about = ("node-1", "sha256:" + "d" * 64, 1)
    node = Node(control, attester, *about, EVENT, SeededEntropy(b"node"), clock)
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        """Time passes at once."""
        clock.advance(round(seconds * 1000))
        await real(0)

    monkeypatch.setattr("bastide.app.joining.asyncio.sleep", sleep)
    return node, control, attester, clock


def test_it_measures_before_it_quotes_and_says_nothing_secret(rig: Any) -> None:
    node, control, attester, _ = rig
    headers = asyncio.run(node.headers())
    assert headers == {"models/1": b"header"}
    assert attester.events == [EVENT]
    (told,) = control.joins
    assert told["keys"] == node.keys.public()
    assert told["answer"] == b64url(b"blob")
    secret = node.keys.age.secret()
    assert secret not in str(told) and secret not in repr(node.keys)
    raw = node.keys.hpke.private_bytes_raw()
    assert raw.hex() not in str(told) and b64url(raw) not in str(told)


def test_headers_are_asked_anew_without_a_new_quote(rig: Any) -> None:
    node, control, _, clock = rig

    async def twice() -> None:
        await node.headers()
        clock.advance(LIFE_MS // 2 - 1)
        await node.headers()
        assert len(control.joins) == 1
        clock.advance(1)
        await node.headers()

    asyncio.run(twice())
    assert len(control.joins) == 2


def test_it_quotes_again_at_half_of_a_quotes_life_about_the_same_keys(rig: Any) -> None:
    node, control, attester, _ = rig

    async def live() -> None:
        await node.join()
        keeping = asyncio.create_task(node.keep())
        while len(control.joins) < 4:
            await asyncio.sleep(0)
        keeping.cancel()

    asyncio.run(live())
    steps = {later - earlier for earlier, later in itertools.pairwise(control.times)}
    assert steps == {LIFE_MS // 2}
    assert len({str(told["keys"]) for told in control.joins}) == 1
    assert len(set(attester.quoted)) == len(control.joins), "each is about its own nonce"
    assert node.statement == f"sha256:{len(control.joins):064x}"


@pytest.mark.attacks("C170")
def test_while_control_is_away_it_tries_and_ends_before_its_quote_does(rig: Any) -> None:
    node, control, _, clock = rig

    async def live() -> None:
        await node.join()
        expires = clock.now_ms() + LIFE_MS
        control.trouble = lambda: Unavailable("control does not answer")
        with pytest.raises(NotProven, match="quote has expired: control does not answer"):
            await node.keep()
        assert clock.now_ms() < expires
        assert control.asked.count("node-challenge") > 100

    asyncio.run(live())


def test_it_goes_on_when_control_comes_back(rig: Any) -> None:
    node, control, _, clock = rig

    async def live() -> None:
        await node.join()
        away = clock.now_ms() + LIFE_MS * 3 // 4
        control.trouble = lambda: Unavailable("away") if clock.now_ms() < away else None
        keeping = asyncio.create_task(node.keep())
        while len(control.joins) < 3 and not keeping.done():
            await asyncio.sleep(0)
        assert not keeping.done()
        keeping.cancel()

    asyncio.run(live())


def test_a_refusal_ends_it_at_once(rig: Any) -> None:
    node, control, _, _ = rig
    stop = asyncio.Event()

    async def live() -> None:
        async with kept_attested(node, stop):
            await node.join()
            control.trouble = lambda: Refused("the node node-1 is not allowed")
            await stop.wait()

    with pytest.raises(Refused, match="is not allowed"):
        asyncio.run(live())


def test_a_runner_that_stops_waits_for_no_quote(rig: Any) -> None:
    node, *_ = rig

    async def live() -> None:
        async with kept_attested(node, asyncio.Event()):
            pass  # it never joined
        async with kept_attested(None, asyncio.Event()):
            pass

    asyncio.run(live())
