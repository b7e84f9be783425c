# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The runner's side of sealed mode, on a clock of our own: what it opens, what it holds a request
to, and what it says outside.

To see these tests fail I once broke the code: without the check of the time, without the one of
the model, and with the guard left out, the test of that name failed.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import structs

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.control.memory import MemoryControl
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app import sealed_door
from bastide.app.sealed_door import SealedDoor, Served
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Sampling, Usage
from bastide.core.errors import BastideError, Busy, NotProven, Unavailable
from bastide.core.sealed import SUITE, Sealed, bound
from bastide.core.snapshot import Snapshot
from bastide.crypto.base64url import b64url, unb64url
from bastide.crypto.sealing import AnswerOpener, Kind, seal_request

KEY = X25519PrivateKey.from_private_bytes(b"k" * 32)
NODE = KEY.public_key().public_bytes_raw()
MODEL, SECRET = "smollm2", b"s" * 32
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
GUARD = json.dumps({"in": {"email": "mask"}, "out": {}, "links": {"hosts": []}})


class Engine:
    """Says its words, and notes what it was asked."""

    def __init__(self) -> None:
        self.words = ["Hel", "lo ", "there"]
        self.asked: list[GenerateRequest] = []
        self.ends = FinishReason.LENGTH
        self.fault: Exception | None = None

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        self.asked.append(request)
        for number, word in enumerate(self.words):
            yield Delta(word, usage=Usage(5, number + 1))
        if self.fault is not None:
            raise self.fault
        yield Delta("", self.ends, Usage(5, len(self.words)))


class World:
    def __init__(self, clock: FixedClock | None = None, **snapshot: Any) -> None:
        self.clock, self.engine = clock or FixedClock(), Engine()
        about: dict[str, Any] = {"version": 1, "issued_ms": 1, "environment": "e", "policy": "p"}
        control = MemoryControl(self.clock, Snapshot(**about, **snapshot))
        served = Served("sha256:d", MODEL, "sha256:r")
        self.control = control
        self.door = SealedDoor(KEY, served, control, self.clock, SeededEntropy(b"door"))

    def seal(
        self, body: Any = CHAT, path: str = "/v1/chat/completions", most: int = 16, **more: Any
    ) -> GenerateRequest:
        content = json.dumps({"path": path}).encode() + b"\n" + json.dumps(body).encode()
        return self.seal_content(content, most, **more)

    def seal_content(
        self, content: bytes, most: int = 16, late_ms: int = 0, node: bytes = NODE
    ) -> GenerateRequest:
        named = b64url(NODE)
        info = bound(SUITE, named, 1, MODEL, most)
        sealed = seal_request(node, info, SECRET, self.clock.now_ms() + late_ms, content)
        return GenerateRequest(
            "id", MODEL, prompt=b64url(sealed), sampling=Sampling(max_tokens=most),
            tenant="acme", sealed=Sealed(SUITE, named, 1),
        )  # fmt: skip

    def deltas(self, request: GenerateRequest) -> list[Delta]:
        async def all_of() -> list[Delta]:
            return [delta async for delta in self.door.answer(request, self.engine)]

        return asyncio.run(all_of())

    def opened(self, request: GenerateRequest) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
        """Head, body and end; and nothing outside tells more than that it ended."""
        deltas = self.deltas(request)
        assert [delta.finish for delta in deltas if delta.finish] == [FinishReason.STOP]
        opener = AnswerOpener(SECRET, unb64url(request.prompt or ""))
        text = "".join(delta.text for delta in deltas)
        rows = [row for line in text.splitlines() if (row := opener.open(line)) is not None]
        assert opener.ended and rows[0][0] is Kind.HEAD and rows[-1][0] is Kind.END
        body = b"".join(data for kind, data in rows if kind in (Kind.BODY, Kind.CLOSING))
        return json.loads(rows[0][1]), body, json.loads(rows[-1][1])


def test_an_answer_is_in_the_dialect_inside_and_its_end_says_what_it_was() -> None:
    world = World()
    head, body, end = world.opened(world.seal())
    assert head["status"] == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "Hello there"
    assert end["finish"] == "length" and end["receipt"] == "r_id"
    assert (end["prompt_tokens"], end["completion_tokens"]) == (5, 3)
    (asked,) = world.engine.asked
    assert (asked.tenant, asked.sealed, asked.standing) == ("acme", None, None)
    assert asked.messages[0].content == "Hello"
    head, body, _ = world.opened(world.seal({**CHAT, "stream": True}))
    assert ["content-type", "text/event-stream; charset=utf-8"] in head["headers"]
    assert body.count(b"data: ") > 3 and body.endswith(b"data: [DONE]\n\n")


def test_a_request_is_opened_once_and_in_its_time() -> None:
    world = World()
    request = world.seal()
    world.opened(request)
    with pytest.raises(NotProven, match="came before"):
        world.deltas(request)
    for late_ms in (-120_001, 120_001):
        with pytest.raises(NotProven, match="its time is more than"):
            world.deltas(world.seal(late_ms=late_ms))
    old = world.seal()
    world.clock.advance(120_500)
    with pytest.raises(NotProven, match="its time is more than"):
        world.deltas(old)
    assert len(world.engine.asked) == 1


@pytest.mark.attacks("C226")
def test_replays_are_known_until_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten is too old to be opened; what cannot be remembered is not answered."""
    monkeypatch.setattr(sealed_door, "SEALED_SEEN_MAX", 2)
    world = World()
    world.opened(world.seal(late_ms=119_000))
    kept = world.seal(late_ms=119_000)
    world.opened(kept)
    with pytest.raises(Busy):
        world.deltas(world.seal())
    world.clock.advance(238_000)
    with pytest.raises(NotProven, match="came before"):
        world.deltas(kept)
    world.clock.advance(3_000)
    world.opened(world.seal())


class SetBack(FixedClock):
    """A machine whose clock somebody sets. What has passed since it began, nobody can."""

    def __init__(self) -> None:
        super().__init__()
        self.set_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.set_ms


@pytest.mark.attacks("C246")
def test_no_request_is_answered_twice_whatever_the_clock_is_set_to() -> None:
    """Root on the node's machine keeps requests, waits, sets the clock back, and sends them."""
    world = World(clock=SetBack())
    recorded = [world.seal(late_ms=late_ms) for late_ms in (-100_000, 0, 100_000)]
    for request in recorded:
        world.opened(request)
    for waited_ms in (1_000, 239_000, 2_000, 86_400_000):
        world.clock.advance(waited_ms)
        world.clock.set_ms -= waited_ms  # what the machine says it is now: as at the beginning
        for request in recorded:
            with pytest.raises(NotProven, match=r"came before|this node has forgotten"):
                world.deltas(request)
    # The clock is right again, and so is what clients ask.
    world.clock.set_ms = 0
    world.opened(world.seal())


def test_a_clock_that_is_right_refuses_nobody() -> None:
    """A client that is 2 min behind, after one that is 2 min ahead was forgotten."""
    world = World()
    world.opened(world.seal(late_ms=119_999))
    world.clock.advance(240_001)
    world.opened(world.seal(late_ms=-120_000))


@pytest.mark.attacks("C225")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sealed": Sealed(SUITE, b64url(b"x" * 32), 1)}, "to another node"),
        ({"sealed": Sealed("other", b64url(NODE), 1)}, "to another node"),
        ({"sealed": Sealed(SUITE, b64url(NODE), 2)}, "it was changed"),
        ({"sealed": None}, "to another node"),
        ({"model": "dearer"}, "it was changed"),
        ({"sampling": Sampling(max_tokens=17)}, "it was changed"),
        ({"prompt": "AAAA"}, "it was changed"),
    ],
)
def test_what_stands_outside_is_bound(changes: dict[str, Any], words: str) -> None:
    world = World()
    with pytest.raises(NotProven, match=words):
        world.deltas(structs.replace(world.seal(), **changes))
    assert not world.engine.asked


def test_what_is_sealed_to_another_does_not_open() -> None:
    world, other = World(), X25519PrivateKey.from_private_bytes(b"o" * 32)
    with pytest.raises(NotProven, match="it was changed"):
        world.deltas(world.seal(node=other.public_key().public_bytes_raw()))


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({**CHAT, "model": "dearer"}, "/v1/chat/completions", "another model than it says"),
        ({**CHAT, "max_tokens": 17}, "/v1/chat/completions", "says outside that it has at most 16"),
        ({**CHAT, "messages": 1}, "/v1/chat/completions", "messages"),
        ({"model": MODEL, "input": "x"}, "/v1/embeddings", "and nothing else"),
        (CHAT, "/sealed/v1/answers", "and nothing else"),
        (CHAT, "/nowhere", "and nothing else"),
    ],
)
def test_what_is_wrong_inside_is_told_inside(body: Any, path: str, words: str) -> None:
    world = World()
    head, told, end = world.opened(world.seal(body, path))
    assert head["status"] == 400 and words in told.decode()
    assert end["completion_tokens"] == 0 and not world.engine.asked


@pytest.mark.parametrize("wrong", [{"max_tokens": 17}, {"messages": 1}])
def test_what_is_wrong_inside_is_told_in_the_dialect_inside(wrong: dict[str, Any]) -> None:
    world = World()
    head, told, _ = world.opened(world.seal({**CHAT, **wrong}, "/v1/messages"))
    assert head["status"] == 400
    assert json.loads(told)["type"] == "error", "as Anthropic's SDK reads it"


def test_what_is_no_request_is_told_inside() -> None:
    world = World()
    for content in (b"", b"{}\n{}", b"\xff\xfe\n", b'{"path": "/v1/chat/completions", "x": 1}\n{}'):
        head, _, _ = world.opened(world.seal_content(content))
        assert head["status"] == 400


def test_without_a_limit_inside_the_outer_one_counts() -> None:
    world = World()
    world.opened(world.seal({key: CHAT[key] for key in ("model", "messages")}))
    assert world.engine.asked[0].sampling.max_tokens == 16


def test_the_tenants_guard_is_applied_and_only_the_end_says_what_it_found() -> None:
    world = World(guards={"acme": GUARD})
    messages = [{"role": "user", "content": "Write to jan.kowalski@example.org now"}]
    _, _, end = world.opened(world.seal({**CHAT, "messages": messages}))
    assert "jan.kowalski" not in world.engine.asked[0].messages[0].content
    assert any(row.startswith("in:email") for row in end["guard"]), end["guard"]
    world = World(guards={"acme": GUARD.replace("mask", "refuse")})
    head, told, end = world.opened(world.seal({**CHAT, "messages": messages}))
    assert head["status"] == 400 and b"content_filter" in told and not world.engine.asked


def test_without_word_from_control_nothing_is_answered() -> None:
    world = World()
    world.control.snapshot = None
    with pytest.raises(Unavailable, match="no word from control"):
        world.deltas(world.seal())


@pytest.mark.parametrize("error", [Unavailable("died"), Busy("full")])
def test_an_engine_that_fails_leaves_no_end(error: BastideError) -> None:
    world = World()
    world.engine.fault = error
    with pytest.raises(Unavailable):
        world.deltas(world.seal({**CHAT, "stream": True}))


def test_an_engine_that_says_that_it_failed_is_not_called_whole() -> None:
    world = World()
    world.engine.ends = FinishReason.ERROR
    assert world.deltas(world.seal())[-1].finish is FinishReason.ERROR
