# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Wiring of engines: names to the adapters that start them. A door like wiring.py."""

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from bastide.app.wiring import entropy
from bastide.core.embedding import EMBEDDING_ENGINE
from bastide.core.engine import ENGINES, LLAMACPP, OPENVINO, VLLM, files_for
from bastide.core.errors import Misconfigured
from bastide.ports import LiveEngine, Sandbox

__all__ = ["Weights", "interpreter_files", "start_engine", "verify_engine"]

# A descriptor over a GGUF file, or one for each file of a checkpoint, by its name.
Weights = int | Mapping[str, int]


async def start_engine(
    weights: Weights,
    jail: Sandbox,
    folder: Path,
    name: str,
    slots: int,
    context: int,
    threads: int,
    proven: Awaitable[Any],
    alone: bool = False,
    embeds: bool = False,
    engine: str = LLAMACPP,
    python: str = "",
) -> LiveEngine:
    """Start an engine over a weights descriptor inside a sandbox. Raises Misconfigured.

    Its process starts at once and touches the weights only after `proven`, which raises if they
    may not be loaded. `alone` says that nobody else's prompts meet in it, so that it may reuse
    their beginnings. `embeds` says that the model makes vectors.
    """
    if isinstance(weights, Mapping) or engine == VLLM:
        files = files_for(engine, weights, name)
        from bastide.adapters.engine.vllm_start import start_vllm

        return await start_vllm(
            files, jail, folder, entropy(),
            python=python, name=name, slots=slots, context_tokens=context,
            alone=alone, proven=proven,
        )  # fmt: skip
    if engine == OPENVINO:
        from bastide.adapters.engine.openvino import start_openvino

        return await start_openvino(
            weights, jail, folder,
            name=name, slots=slots, context_tokens=context, threads=threads, proven=proven,
        )  # fmt: skip
    if engine not in (LLAMACPP, EMBEDDING_ENGINE):
        raise Misconfigured(f"there is no engine {engine!r}", fix=f"one of {', '.join(ENGINES)}")
    from bastide.adapters.engine.llamacpp import start_llamacpp

    return await start_llamacpp(
        weights, jail, folder,
        name=name, slots=slots, context_tokens=context, threads=threads,
        alone=alone, embeds=embeds, proven=proven,
    )  # fmt: skip


def verify_engine(name: str, python: str = "") -> None:
    """Raises Misconfigured if an engine is not installed; `python` is vLLM's."""
    if name == VLLM:
        from bastide.adapters.engine.vllm_start import find_installation

        find_installation(python)
    if name == OPENVINO:
        from bastide.adapters.engine.openvino import verify_openvino

        verify_openvino()


def interpreter_files() -> tuple[str, ...]:
    """What an engine's Python is: its program, its library's folder, its own shared library."""
    from bastide.adapters.engine import starting

    return starting.interpreter_files()
