# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What every dialect is made of: a family of routes that speaks one vendor's wire format.

A family recognises its requests by method, raw path and headers, finds the caller's key, reads a
body into the chat vocabulary, writes answers, and states every error as its clients expect.
`Problem` is the neutral form of an error; its words are those of the OpenAI API.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bastide.core.chat import Delta, GenerateRequest
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotFound, Unavailable
from bastide.core.snapshot import Served
from bastide.crypto.sigv4 import Claim

__all__ = [
    "BUSY",
    "EVENT_STREAM",
    "JSON",
    "STOPPING",
    "UNAUTHENTICATED",
    "Asked",
    "Context",
    "Family",
    "Headers",
    "Problem",
    "Refusal",
    "Route",
    "SignedFamily",
    "Writer",
    "bearer",
    "one_key",
    "problem_of",
    "retry_headers",
    "signature_of",
]

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream; charset=utf-8"
Headers = Mapping[bytes, bytes]  # names in lower case


@dataclass(frozen=True, slots=True)
class Problem:
    """An error before a family states it. `param` is the place in the request."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    kind: str = "invalid_request_error"


UNAUTHENTICATED: Final = Problem(
    401,
    "Incorrect API key provided. Send a key of this environment: 'Authorization: Bearer bst_...'.",
    "invalid_api_key",
)
BUSY: Final = Problem(
    429,
    "All slots of this model are busy and its queue is full. Try again later.",
    "rate_limit_exceeded",
    kind="requests",
)
STOPPING: Final = Problem(
    503, "The gateway stops. Try again later.", "service_unavailable", kind="server_error"
)


def problem_of(error: BastideError) -> Problem:
    """The neutral form of one of our errors."""
    match error:
        case Misconfigured():
            code = "unsupported_parameter" if error.reasons else "invalid_value"
            return Problem(400, error.message, code, error.place or None)
        case NotFound():
            return Problem(404, error.message, "model_not_found", error.place or None)
        case NotAllowed():
            return Problem(403, error.message, "model_not_allowed", error.place or None)
        case Unavailable():
            return Problem(503, error.message, "service_unavailable", kind="server_error")
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    return Problem(error.http_status, error.message, error.code, kind=kind)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response as one family writes it."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and how its sender wants the answer."""

    request: GenerateRequest
    stream: bool
    usage: bool  # a last chunk of the stream states the usage


@dataclass(frozen=True, slots=True)
class Context:
    """What a writer may say about the answer. `model` is the release's name, never an alias."""

    ident: str
    created_s: int
    model: str
    release: str
    asked: Asked
    elapsed_ms: Callable[[], int] = int  # since the request was complete


class Writer(Protocol):
    """How one dialect writes an answer."""

    def first(self) -> bytes:
        """What opens a stream."""
        ...

    def piece(self, text: str) -> bytes:
        """One piece of text."""
        ...

    def last(self, delta: Delta) -> bytes:
        """All that ends a stream."""
        ...

    def whole(self, text: str, delta: Delta) -> bytes:
        """The answer as one object."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """What one request asks for: an answer, the list of models, or one model.

    An answer has `decode` (body and id to Asked; raises Misconfigured) and `writer`; a list has
    `listing` (the models, the environment's id); one model has `single`, and `model`, or `named` if
    the body names it.
    """

    methods: tuple[str, ...]
    decode: Callable[[bytes, str], Asked] | None = None
    writer: Callable[[Context], Writer] | None = None
    stream_type: str = EVENT_STREAM
    listing: Callable[[Iterable[Served], str], bytes] | None = None
    model: str = ""
    single: Callable[[Served, str], bytes] | None = None
    named: Callable[[bytes], str] | None = None


class Family(Protocol):
    """One vendor's wire format."""

    name: str

    def route(self, path: str, query: str, headers: Headers) -> Route | None:
        """What a request asks for, or None if it is not of this family. `path` is raw."""
        ...

    def key(self, query: str, headers: Headers) -> str | None:
        """The API key that the request carries, unchecked."""
        ...

    def refusal(self, problem: Problem, ident: str) -> Refusal:
        """An error response. `ident` is the request's id, or empty."""
        ...

    def event(self, problem: Problem, ident: str) -> bytes:
        """What ends a stream that fails; empty if breaking it off is all that clients notice."""
        ...


class SignedFamily(Family, Protocol):
    """A family whose clients can sign requests instead of showing a key."""

    def signature(self, query: str, headers: Headers) -> Claim | None:
        """The claim of a signed request; None if there is no signature. Raises NotProven."""
        ...


def signature_of(family: Family, query: str, headers: Headers) -> Claim | None:
    """What a request claims if its family has signatures. Raises NotProven."""
    signature: Callable[[str, Headers], Claim | None] | None = getattr(family, "signature", None)
    return None if signature is None else signature(query, headers)


def one_key(*given: str | None) -> str | None:
    """The one key among what a request carries; None if there is none, or two that differ."""
    keys = {key for key in given if key}
    return keys.pop() if len(keys) == 1 else None


def retry_headers(problem: Problem) -> tuple[tuple[str, str], ...]:
    """What HTTP says beside a refusal: when to come back, or by which scheme to show a key."""
    if problem.status in (429, 503):
        return (("retry-after", "1"),)
    return (("www-authenticate", "Bearer"),) if problem.status == 401 else ()


def bearer(headers: Headers) -> str | None:
    """The token of ``Authorization: Bearer``."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    return value.strip(b" ").decode("latin-1") if scheme.lower() == b"bearer" else None
