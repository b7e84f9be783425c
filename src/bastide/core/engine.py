# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Engines: what a deployment may name, and which models each can take."""

from collections.abc import Mapping
from typing import Any, Final

from bastide.core.embedding import EMBEDDING_ENGINE, embeds
from bastide.core.errors import Misconfigured, Refused

__all__ = [
    "ENGINES",
    "LLAMACPP",
    "OPENVINO",
    "OPENVINO_ARCHITECTURES",
    "VLLM",
    "engine_for",
    "files_for",
    "verify_choice",
    "verify_evaluated",
]

LLAMACPP: Final = "llamacpp"
OPENVINO: Final = "openvino"
VLLM: Final = "vllm"

# What a setting may choose, and how evaluations call it.
ENGINES: Final[Mapping[str, str]] = {
    LLAMACPP: "llama.cpp",
    OPENVINO: "OpenVINO GenAI",
    VLLM: "vLLM",
}

# What OpenVINO's reader of GGUF files knows; it looks at the file itself before it loads one.
OPENVINO_ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")


def verify_choice(chosen: str) -> None:
    """Raises Misconfigured for an engine that there is not, or that would be somebody else's."""
    if chosen.startswith(f"{VLLM}:"):
        raise Misconfigured(
            f"engine = {chosen!r}: nothing is served from weights that Bastide did not prove, and "
            "what another server has loaded cannot be proven",
            fix='engine = "vllm": Bastide starts it itself, over the files that it has verified',
        )
    if chosen not in ENGINES:
        raise Misconfigured(f"engine = {chosen!r}", fix=f"one of {tuple(ENGINES)}")


def engine_for(architecture: str, model: str, chosen: str) -> str:
    """How a deployment of a model names its engine. Raises Misconfigured if that cannot serve it.

    A model that makes vectors has one engine only, whatever is chosen for the others.
    """
    if embeds(architecture):
        return EMBEDDING_ENGINE
    if chosen == OPENVINO and architecture not in OPENVINO_ARCHITECTURES:
        raise Misconfigured(
            f"the engine openvino cannot serve {model}: its reader knows the architectures "
            f"{', '.join(OPENVINO_ARCHITECTURES)}, not {architecture}",
            fix='serve it with engine = "llamacpp"',
        )
    return chosen


def verify_evaluated(engine: str, evaluation: Mapping[str, Any]) -> None:
    """Raises Refused if a model was evaluated with another engine than is to serve it.

    OpenVINO's reader rounds some weights (Q4_1 and Q4_K), so the same file answers worse with it:
    what was measured with one of the two says nothing of the other. `evaluation` is the body of
    the evidence.
    """
    name = evaluation["engine"]["name"]
    if (engine == OPENVINO) == (name == ENGINES[OPENVINO]):
        return
    raise Refused(
        f"the model was evaluated with {name}, not with the engine that is to serve it ({engine})",
        fix="evaluate it with the same engine setting, and release that evaluation",
    )


def files_for(engine: str, weights: int | Mapping[str, int], name: str) -> Mapping[str, int]:
    """The files of a checkpoint, for an engine that reads them. Raises Misconfigured."""
    if not isinstance(weights, Mapping):
        raise Misconfigured(
            f"{name} is a GGUF file: the engine vllm reads a safetensors checkpoint",
            fix='set engine = "llamacpp", or admit the model as safetensors',
        )
    if engine != VLLM:
        raise Misconfigured(
            f"{name} is a safetensors checkpoint: the engine {engine} reads one GGUF file",
            fix='convert it to GGUF and admit that file, or set engine = "vllm"',
        )
    return weights
