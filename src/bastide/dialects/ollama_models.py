# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ollama's models: ``/api/tags``, ``/api/ps``, ``/api/show``, and ``/api/version``.

A model's `digest` is its release's. What a gateway does not know, such as a file's size, is left
out or empty.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bastide.core.snapshot import Served
from bastide.dialects.ollama_fields import ollama_name, stamp
from bastide.dialects.openai_fields import decode_body

__all__ = ["encode_model", "encode_running", "encode_tags", "encode_version", "named"]

# The version of Ollama's API that is spoken; some clients refuse to talk to an old one.
_API_VERSION: Final = "0.12.0"
_DETAILS: Final[dict[str, Any]] = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": [],
    "parameter_size": "",
    "quantization_level": "",
}
_encode = msgspec.json.Encoder().encode


class _Show(msgspec.Struct):
    model: str | None = None
    name: str | None = None  # as old clients say it


_decoder = msgspec.json.Decoder(_Show)


def named(body: bytes) -> str:
    """The model that a body asks about. Raises Misconfigured."""
    given = decode_body(_decoder, body)
    return ollama_name(given.model or given.name)


def encode_tags(served: Iterable[Served], environment: str) -> bytes:
    """The models that there are."""
    return _encode({"models": [_row(row) for row in served]})


def encode_running(served: Iterable[Served], environment: str) -> bytes:
    """The models that are loaded: all of them."""
    return _encode(
        {"models": [{**_row(row), "context_length": row.context_tokens} for row in served]}
    )


def encode_model(served: Served, environment: str) -> bytes:
    """One model."""
    return _encode(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "modified_at": stamp(served.created_s),
            "details": _DETAILS,
            "model_info": {
                "general.name": served.name,
                "bastide.context_length": served.context_tokens,
                "bastide.release": served.release,
            },
            "capabilities": ["embedding"] if served.embeds else ["completion", "tools"],
        }
    )


def encode_version(served: Iterable[Served], environment: str) -> bytes:
    """The version of the API."""
    return _encode({"version": _API_VERSION})


def _row(served: Served) -> dict[str, Any]:
    return {
        "name": served.name,
        "model": served.name,
        "modified_at": stamp(served.created_s),
        "digest": served.release.removeprefix("sha256:"),
        "details": _DETAILS,
    }
