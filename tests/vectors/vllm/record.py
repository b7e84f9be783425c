# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Asks a real vLLM what tests/contracts/test_engine_vllm.py asks, and writes down its answers.

    PYTHONPATH=src:tests python tests/vectors/vllm/record.py PYTHON CHECKPOINT

PYTHON is the interpreter of an environment with vLLM, CHECKPOINT a folder with a safetensors model.
vLLM is started as the runner starts it: in the sandbox, from memfds, over a Unix socket.
"""

import asyncio
import json
import os
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bastide.adapters.engine.vllm_start import start_vllm
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.sandbox.choose import choose_sandbox
from bastide.core.errors import BastideError
from contracts import test_engine_vllm as tests
from contracts.vllm_replay import CONTEXT, SLOTS, VECTORS, replayed


async def record(python: str, checkpoint: Path) -> None:
    files = {}
    for path in sorted(checkpoint.iterdir()):
        files[path.name] = os.memfd_create(path.name)
        with os.fdopen(os.dup(files[path.name]), "wb") as file:
            file.write(path.read_bytes())
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-")))
        real = await start_vllm(
            files, choose_sandbox("bubblewrap"), folder, SystemEntropy(),
            python=python, name="smollm2", slots=SLOTS, context_tokens=CONTEXT,
        )  # fmt: skip
        stack.push_async_callback(real.close)
        print(f"{real.version} answers")
        beside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="record-")))
        socket = str(folder / "engine.sock")
        engine, server = await stack.enter_async_context(replayed(beside, socket))
        for request in tests.RECORDED:
            try:
                print(repr(await tests.say(engine, request)))
            except BastideError as error:
                print(f"{error.title}: {error.message}")
        for count in (3, 5):
            print(await engine.next_tokens(tests.CAPITAL, count))
        print(await engine.count(tests.WALLS))
        await engine.health()
        await engine.learn_version()
        about = {"vllm": real.version, "exchanges": server.recorded}
        VECTORS.write_text(json.dumps(about, indent=1, ensure_ascii=True) + "\n")
        print(f"{len(server.recorded)} exchanges in {VECTORS.name}")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1], Path(sys.argv[2])))
