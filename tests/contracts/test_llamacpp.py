# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp in its sandbox: what the Engine port does not ask but its safety rests on."""

import asyncio
import contextlib
import ctypes
import mmap
import os
import tempfile
from pathlib import Path

import pytest

from bastide.adapters.engine import llamacpp_child
from bastide.core.chat import GenerateRequest, Sampling
from bastide.core.errors import NotProven, Unavailable
from contracts import smollm2


async def say(engine, prompt: str, count: int = 1) -> str:
    request = GenerateRequest("id", "m", prompt=prompt, sampling=Sampling(max_tokens=count))
    return "".join([delta.text async for delta in engine.generate(request)])


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
def test_it_runs_in_every_sandbox_and_closes_in_peace(sandbox):
    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(descriptor, folder, sandbox=sandbox, slots=1)
            try:
                socket = Path(folder, "engine.sock").stat()
                assert socket.st_mode & 0o077 == 0
                assert [path.name for path in Path(folder).iterdir()] == ["engine.sock"]
                assert await say(engine, "The capital of France is")
                assert "xllamacpp" in engine.version
            finally:
                await engine.close()
            return await engine.wait()

    assert asyncio.run(scenario()) == 0


def test_it_ends_when_whoever_started_it_lets_go():
    """The lifeline alone is enough, whatever becomes of signals."""

    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(descriptor, folder, slots=1)
            os.close(engine._life._lifeline)
            engine._life._lifeline = None
            return await asyncio.wait_for(engine.wait(), 60)

    assert asyncio.run(scenario()) == 0


@pytest.mark.attacks("C41")
def test_a_prompt_is_not_looked_up_among_earlier_ones():
    """Else one tenant could tell by the time, and by the usage, what another has asked."""

    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(descriptor, folder, slots=1)
            request = GenerateRequest("id", "m", prompt="word " * 100, sampling=Sampling(1))
            try:
                return [
                    [
                        delta.usage.cached_tokens
                        async for delta in engine.generate(request)
                        if delta.usage is not None
                    ]
                    for _ in range(2)
                ]
            finally:
                await engine.close()

    answers = asyncio.run(scenario())
    assert len(answers) == 2
    for cached in answers:
        assert cached and set(cached) == {0}


@pytest.mark.attacks("C70")
def test_weights_that_are_not_proven_are_never_opened():
    """The jail is up by then; it ends, and nothing listens."""

    async def refuse():
        await asyncio.sleep(0.3)
        raise NotProven("another digest")

    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor, pytest.raises(NotProven, match="another digest"):
                await smollm2.start(descriptor, folder, slots=1, proven=refuse())
            return list(Path(folder).iterdir())

    assert asyncio.run(scenario()) == []


def test_half_a_character_is_no_next_token_and_no_failure():
    """The likeliest token after this prompt is the first byte of a letter."""

    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(descriptor, folder, slots=1)
            try:
                return await engine.next_tokens("Prancūzijos sostinė yra", 5)
            finally:
                await engine.close()

    assert asyncio.run(scenario()) == []


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
def test_a_file_that_is_no_model_does_not_start(sandbox):
    async def scenario():
        descriptor = os.memfd_create("bad")
        try:
            os.write(descriptor, b"GGUF" + bytes(200))
            with tempfile.TemporaryDirectory(prefix="engine-") as folder:
                await smollm2.start(descriptor, folder, sandbox=sandbox)
        finally:
            os.close(descriptor)

    with pytest.raises(Unavailable, match="did not start"):
        asyncio.run(scenario())


@pytest.mark.attacks("C45")
def test_the_engine_can_neither_execute_nor_make_executable_memory():
    """The second filter, which the child installs itself before it reads the model."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            libc.prctl(38, 1, 0, 0, 0)
            llamacpp_child._seal()
            mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE).close()
            with contextlib.suppress(PermissionError):
                mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)
                os._exit(2)
            with contextlib.suppress(PermissionError):
                os.execv("/bin/true", ["true"])
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
