# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The family of sealed requests: ciphertext in, lines of ciphertext out, and the proofs of nodes.

What is inside is a request of another family, which the runner reads (app/sealed_door.py). Errors
of this family are in the clear: they are the operator's word, and say nothing of what is inside.
"""

from typing import Annotated, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from bastide.core.chat import Delta, GenerateRequest, Said, Sampling
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import ANSWER_TOKENS_MAX
from bastide.core.sealed import SUITE, Sealed
from bastide.dialects.problems import Problem, retry_headers
from bastide.dialects.surface import (
    Asked,
    Context,
    Generate,
    Headers,
    Nodes,
    Refusal,
    Route,
    TextWriter,
    bearer,
)

__all__ = ["ANSWERS", "ERROR_MARK", "NODES", "SEALED", "SealedBody"]

ANSWERS: Final = "/sealed/v1/answers"
NODES: Final = "/sealed/v1/nodes"
ERROR_MARK: Final = "!"  # begins a line that is no ciphertext but an error; base64url has none
_LINES: Final = "text/plain; charset=utf-8"
_SINCE_DIGITS: Final = 15
_Name = Annotated[str, Meta(min_length=1, max_length=256)]


class SealedBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a sealed request; all but `sealed` is what it is bound to (core/sealed.py)."""

    suite: _Name
    node: _Name
    replica: Annotated[int, Meta(ge=1, le=1_024)]
    model: _Name
    tokens_max: Annotated[int, Meta(ge=1, le=ANSWER_TOKENS_MAX)]
    sealed: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")]


_read = msgspec.json.Decoder(SealedBody).decode


def decode(body: bytes, ident: str) -> Asked:
    """Read a sealed request. Raises Misconfigured."""
    try:
        found = _read(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Misconfigured(f"Not a sealed request: {error}") from error
    if found.suite != SUITE:
        raise Misconfigured(f"The one suite is {SUITE}; there is no other.", place="suite")
    sealed = Sealed(found.suite, found.node, found.replica)
    request = GenerateRequest(
        ident,
        found.model,
        prompt=found.sealed,
        sampling=Sampling(max_tokens=found.tokens_max),
        sealed=sealed,
    )
    return Asked(request, stream=True, usage=True)


class _Lines(TextWriter):
    """Writes what the runner has sealed, as it is."""

    def __init__(self, context: Context) -> None:
        del context

    def first(self) -> bytes:
        """Nothing."""
        return b""

    def piece(self, text: str) -> bytes:
        """One line or more."""
        return text.encode()

    def last(self, delta: Delta) -> bytes:
        """The line that closes the answer."""
        return delta.text.encode()

    def whole(self, said: Said, delta: Delta) -> bytes:
        """Raises Unavailable: sealed answers are streams."""
        raise Unavailable("A sealed answer is not wanted whole.")


class _Sealed:
    """See `Family`."""

    name = "sealed"

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """Find a route."""
        if path == ANSWERS:
            return Route(("POST",), Generate(decode, _Lines, _LINES))
        if path == NODES:
            return Route(("GET",), Nodes(_since(query)))
        return None

    def key(self, query: str, headers: Headers) -> str | None:
        """The bearer token."""
        return bearer(headers)

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """``{"error": {"code", "message"}}``."""
        return Refusal(problem.status, _error(problem), retry_headers(problem))

    def event(self, problem: Problem, ident: str) -> bytes:
        """A line that is no ciphertext."""
        return ERROR_MARK.encode() + _error(problem) + b"\n"


def _error(problem: Problem) -> bytes:
    return msgspec.json.encode({"error": {"code": problem.code, "message": problem.message}})


def _since(query: str) -> int:
    text = parse_qs(query).get("since", ["0"])[-1]
    sound = text.isascii() and text.isdecimal() and len(text) <= _SINCE_DIGITS
    return int(text) if sound else 0


SEALED: Final = _Sealed()
