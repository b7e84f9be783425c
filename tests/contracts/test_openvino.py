# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenVINO in its sandbox: what the Engine port does not ask but its safety rests on."""

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from bastide.adapters.engine import life, openvino, openvino_child
from bastide.adapters.engine.starting import started
from bastide.core.chat import EmbedRequest, FinishReason, GenerateRequest, Sampling
from bastide.core.errors import Misconfigured, NotProven
from bastide.ports import Jail
from contracts import smollm2
from contracts.test_engine import plain


async def say(engine, prompt: str, count: int = 1) -> str:
    request = GenerateRequest("id", "m", prompt=prompt, sampling=Sampling(count, temperature=0))
    return "".join([delta.text async for delta in engine.generate(request)])


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
def test_it_runs_in_every_sandbox_from_a_sealed_memfd_and_closes_in_peace(sandbox, monkeypatch):
    jails: list[Jail] = []

    async def spy(chosen, jail):
        jails.append(jail)
        return await started(chosen, jail)

    monkeypatch.setattr(life, "started", spy)

    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights(sealed=True) as descriptor:
                engine = await smollm2.start(
                    descriptor, folder, sandbox=sandbox, slots=1, engine="openvino"
                )
            try:
                # Neither the weights nor anything made of them lies there.
                assert [path.name for path in Path(folder).iterdir()] == ["engine.sock"]
                assert await say(engine, "The capital of France is") == " Paris"
                assert "OpenVINO" in engine.version
                with pytest.raises(Misconfigured, match="only answers"):
                    await engine.embed(EmbedRequest("id", "m", ("a",)))
                # Half a character is no next token, and no failure.
                assert await engine.next_tokens("😀 😃 😄 😁 😀 😃 😄 😁", 5) == []
                assert "openvino_genai" in " ".join(jails[0].readable)
                assert "telemetry" not in " ".join(jails[0].readable)
                assert not any(path.endswith("site-packages") for path in jails[0].readable)
            finally:
                await engine.close()
            return await engine.wait()

    assert asyncio.run(scenario()) == 0


def test_characters_of_several_tokens_come_whole_and_the_last_may_be_cut():
    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor:
                engine = await smollm2.start(descriptor, folder, slots=1, engine="openvino")
            try:
                request = plain("😀😃😄😁😀😃😄😁😀😃", max_tokens=23, temperature=0)
                deltas = [delta async for delta in engine.generate(request)]
                cached = {delta.usage.cached_tokens for delta in deltas if delta.usage}
                again = [delta async for delta in engine.generate(request)]
                cached |= {delta.usage.cached_tokens for delta in again if delta.usage}
                return deltas, cached
            finally:
                await engine.close()

    deltas, cached = asyncio.run(scenario())
    texts = [delta.text for delta in deltas[:-1]]
    assert sum(text in "😀😃😄😁" for text in texts) > 4
    assert not any("\ufffd" in text for text in texts[:-1])
    assert deltas[-1].usage.completion_tokens == 23 > len(texts)
    assert deltas[-1].finish is FinishReason.LENGTH
    assert cached == {0}  # nothing is looked up among earlier prompts


def test_weights_that_are_not_proven_are_never_opened():
    async def refuse():
        await asyncio.sleep(0.3)
        raise NotProven("another digest")

    async def scenario():
        with tempfile.TemporaryDirectory(prefix="engine-") as folder:
            with smollm2.weights() as descriptor, pytest.raises(NotProven, match="another digest"):
                await smollm2.start(descriptor, folder, proven=refuse(), engine="openvino")
            return list(Path(folder).iterdir())

    assert asyncio.run(scenario()) == []


def test_a_machine_without_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(openvino, "_PACKAGES", ("openvino_genai_that_is_not_there",))
    with pytest.raises(Misconfigured, match="not installed") as caught:
        openvino.verify_openvino()
    assert "bastide[openvino]" in caught.value.fix


@pytest.mark.attacks("C45")
def test_the_engine_cannot_execute_programs():
    """The second filter, which the child installs itself before it reads the model."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            openvino_child._limit()
            openvino_child._renounce()
            with contextlib.suppress(PermissionError):
                os.execv("/bin/true", ["true"])
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
