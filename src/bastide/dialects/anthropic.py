# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Anthropic family: ``/v1/messages``, and ``/v1/models`` for who sends ``anthropic-version``.

The same lies below ``/anthropic``, where `AnthropicFoundry` and `AnthropicBedrockMantle` look.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from bastide.core.errors import Misconfigured, NotFound
from bastide.dialects import anthropic_errors, anthropic_messages, anthropic_models
from bastide.dialects.surface import Asked, Headers, Problem, Refusal, Route, bearer, one_key

__all__ = ["ANTHROPIC", "VERSIONS", "Anthropic"]

VERSIONS: Final = (b"2023-06-01", b"2026-10-21")  # what we read and write is the same in both
_PREFIX: Final = "/anthropic"
_MESSAGES: Final = "/v1/messages"
_MODELS: Final = "/v1/models"
_READ: Final = ("GET", "HEAD")
_ANY: Final = ("GET", "HEAD", "POST", "DELETE")
_KEYS: Final = (b"x-api-key", b"api-key")
_ANSWER: Final = Route(("POST",), anthropic_messages.decode, anthropic_messages.MessageWriter)


class Anthropic:
    """See `Family`."""

    name = "anthropic"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route."""
        below = path.startswith(_PREFIX + "/")
        ours = below or b"anthropic-version" in headers
        path = path.removeprefix(_PREFIX) if below else path
        route: Route | None = None
        if path == _MESSAGES:
            route = _ANSWER
        elif path.startswith(_MESSAGES + "/"):
            route = Route(_ANY, listing=_absent(path))
        elif ours and path == _MODELS:
            route = Route(_READ, listing=partial(anthropic_models.encode_models, query=query))
        elif ours and path.startswith(_MODELS + "/"):
            name = unquote(path.removeprefix(_MODELS + "/"))
            route = Route(_READ, model=name, single=anthropic_models.encode_model)
        elif below:
            route = Route(_ANY, listing=_absent(path))
        if route is not None and headers.get(b"anthropic-version", VERSIONS[0]) not in VERSIONS:
            return _of_unknown_version(route)
        return route

    def key(self, query: str, headers: Headers) -> str | None:
        """The bearer token, ``x-api-key`` or ``api-key``; None if they contradict each other."""
        named = (headers.get(name, b"").decode("latin-1") for name in _KEYS)
        return one_key(bearer(headers), *named)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"type": "error", ...}``."""
        return anthropic_errors.refuse(problem, ident)

    def event(self, problem: Problem, ident: str) -> bytes:
        """An error event; no ``message_stop`` may follow it."""
        return anthropic_errors.encode_event(problem, ident)


ANTHROPIC: Final = Anthropic()


def _absent(path: str) -> Callable[[Iterable[Any], str], bytes]:
    """What is not there, whoever asks: first the key is checked, then this is said."""

    def refuse(served: Iterable[Any], environment: str) -> bytes:
        raise NotFound(f"{path[:100]} is not supported by this environment.", place="path")

    return refuse


def _of_unknown_version(route: Route) -> Route:
    known = ", ".join(version.decode() for version in VERSIONS)
    message = f"anthropic-version: not a valid version; this environment knows {known}."

    def decode(body: bytes, ident: str) -> Asked:
        raise Misconfigured(message, place="anthropic-version")

    return Route(route.methods, decode, anthropic_messages.MessageWriter)
