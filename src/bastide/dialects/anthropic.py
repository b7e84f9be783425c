# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Anthropic family: ``/v1/messages``, and ``/v1/models`` for who sends ``anthropic-version``.

The same lies below ``/anthropic``, where `AnthropicFoundry` and `AnthropicBedrockMantle` look, and
`AnthropicVertex` finds it under ``/v1/projects/.../publishers/anthropic/models``.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final, Never
from urllib.parse import unquote

from bastide.core.errors import Misconfigured, NotFound
from bastide.dialects import (
    anthropic_errors,
    anthropic_messages,
    anthropic_models,
    anthropic_vertex,
)
from bastide.dialects.surface import (
    Count,
    Deny,
    Generate,
    Headers,
    Listing,
    Problem,
    Refusal,
    Route,
    Single,
    bearer,
    one_key,
)

__all__ = ["ANTHROPIC", "VERSIONS", "Anthropic"]

VERSIONS: Final = (b"2023-06-01", b"2026-10-21")  # what we read and write is the same in both
_PREFIX: Final = "/anthropic"
_MESSAGES: Final = "/v1/messages"
_MODELS: Final = "/v1/models"
_READ: Final = ("GET", "HEAD")
_ANY: Final = ("GET", "HEAD", "POST", "DELETE")
_KEYS: Final = (b"x-api-key", b"api-key")
_VERTEX: Final = re.compile(
    r"/v1(?:beta1)?/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/"
    r"(?P<model>[^/]+):(?P<verb>rawPredict|streamRawPredict)"
)
_ANSWER: Final = Route(
    ("POST",), Generate(anthropic_messages.decode, anthropic_messages.MessageWriter)
)
_COUNT: Final = Route(
    ("POST",), Count(anthropic_messages.decode_count, anthropic_messages.encode_count)
)
_VERTEX_COUNT: Final = Route(
    ("POST",), Count(anthropic_vertex.decode_count, anthropic_messages.encode_count)
)


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
        elif path == _MESSAGES + "/count_tokens":
            route = _COUNT
        elif found := _VERTEX.fullmatch(path):
            route = _of_vertex(unquote(found["model"]), found["verb"])
        elif path.startswith(_MESSAGES + "/"):
            route = Route(_ANY, Deny(_absent(path)))
        elif ours and path == _MODELS:
            route = Route(_READ, Listing(partial(anthropic_models.encode_models, query=query)))
        elif ours and path.startswith(_MODELS + "/"):
            name = unquote(path.removeprefix(_MODELS + "/"))
            route = Route(_READ, Single(anthropic_models.encode_model, name))
        elif below:
            route = Route(_ANY, Deny(_absent(path)))
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


def _of_vertex(model: str, verb: str) -> Route:
    if model == "count-tokens":
        return _VERTEX_COUNT
    decode = partial(anthropic_vertex.decode, model=model, streams=verb == "streamRawPredict")
    return Route(("POST",), Generate(decode, anthropic_messages.MessageWriter))


def _absent(path: str) -> Callable[[bytes, str], Never]:
    """What is not there, whoever asks: first the key is checked, then this is said."""

    def refuse(body: bytes, ident: str) -> Never:
        raise NotFound(f"{path[:100]} is not supported by this environment.", place="path")

    return refuse


def _of_unknown_version(route: Route) -> Route:
    known = ", ".join(version.decode() for version in VERSIONS)
    message = f"anthropic-version: not a valid version; this environment knows {known}."

    def refuse(body: bytes, ident: str) -> Never:
        raise Misconfigured(message, place="anthropic-version")

    return Route(route.methods, Deny(refuse))
