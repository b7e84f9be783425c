# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenAI model list: ``GET /v1/models`` and ``GET /v1/models/{model}``.

A row has also what Mistral's client demands: `type`, and in `capabilities` what the model can do.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bastide.core.snapshot import Served

__all__ = ["encode_model", "encode_models"]

_encode = msgspec.json.Encoder().encode
_CAPABILITIES: Final = {
    "completion_chat": True,
    "completion_fim": False,
    "fine_tuning": False,
    "vision": False,
}


def encode_models(served: Iterable[Served], environment: str) -> bytes:
    """The list of models."""
    return _encode({"object": "list", "data": [_row(row, environment) for row in served]})


def encode_model(served: Served, environment: str) -> bytes:
    """One model."""
    return _encode(_row(served, environment))


def _row(served: Served, environment: str) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": served.created_s,
        "owned_by": environment,
        "type": "base",
        "max_context_length": served.context_tokens,
        "capabilities": {
            **_CAPABILITIES,
            "completion_chat": not served.embeds,
            "function_calling": not served.embeds,
        },
    }
