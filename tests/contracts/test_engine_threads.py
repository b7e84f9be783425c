# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The engine's threads: how many compute, and that they do not spin while they wait."""

import asyncio
import contextlib
import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bastide.adapters.engine import llamacpp_child
from bastide.adapters.engine.llamacpp import start_llamacpp
from bastide.adapters.sandbox.choose import choose_sandbox
from bastide.app.config import Settings
from bastide.core.chat import GenerateRequest, Sampling
from bastide.ports import Jail, Process
from contracts import smollm2

SPINS_MAX = 1_000  # some microseconds


class Watched:
    """The real sandbox, and the jail that it was given."""

    def __init__(self) -> None:
        self._sandbox = choose_sandbox("auto")
        self.name = self._sandbox.name
        self.jails: list[Jail] = []

    async def start(self, jail: Jail) -> Process:
        self.jails.append(jail)
        return await self._sandbox.start(jail)


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in descendants(int(child)))]


async def observe(threads: int) -> dict[str, Any]:
    """What can be seen of an engine that has answered."""
    sandbox = Watched()
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        with smollm2.weights() as descriptor:
            engine = await start_llamacpp(
                descriptor,
                sandbox,
                Path(folder),
                name="m",
                slots=1,
                context_tokens=256,
                threads=threads,
            )
        try:
            request = GenerateRequest("id", "m", prompt="word " * 40, sampling=Sampling(2))
            async for _ in engine.generate(request):
                pass
            child = descendants(engine.pid)[-1]
            jail = sandbox.jails[-1]
            seen = {
                "threads": len(list(Path(f"/proc/{child}/task").iterdir())),
                "told": json.loads(jail.argv[-1])["threads"],
                "environment": dict(jail.environment),
            }
            # Who may read it sees the child's own; else tests/contracts/test_sandbox.py shows that
            # a jail's environment is what arrives.
            with contextlib.suppress(PermissionError):
                lines = Path(f"/proc/{child}/environ").read_text().split("\0")
                seen["environment"] = dict(line.split("=", 1) for line in lines if line)
            return seen
        finally:
            await engine.close()


def test_the_child_computes_with_the_threads_it_is_given_and_they_do_not_spin():
    one, three = asyncio.run(observe(1)), asyncio.run(observe(3))
    assert (one["told"], three["told"]) == (1, 3)
    assert three["threads"] == one["threads"] + 2
    for seen in (one, three):
        assert seen["environment"]["OMP_WAIT_POLICY"] == "PASSIVE"
        assert 0 <= int(seen["environment"]["GOMP_SPINCOUNT"]) <= SPINS_MAX


def test_prompts_and_answers_are_computed_with_the_same_threads():
    chosen = SimpleNamespace(
        model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace()
    )
    names = ("weights", "name", "socket", "slots", "context_tokens", "connections", "batch_tokens")
    orders = dict.fromkeys(names, 1) | {"embeds": False, "threads": 5}
    llamacpp_child._parameters(chosen, orders)
    assert (chosen.cpuparams.n_threads, chosen.cpuparams_batch.n_threads) == (5, 5)


@pytest.mark.parametrize(
    ("cores", "set_to", "serves", "evaluates_alone", "evaluates_beside"),
    [(1, 0, 1, 1, 1), (2, 0, 1, 2, 1), (8, 0, 7, 8, 7), (8, 3, 3, 3, 3), (None, 0, 1, 1, 1)],
)
def test_one_core_is_left_free(
    monkeypatch, cores, set_to, serves, evaluates_alone, evaluates_beside
):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    settings = Settings(environment="test.example/threads", threads=set_to)
    assert settings.engine_threads() == serves
    assert settings.evaluation_threads(serving=False) == evaluates_alone
    assert settings.evaluation_threads(serving=True) == evaluates_beside
