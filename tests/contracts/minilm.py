# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""all-MiniLM-L6-v2 for tests: its weights in a descriptor, and the real engine in a sandbox."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from bastide.adapters.engine.llamacpp import LlamaCpp, start_llamacpp
from bastide.adapters.sandbox.choose import choose_sandbox
from bastide.app.built_in import open_built_in

CONTEXT = 512


@contextlib.contextmanager
def weights() -> Generator[int]:
    """The model in a memfd, as the runner holds decrypted weights."""
    descriptor = os.memfd_create("weights")
    try:
        with contextlib.ExitStack() as stack, os.fdopen(os.dup(descriptor), "wb") as file:
            source = open_built_in("embed", stack)
            for offset in range(0, source.reader.size, 1 << 20):
                file.write(source.reader.read_at(offset, 1 << 20))
        yield descriptor
    finally:
        os.close(descriptor)


async def start(descriptor: int, folder: str, *, slots: int = 2) -> LlamaCpp:
    """Load the model from a descriptor."""
    return await start_llamacpp(
        descriptor,
        choose_sandbox("auto"),
        Path(folder),
        name="minilm",
        slots=slots,
        context_tokens=CONTEXT,
        threads=1,
        embeds=True,
    )
