# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The OpenAI family: chat, plain completions, responses, embeddings, moderations and models
below ``/v1``.

Mistral's clients use the same routes. They expect the usage at the end of every stream and have
no option to ask for it, so they are known by their User-Agent.

Sounds, images and films are refused by the operation's name.

It is also the family of whoever asks for something that nobody knows.
"""

from functools import partial
from typing import Final
from urllib.parse import unquote

from bastide.dialects import (
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_errors,
    openai_files,
    openai_models,
    openai_moderations,
    openai_responses,
)
from bastide.dialects.openai_chat_writer import MistralWriter
from bastide.dialects.surface import (
    Deny,
    Embed,
    Generate,
    Headers,
    Judge,
    Listing,
    Problem,
    Refusal,
    Route,
    Single,
    bearer,
)

__all__ = ["OPENAI", "OpenAI"]

_MISTRAL: Final = b"mistral-client"
_CHAT: Final = "/v1/chat/completions"
_MODERATIONS: Final = "/v1/moderations"
_NO_GUARD: Final = (
    "No guard policy is set for this tenant, so there is nothing that could moderate."
)
_MODEL_PREFIX: Final = "/v1/models/"
_ABSENT: Final = ("/v1/audio/", "/v1/images/", "/v1/videos")
_ROUTES: Final[dict[str, Route]] = {
    _CHAT: Route(("POST",), Generate(openai_chat.decode, openai_chat.ChatWriter)),
    "/v1/completions": Route(
        ("POST",), Generate(openai_completions.decode, openai_completions.CompletionWriter)
    ),
    "/v1/embeddings": Route(("POST",), Embed(openai_embeddings.decode)),
    _MODERATIONS: Route(
        ("POST",), Judge(openai_moderations.decode, openai_moderations.encode, _NO_GUARD)
    ),
    "/v1/models": Route(("GET", "HEAD"), Listing(openai_models.encode_models)),
}
_MISTRAL_ROUTES: Final[dict[str, Route]] = {
    _CHAT: Route(("POST",), Generate(openai_chat.decode, MistralWriter)),
    _MODERATIONS: Route(
        ("POST",), Judge(openai_moderations.decode, openai_moderations.encode_mistral, _NO_GUARD)
    ),
}


class OpenAI:
    """See `Family`."""

    name = "openai"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route."""
        if path.startswith(_MODEL_PREFIX):
            name = unquote(path.removeprefix(_MODEL_PREFIX))
            return Route(("GET", "HEAD"), Single(openai_models.encode_model, name))
        if path in _MISTRAL_ROUTES and headers.get(b"user-agent", b"").startswith(_MISTRAL):
            return _MISTRAL_ROUTES[path]
        if path.startswith(_ABSENT):
            operation = unquote(path.removeprefix("/v1/"))
            refuse = partial(
                openai_errors.refuse_operation, operation=operation, where="any model here"
            )
            return Route(("GET", "POST", "DELETE"), Deny(refuse))
        return (
            _ROUTES.get(path)
            or openai_responses.route(path)
            or openai_files.route(path, query, headers)
        )

    def key(self, query: str, headers: Headers) -> str | None:
        """The bearer token."""
        return bearer(headers)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"error": {...}}``."""
        body = openai_errors.encode_problem(problem)
        return Refusal(problem.status, body, openai_errors.headers(problem))

    def event(self, problem: Problem, ident: str) -> bytes:
        """An error event; no ``[DONE]`` may follow it."""
        return openai_errors.encode_event(problem)


OPENAI: Final = OpenAI()
