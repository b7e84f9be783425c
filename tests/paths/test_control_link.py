# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ControlLink over a real Unix socket: snapshots, receipts, broken connections."""

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.control import link as link_module
from bastide.adapters.control.link import ControlLink
from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotProven,
    Unavailable,
)
from bastide.core.receipt import Receipt
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.dialects import frames

CLOCK = FixedClock()
SNAPSHOT = Snapshot(
    version=5,
    issued_ms=CLOCK.now_ms(),
    environment="test",
    policy="sha256:00",
    keys={"00ff": KeyGrant("k_1", "acme", ("*",))},
)


def receipt(number: int) -> Receipt:
    return Receipt(
        f"r_{number}", 1, "t", "k", "m", "r", "d", "p", "n", "s", "pc", "ac", 1, 2, "stop"
    )


class Peer:
    """The control side: keeps what comes, answers as `reply` says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: list[frames.Frame] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.snapshot: Snapshot | None = SNAPSHOT
        self.reply: Callable[[frames.Frame], tuple[str, Any] | None] = lambda frame: ("ok", None)
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._talk, self.path)

    async def go_away(self) -> None:
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    def push(self, snapshot: Snapshot) -> None:
        for writer in self.writers:
            writer.write(frames.encode(0, "snapshot", snapshot))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if self.snapshot is not None:
            writer.write(frames.encode(0, "snapshot", self.snapshot))
        incoming = frames.FrameReader()
        try:
            while data := await reader.read(65_536):
                for frame in incoming.feed(data):
                    self.frames.append(frame)
                    answer = self.reply(frame)
                    if answer is not None:
                        writer.write(frames.encode(frame.stream, *answer))
        except ConnectionError:
            pass


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def linked() -> AsyncGenerator[tuple[ControlLink, Peer]]:
    # A socket's path is short (unix(7)); pytest's own folders may not be.
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(Path(folder) / "control.sock")
        await peer.listen()
        link = ControlLink(str(peer.path), CLOCK)
        await link.start()
        await until(lambda: peer.writers)
        try:
            yield link, peer
        finally:
            await link.close()
            await peer.go_away()


def run(story: Callable[[ControlLink, Peer], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with linked() as (link, peer):
            await story(link, peer)

    uvloop.run(whole())


@pytest.mark.attacks("C166")
def test_many_snapshots_hold_what_is_equal_in_them_once() -> None:
    """An answer that runs for minutes holds the snapshot of its begin, and another one its own."""

    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        first = link.snapshot
        peer.push(dataclasses.replace(SNAPSHOT, issued_ms=SNAPSHOT.issued_ms + 1))
        await until(lambda: link.snapshot is not first)
        second = link.snapshot
        assert first is not None and second is not None
        assert second.issued_ms == SNAPSHOT.issued_ms + 1
        assert second.keys is first.keys
        keys = {**SNAPSHOT.keys, "11ff": KeyGrant("k_2", "acme", ("*",))}
        peer.push(dataclasses.replace(SNAPSHOT, version=6, issued_ms=9**13, keys=keys))
        await until(lambda: link.snapshot is not second)
        assert link.snapshot is not None
        assert set(link.snapshot.keys) == {"00ff", "11ff"}
        assert link.snapshot.served is first.served

    run(story)


def test_the_snapshot_arrives_and_is_replaced() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        assert link.snapshot == SNAPSHOT
        assert link.received_at == CLOCK.monotonic()
        fresh = dataclasses.replace(SNAPSHOT, version=6, issued_ms=SNAPSHOT.issued_ms + 1, keys={})
        peer.push(fresh)
        await until(lambda: link.snapshot == fresh)

    run(story)


def test_a_snapshot_is_as_old_as_its_date() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        old = dataclasses.replace(SNAPSHOT, version=6, issued_ms=SNAPSHOT.issued_ms - 60_000)
        peer.push(old)
        await until(lambda: link.snapshot == old)
        assert link.received_at == CLOCK.monotonic() - 60

    run(story)


def test_older_and_repeated_snapshots_renew_nothing() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        received_at = link.received_at
        later = SNAPSHOT.issued_ms + 500
        peer.push(dataclasses.replace(SNAPSHOT, version=4, issued_ms=later))
        peer.push(dataclasses.replace(SNAPSHOT, keys={}))
        await link.put(receipt(1))  # frames arrive in order: both were read before the answer
        assert link.snapshot == SNAPSHOT
        assert link.received_at == received_at

    run(story)


def test_receipts_are_sent_without_waiting_for_each_other() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        peer.reply = lambda frame: None
        puts = [asyncio.ensure_future(link.put(receipt(number))) for number in range(50)]
        await until(lambda: len(peer.frames) == 50)
        assert not any(put.done() for put in puts)
        sent = [frames.decode(frame, Receipt) for frame in peer.frames]
        assert sent == [receipt(number) for number in range(50)]
        # Answered backwards, each goes to the one that waits for it.
        for frame in reversed(peer.frames[1:]):
            peer.writers[0].write(frames.encode(frame.stream, "ok"))
        await asyncio.gather(*puts[1:])
        assert not puts[0].done()
        peer.writers[0].write(
            frames.encode(peer.frames[0].stream, "error", ("refused", "it is there already"))
        )
        with pytest.raises(Unavailable, match="there already"):
            await puts[0]

    run(story)


def test_questions_and_errors() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        peer.reply = lambda frame: ("status", {"entries": 3})
        assert await link.ask("status", None) == {"entries": 3}
        peer.reply = lambda frame: ("error", ("not-found", "no such thing"))
        with pytest.raises(NotFound, match="no such thing"):
            await link.ask("status", None)
        peer.reply = lambda frame: ("error", ("from-the-future", "new"))
        with pytest.raises(Unavailable):
            await link.ask("status", None)

    run(story)


def test_it_connects_again_and_what_was_unanswered_fails() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        peer.reply = lambda frame: None
        lost = asyncio.ensure_future(link.put(receipt(1)))
        await until(lambda: peer.frames)
        await peer.go_away()
        with pytest.raises(Unavailable, match="broke"):
            await lost
        peer.reply = lambda frame: ("ok", None)
        waiting = asyncio.ensure_future(link.put(receipt(2)))
        await peer.listen()
        await waiting
        assert frames.decode(peer.frames[-1], Receipt) == receipt(2)

    run(story)


def test_why_it_failed_once_is_not_told_once_it_has_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "CONTROL_TIMEOUT_S", 0.2)

    async def story(link: ControlLink, peer: Peer) -> None:
        failures: list[BastideError] = [NotProven("another answers there")]

        async def dial(make: Callable[[], asyncio.Protocol]) -> Any:
            if failures:
                raise failures.pop()
            return (await asyncio.get_running_loop().create_unix_connection(make, peer.path))[1]

        second = ControlLink(dial, CLOCK)
        await second.start()
        await until(lambda: second.snapshot)
        peer.reply = lambda frame: None
        with pytest.raises(Unavailable) as caught:
            await second.ask("status", None)
        assert caught.value.message == "control does not answer"
        await second.close()

    run(story)


def test_who_is_refused_gets_an_error_of_its_own_each_time() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        for writer in peer.writers:
            writer.write(frames.encode(0, "refused", ("not-allowed", "it was removed")))
        await until(lambda: link.refused)
        errors = []
        for _ in range(2):
            with pytest.raises(NotAllowed, match="it was removed") as caught:
                await link.ask("status", None)
            errors.append(caught.value)
        assert errors[0] is not errors[1], "it would keep the place of each caller"

    run(story)


@pytest.mark.parametrize("breaks", [True, False], ids=["broke", "late"])
def test_so_does_who_waits_already(monkeypatch: pytest.MonkeyPatch, breaks: bool) -> None:
    """Refused in a connection that then breaks, or in one that came to nothing."""
    monkeypatch.setattr(link_module, "CONTROL_TIMEOUT_S", 0.5)

    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        peer.reply = lambda frame: None
        if not breaks:
            await peer.go_away()
            await until(lambda: not link._connected.is_set())
        waiting = [asyncio.ensure_future(link.ask("status", None)) for _ in range(2)]
        if breaks:
            await until(lambda: len(peer.frames) == 2)
            for writer in peer.writers:
                writer.write(frames.encode(0, "refused", ("not-allowed", "it was removed")))
            await until(lambda: link.refused)
            await peer.go_away()
        else:
            await asyncio.sleep(0)  # they wait for a connection
            (frame,) = frames.FrameReader().feed(frames.encode(0, "refused", ("not-allowed", "x")))
            link._take(frame)
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(type(error) is NotAllowed for error in errors)
        assert len({id(error) for error in (*errors, link.refused)}) == 3

    run(story)


@pytest.mark.parametrize(
    "noise",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\1\xc1",
        frames.encode(0, "snapshot", {"version": "x"}),
        frames.encode(0, "snapshot", None),
    ],
    ids=["long", "malformed", "wrong", "empty"],
)
def test_a_peer_that_talks_nonsense_is_left_and_called_again(noise: bytes) -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        first = peer.writers[0]
        first.write(noise)
        await until(lambda: len(peer.writers) == 2)
        await link.put(receipt(1))
        assert link.snapshot == SNAPSHOT

    run(story)


def test_a_closed_link_gives_up_its_waiters() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        peer.reply = lambda frame: None
        lost = asyncio.create_task(link.ask("status", None))
        await until(lambda: peer.frames)
        await link.close()
        with pytest.raises(Unavailable):
            await lost

    run(story)


def test_unknown_pushes_are_ignored() -> None:
    async def story(link: ControlLink, peer: Peer) -> None:
        await until(lambda: link.snapshot)
        peer.writers[0].write(frames.encode(0, "weather", "rain") + frames.encode(99, "ok"))
        await link.put(receipt(1))
        with pytest.raises(Misconfigured):
            frames.decode(peer.frames[0], str)

    run(story)
