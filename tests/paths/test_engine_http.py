# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Asking an engine over HTTP: when what was asked for is surely over.

A slot goes to the next request only then, or the engine could read one tenant's prompt into the
slot of another (docs/adr/0023-prefix-cache.md).
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.engine.http1 import UnixHttp

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"
PATIENCE_S = 20


class World:
    """A server that begins to answer when it is told to, and a client."""

    def __init__(self, path: str) -> None:
        self.http = UnixHttp(path, idle_max=2)
        self.asked, self.begin, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.answer = HEAD + b"text"
        self.told: list[bool] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await self.begin.wait()
        writer.write(self.answer)
        if not self.answer:
            writer.close()
        await reader.read()
        self.gone.set()
        writer.close()

    async def ask(self) -> bytes:
        async with self.http.ask("GET", "/", over=self.told.append) as answer:
            assert self.told == []
            return await answer.read()


def run(scenario: Callable[[World], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        with tempfile.TemporaryDirectory(prefix="http-") as folder:
            path = str(Path(folder, "engine.sock"))
            world = World(path)
            server = await asyncio.start_unix_server(world.serve, path)
            async with asyncio.timeout(PATIENCE_S):
                try:
                    return await scenario(world)
                finally:
                    world.http.close()
                    server.close()

    return asyncio.run(whole())


def test_an_answer_that_was_read_is_over():
    async def scenario(world: World) -> list[bool]:
        world.begin.set()
        assert await world.ask() == b"text"
        return world.told

    assert run(scenario) == [True]


def test_who_leaves_before_the_answer_begins_goes_at_once_and_it_is_over_when_it_has_begun():
    async def scenario(world: World) -> list[bool]:
        task = asyncio.ensure_future(world.ask())
        await world.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert world.told == []  # the engine has the request, and may yet begin
        world.begin.set()
        await world.gone.wait()  # it was told to stop
        return world.told

    assert run(scenario) == [True]


def test_who_leaves_after_the_answer_has_begun_is_over_at_once():
    async def scenario(world: World) -> list[bool]:
        world.begin.set()
        world.answer = HEAD
        task = asyncio.ensure_future(world.ask())
        await world.asked.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait((task,))
        await world.gone.wait()
        return world.told

    assert run(scenario) == [True]


@pytest.mark.parametrize("leaves", [False, True])
def test_a_connection_that_breaks_before_the_answer_begins_leaves_it_open(leaves):
    """Nobody knows what became of the request: it is told so, once."""

    async def scenario(world: World) -> list[bool]:
        world.answer = b""
        task = asyncio.ensure_future(world.ask())
        await world.asked.wait()
        if leaves:
            task.cancel()
        world.begin.set()
        await asyncio.wait((task,))
        while not world.told:
            await asyncio.sleep(0.01)
        return world.told

    assert run(scenario) == [False]
