# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Embedding: which models make vectors of texts, and answer nothing."""

from typing import Final

__all__ = ["EMBEDDING_ARCHITECTURES", "EMBEDDING_ENGINE", "embeds"]

# Encoders: they read a whole text at once and have no next token. One row here, one in
# formats/gguf_architectures.py.
EMBEDDING_ARCHITECTURES: Final = frozenset({"bert"})

# How a deployment names the engine that makes vectors. Which of its abilities an engine is loaded
# for is part of what the operator approves.
EMBEDDING_ENGINE: Final = "llamacpp-embedding"


def embeds(architecture: str) -> bool:
    """True for a model that makes embeddings only; False for one that answers only."""
    return architecture in EMBEDDING_ARCHITECTURES
