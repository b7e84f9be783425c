# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Ollama family: ``/api/chat``, ``/api/generate`` and what clients ask about models.

Models are admitted, approved and deployed elsewhere: what would change them here is refused with
403, whoever asks.
"""

from functools import partial
from typing import Final, Never

import msgspec

from bastide.core.errors import NotAllowed
from bastide.dialects import ollama_chat, ollama_embed, ollama_generate, ollama_models
from bastide.dialects.ollama_fields import NDJSON
from bastide.dialects.surface import (
    Deny,
    Embed,
    Generate,
    Headers,
    Listing,
    Problem,
    Refusal,
    Route,
    Single,
    bearer,
    retry_headers,
)

__all__ = ["OLLAMA", "Ollama"]

_READ: Final = ("GET", "HEAD")
_encode = msgspec.json.Encoder().encode


def _forbid(body: bytes, ident: str, action: str) -> Never:
    raise NotAllowed(f"Not allowed to {action} models here: releases are deployed by approval.")


def _forbidden(action: str, *methods: str) -> Route:
    return Route(methods, Deny(partial(_forbid, action=action)))


_ROUTES: Final[dict[str, Route]] = {
    "/api/chat": Route(("POST",), Generate(ollama_chat.decode, ollama_chat.ChatWriter, NDJSON)),
    "/api/generate": Route(
        ("POST",), Generate(ollama_generate.decode, ollama_generate.GenerateWriter, NDJSON)
    ),
    "/api/tags": Route(_READ, Listing(ollama_models.encode_tags)),
    "/api/ps": Route(_READ, Listing(ollama_models.encode_running)),
    "/api/version": Route(_READ, Listing(ollama_models.encode_version)),
    "/api/show": Route(("POST",), Single(ollama_models.encode_model, named=ollama_models.named)),
    "/api/delete": _forbidden("delete", "DELETE"),
    "/api/pull": _forbidden("pull", "POST"),
    "/api/push": _forbidden("push", "POST"),
    "/api/create": _forbidden("create", "POST"),
    "/api/copy": _forbidden("copy", "POST"),
    "/api/embed": Route(("POST",), Embed(ollama_embed.decode)),
    "/api/embeddings": Route(("POST",), Embed(ollama_embed.decode_old)),
}
_BLOBS: Final = "/api/blobs/"
_BLOB: Final = _forbidden("upload", "POST", "HEAD")


class Ollama:
    """See `Family`."""

    name = "ollama"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route."""
        return _BLOB if path.startswith(_BLOBS) else _ROUTES.get(path)

    def key(self, query: str, headers: Headers) -> str | None:
        """The bearer token."""
        return bearer(headers)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"error": "..."}``."""
        return Refusal(problem.status, _error(problem), retry_headers(problem))

    def event(self, problem: Problem, ident: str) -> bytes:
        """The line that ends a stream which fails; no `done` may follow it."""
        return _error(problem) + b"\n"


def _error(problem: Problem) -> bytes:
    return _encode({"error": problem.message})


OLLAMA: Final = Ollama()
