# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a runner's link does at its limit, on the loop of the services.

Broken once to prove the second test: without the look at `is_closing`, `take` raises RuntimeError.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bastide.app.runner_link import RunnerLink
from bastide.dialects.frames import Frame, FrameReader


async def never(_: RunnerLink, __: Frame) -> None:
    raise AssertionError("no request is taken")


async def one_too_many(socket: Path, gone: bool) -> bytes:
    """Send a link that takes no request one; what its client reads. gone: after it was cut."""
    taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = RunnerLink(writer, never, 0, None)
        try:
            if gone:
                link.abort()
                await writer.wait_closed()
            link.take(Frame(7, "generate", b""))
            taken.set_result(None)
        except Exception as error:
            taken.set_exception(error)
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, socket):
        reader, writer = await asyncio.open_unix_connection(socket)
        await taken
        told = await reader.read()
        writer.close()
    return told


def test_more_than_it_takes_is_told_as_busy(tmp_path: Path) -> None:
    frames = list(FrameReader(100).feed(uvloop.run(one_too_many(tmp_path / "s", False))))
    assert [(frame.stream, frame.kind) for frame in frames] == [(7, "error")]


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_nothing_is_written_to_who_is_gone(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, bytes]], bytes]
) -> None:
    assert run(one_too_many(tmp_path / "s", True)) == b""
