# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE. Every family that the gateway speaks, in the order in which they are asked.

All are mounted on one origin. Where two share a path, the more specific comes first: it looks at
headers that only its own clients send.
"""

from typing import Final

from bastide.dialects.anthropic import ANTHROPIC
from bastide.dialects.azure import AZURE
from bastide.dialects.bedrock import BEDROCK
from bastide.dialects.google import GOOGLE, GOOGLE_ARRAY
from bastide.dialects.ollama import OLLAMA
from bastide.dialects.openai import OPENAI
from bastide.dialects.sealed import SEALED
from bastide.dialects.surface import ByKind, Family, Generate, Headers, Route

__all__ = ["FAMILIES", "find_answers", "find_route"]

FAMILIES: Final[tuple[Family, ...]] = (
    AZURE,
    OLLAMA,
    ANTHROPIC,
    BEDROCK,
    GOOGLE_ARRAY,
    GOOGLE,
    SEALED,
    OPENAI,
)


# What most requests ask for. No other family wants these paths, so none needs to be asked.
_COMMON: Final[dict[str, Family]] = {
    "/v1/chat/completions": OPENAI,
    "/v1/embeddings": OPENAI,
    "/v1/responses": OPENAI,
    "/api/chat": OLLAMA,
}


def find_route(path: str, query: str, headers: Headers) -> tuple[Family, Route | None]:
    """The family of a request and its route; OpenAI's and None if nobody knows it."""
    common = _COMMON.get(path)
    if common is not None:
        return common, common.route(path, query, headers)
    for family in FAMILIES:
        route = family.route(path, query, headers)
        if route is not None:
            return family, route
    return OPENAI, None


def find_answers(path: str, query: str, headers: Headers) -> tuple[Family, Generate | None]:
    """The family, and how it answers in words; None if it does not, or if the request is sealed."""
    family, route = find_route(path, query, headers)
    action = None if route is None else route.action
    if isinstance(action, ByKind):
        action = action.answers
    return family, action if isinstance(action, Generate) and family is not SEALED else None
