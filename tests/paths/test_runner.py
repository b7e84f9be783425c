# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The runner: an engine dies under a stream, and service comes back by itself."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import uvloop

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.engine.fake import FakeEngine
from bastide.adapters.engine.remote import RemoteEngine
from bastide.app.runner import Runner
from bastide.core.chat import Delta, FinishReason, GenerateRequest, Sampling
from bastide.core.errors import Busy, Misconfigured, Refused, Unavailable
from bastide.dialects.frames import FrameReader, decode, encode
from contracts import smollm2

pytestmark = pytest.mark.filterwarnings("ignore:FakeEngine")

PATIENCE_S, STREAMS_MAX = 60.0, 64


def plain(text: str = "1, 2, 3, 4, 5, 6, 7,", **sampling) -> GenerateRequest:
    sampling = {"temperature": 0, "max_tokens": 4} | sampling
    return GenerateRequest("id", "model", prompt=text, sampling=Sampling(**sampling))


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def until_healthy(engine: RemoteEngine) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await engine.health()
            except Unavailable:
                await asyncio.sleep(0.02)


class Running:
    """A runner of engines that `make` gives, and a client of it."""

    def __init__(self, folder: str, make, on_loaded=None, **more) -> None:
        self.made: list = []
        self.socket = Path(folder) / "runner.sock"
        self.stop = asyncio.Event()
        self.client = RemoteEngine(str(self.socket))

        async def record():
            engine = await make()
            self.made.append(engine)
            return engine

        runner = Runner(record, self.socket, SystemClock(), on_loaded, **more)
        self.task = asyncio.ensure_future(runner.run(self.stop))


@contextlib.asynccontextmanager
async def running(make, on_loaded=None, **more) -> AsyncGenerator[Running]:
    with tempfile.TemporaryDirectory(prefix="runner-") as folder:
        world = Running(folder, make, on_loaded, **more)
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                await until(lambda: world.socket.exists() or world.task.done())
                yield world
        finally:
            await world.client.close()
            world.stop.set()
            with contextlib.suppress(Refused):
                await world.task


def fakes(**settings):
    async def make() -> FakeEngine:
        return FakeEngine(**settings)

    return make


def go(scenario) -> None:
    uvloop.run(scenario())


@pytest.mark.attacks("C47")
def test_a_killed_model_ends_its_streams_and_comes_back(capfd):
    """SmolLM2 in its sandbox is killed with SIGKILL in the middle of an answer."""

    async def scenario():
        loads = []

        async def loaded():
            loads.append(1)

        engine_folder = tempfile.TemporaryDirectory(prefix="engine-")
        with smollm2.weights() as descriptor, engine_folder as folder:

            async def make():
                return await smollm2.start(descriptor, folder, context_tokens=1_024)

            async with running(make, loaded) as world:
                await until_healthy(world.client)
                before = [delta async for delta in world.client.generate(plain())]
                deltas = world.client.generate(plain(max_tokens=900))
                assert (await anext(deltas)).text
                os.kill(world.made[0].pid, signal.SIGKILL)
                with pytest.raises(Unavailable, match="engine"):
                    async for _ in deltas:
                        pass
                with pytest.raises(Unavailable):
                    # Refused at once, and not only when the next engine is there.
                    while len(world.made) == 1:
                        await world.client.health()
                        await asyncio.sleep(0)
                await until_healthy(world.client)
                after = [delta async for delta in world.client.generate(plain())]
                assert "".join(d.text for d in after) == "".join(d.text for d in before)
                assert after[-1] == Delta(after[-1].text, FinishReason.LENGTH, before[-1].usage)
                assert len(world.made) == len(loads) == 2

    go(scenario)
    assert "the engine was killed by SIGKILL" in capfd.readouterr().err


@pytest.mark.attacks("C61")
def test_only_the_owner_may_open_the_socket():
    async def scenario():
        async with running(fakes()) as world:
            assert stat.S_IMODE(world.socket.stat().st_mode) == 0o600
        assert not world.socket.exists()

    go(scenario)


def test_it_takes_the_place_of_a_runner_that_was_killed():
    async def scenario():
        with tempfile.TemporaryDirectory(prefix="runner-") as folder:
            path = Path(folder) / "runner.sock"
            with socket.socket(socket.AF_UNIX) as left_behind:
                left_behind.bind(str(path))
            world = Running(folder, fakes())
            await until_healthy(world.client)
            world.stop.set()
            await world.task

    go(scenario)


def test_every_death_is_followed_by_a_new_engine():
    async def scenario():
        async with running(fakes()) as world:
            for life in range(1, 4):
                await until_healthy(world.client)
                assert len(world.made) == life
                world.made[-1].kill()
                await until(lambda count=life: len(world.made) > count)

    go(scenario)


def test_an_engine_that_does_not_start_is_tried_again():
    async def scenario():
        tries = []

        async def make():
            tries.append(1)
            if len(tries) < 3:
                raise Unavailable("not yet")
            return FakeEngine()

        async with running(make) as world:
            await until_healthy(world.client)
            assert len(tries) == 3

    go(scenario)


@pytest.mark.attacks("C31")
def test_an_engine_that_may_not_be_loaded_ends_the_runner():
    async def scenario():
        async def make():
            raise Refused("the release was withdrawn")

        async with running(make) as world:
            with pytest.raises(Refused, match="withdrawn"):
                await asyncio.wait_for(asyncio.shield(world.task), PATIENCE_S)
            assert not world.socket.exists()

    go(scenario)


def test_nothing_is_served_before_the_load_is_recorded():
    async def scenario():
        recorded = asyncio.Event()

        async with running(fakes(), recorded.wait) as world:
            await until(lambda: world.made)
            with pytest.raises(Unavailable, match="starting"):
                await world.client.health()
            recorded.set()
            await until_healthy(world.client)

    go(scenario)


def test_a_load_that_cannot_be_recorded_is_undone():
    async def scenario():
        async def never():
            raise Unavailable("control is down")

        async with running(fakes(), never) as world:
            await until(lambda: len(world.made) >= 2)
            with pytest.raises(Unavailable, match="control is down"):
                await world.client.health()
            assert await asyncio.wait_for(world.made[0].wait(), PATIENCE_S) == 0

    go(scenario)


def test_a_client_that_goes_away_frees_its_slots():
    async def scenario():
        async with running(fakes(slots=2, context_tokens=10**6, pace_s=0.005)) as world:
            await until_healthy(world.client)
            other = RemoteEngine(str(world.socket))
            answers = [other.generate(plain(max_tokens=5_000)) for _ in range(2)]
            for deltas in answers:
                await anext(deltas)
            assert world.made[0].busy == 2
            await other.close()
            await until(lambda: world.made[0].busy == 0)
            with pytest.raises(Unavailable):
                async for _ in answers[0]:
                    pass

    go(scenario)


def test_leaving_one_answer_stops_that_one_only():
    async def scenario():
        async with running(fakes(slots=2, context_tokens=10**6, pace_s=0.005)) as world:
            await until_healthy(world.client)
            first, second = (world.client.generate(plain(max_tokens=n)) for n in (50_000, 60))
            await anext(first)
            await anext(second)
            await first.aclose()
            rest = [delta async for delta in second]
            await until(lambda: world.made[0].busy == 0)
            assert rest[-1].usage is not None
            assert rest[-1].usage.completion_tokens == 60

    go(scenario)


class Counting(FakeEngine):
    """Counts what was taken from it."""

    given = 0

    async def generate(self, request):
        async for delta in super().generate(request):
            self.given += 1
            yield delta


def test_a_client_that_does_not_read_stops_the_engine():
    async def scenario():
        total = 100_000

        async def make():
            return Counting(context_tokens=10**6)

        async with running(make) as world:
            await until_healthy(world.client)
            reader, writer = await asyncio.open_unix_connection(str(world.socket), limit=1_024)
            writer.write(encode(1, "generate", plain(max_tokens=total)))
            engine, seen = world.made[0], -1
            while engine.given != seen:
                seen = engine.given
                await asyncio.sleep(0.5)
            assert 0 < seen < total // 2
            # What was held back is not lost.
            frames, texts = FrameReader(), 0
            while texts < total:
                for frame in frames.feed(await reader.read(65_536)):
                    texts += bool(decode(frame, Delta).text)
            writer.close()

    go(scenario)


def test_a_slow_consumer_gets_all_of_the_text():
    async def scenario():
        async with running(fakes(context_tokens=10**6)) as world:
            await until_healthy(world.client)
            request = plain(max_tokens=3_000)
            whole = [delta async for delta in FakeEngine(context_tokens=10**6).generate(request)]
            deltas = world.client.generate(request)
            first = await anext(deltas)
            await until(lambda: world.made[0].busy == 0)
            rest = [delta async for delta in deltas]
            texts = "".join(delta.text for delta in (first, *rest))
            assert texts == "".join(delta.text for delta in whole)
            assert len(rest) < 3_000
            assert rest[-1].usage == whole[-1].usage

    go(scenario)


def test_answers_may_end_when_the_runner_stops():
    async def scenario():
        async with running(fakes(context_tokens=10**6, pace_s=0.005)) as world:
            await until_healthy(world.client)
            deltas = world.client.generate(plain(max_tokens=40))
            await anext(deltas)
            world.stop.set()
            with pytest.raises(Unavailable, match="stopping"):
                while True:
                    await world.client.health()
                    await asyncio.sleep(0)
            rest = [delta async for delta in deltas]
            assert rest[-1].finish is FinishReason.LENGTH
            await asyncio.wait_for(world.task, PATIENCE_S)

    go(scenario)


async def talk(world: Running, *frames: bytes) -> bytes:
    """What comes back until the runner hangs up, or one frame."""
    reader, writer = await asyncio.open_unix_connection(str(world.socket))
    for frame in frames:
        writer.write(frame)
    try:
        return await asyncio.wait_for(reader.read(65_536), PATIENCE_S)
    finally:
        writer.close()


@pytest.mark.attacks("C47")
def test_a_client_that_breaks_the_rules_is_cut_off(capfd):
    async def scenario():
        endless = fakes(context_tokens=10**6, pace_s=0.01)
        async with running(endless, streams_max=STREAMS_MAX) as world:
            await until_healthy(world.client)
            long = plain(max_tokens=5_000)
            for frames in (
                [b"\xff\xff\xff\xff"],
                [b"\x00\x00\x00\x01\xc1"],
                [encode(0, "health")],
                [encode(1, "generate", long), encode(1, "generate", long)],
            ):
                assert await talk(world, *frames) == b""
            await until(lambda: world.made[0].busy == 0)
            await world.client.health()

    go(scenario)
    events = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert events.count("bad_client") == 4


def test_one_request_too_many_is_refused_and_the_others_go_on():
    async def scenario():
        endless = fakes(context_tokens=10**6, pace_s=0.01)
        async with running(endless, streams_max=STREAMS_MAX) as world:
            await until_healthy(world.client)
            reader, writer = await asyncio.open_unix_connection(str(world.socket))
            for number in range(STREAMS_MAX + 1):
                writer.write(encode(number + 1, "generate", plain(max_tokens=5_000)))
            cutter, refused, others = FrameReader(), [], []
            while not refused or not others:
                for frame in cutter.feed(await asyncio.wait_for(reader.read(65_536), PATIENCE_S)):
                    (refused if frame.kind == "error" else others).append(frame.stream)
                    assert frame.kind != "error" or decode(frame, tuple)[0] == Busy.code
            writer.close()
        assert refused == [STREAMS_MAX + 1]

    go(scenario)


def test_a_request_of_another_shape_is_answered_by_an_error():
    async def scenario():
        async with running(fakes()) as world:
            await until_healthy(world.client)
            for said in (("generate", {"ident": 1}), ("dance",), ("next_tokens", ["a prompt"])):
                (error,) = FrameReader().feed(await talk(world, encode(1, *said)))
                assert error.kind == "error"
                assert decode(error, tuple[str, str, float])[0] == Misconfigured.code

    go(scenario)
