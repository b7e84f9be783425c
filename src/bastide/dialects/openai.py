# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The OpenAI family: ``/v1/chat/completions``, ``/v1/completions``, ``/v1/models``.

Mistral's clients use the same routes. They expect the usage at the end of every stream and have
no option to ask for it, so they are known by their User-Agent.

It is also the family of whoever asks for something that nobody knows.
"""

from typing import Final
from urllib.parse import unquote

from bastide.dialects import openai_chat, openai_completions, openai_errors, openai_models
from bastide.dialects.surface import Headers, Problem, Refusal, Route, bearer, retry_headers

__all__ = ["OPENAI", "OpenAI"]

_CHAT: Final = "/v1/chat/completions"
_MODEL_PREFIX: Final = "/v1/models/"
_ROUTES: Final[dict[str, Route]] = {
    _CHAT: Route(("POST",), openai_chat.decode, openai_chat.ChatWriter),
    "/v1/completions": Route(
        ("POST",), openai_completions.decode, openai_completions.CompletionWriter
    ),
    "/v1/models": Route(("GET", "HEAD"), listing=openai_models.encode_models),
}


class _MistralWriter(openai_chat.ChatWriter):
    usage_at_finish = True


_MISTRAL_CHAT: Final = Route(("POST",), openai_chat.decode, _MistralWriter)


class OpenAI:
    """See `Family`."""

    name = "openai"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route."""
        if path.startswith(_MODEL_PREFIX):
            name = unquote(path.removeprefix(_MODEL_PREFIX))
            return Route(("GET", "HEAD"), model=name, single=openai_models.encode_model)
        if path == _CHAT and headers.get(b"user-agent", b"").startswith(b"mistral-client"):
            return _MISTRAL_CHAT
        return _ROUTES.get(path)

    def key(self, query: str, headers: Headers) -> str | None:
        """The bearer token."""
        return bearer(headers)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"error": {...}}``."""
        body = openai_errors.encode_problem(problem)
        return Refusal(problem.status, body, retry_headers(problem))

    def event(self, problem: Problem, ident: str) -> bytes:
        """An error event; no ``[DONE]`` may follow it."""
        return openai_errors.encode_event(problem)


OPENAI: Final = OpenAI()
