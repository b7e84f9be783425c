# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What every dialect is made of: a family of routes that speaks one vendor's wire format.

A family recognises its requests by method, raw path and headers, finds the caller's key, reads a
body into the chat vocabulary, writes answers, and states every error as its clients expect.
`Problem` is the neutral form of an error; its words are those of the OpenAI API.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Never, Protocol

import msgspec

from bastide.core.chat import CallPart, Delta, Embedded, EmbedRequest, GenerateRequest, Said
from bastide.core.errors import (
    Unavailable,
)
from bastide.core.screening import Screened
from bastide.core.snapshot import Served
from bastide.crypto.sigv4 import Claim, read_claim
from bastide.dialects.problems import (
    BUSY,
    STOPPING,
    UNAUTHENTICATED,
    Problem,
    problem_of,
    retry_headers,
)

__all__ = [
    "BUSY",
    "BYTES",
    "EVENT_STREAM",
    "JSON",
    "SERVICES",
    "STOPPING",
    "UNAUTHENTICATED",
    "Action",
    "Asked",
    "ByKind",
    "Context",
    "Count",
    "Deed",
    "Deny",
    "Embed",
    "Family",
    "Generate",
    "Headers",
    "Judge",
    "Keep",
    "Listing",
    "Nodes",
    "Order",
    "Problem",
    "Refusal",
    "Route",
    "Single",
    "Suspect",
    "TextWriter",
    "Vectors",
    "Writer",
    "attempt_of",
    "bearer",
    "one_key",
    "problem_of",
    "retry_headers",
    "signature_of",
]

BYTES: Final = "application/octet-stream"
JSON: Final = "application/json"
_INVOCATION_LENGTH_MAX: Final = 128
_ATTEMPT: Final = re.compile(rb"(?:^|;)\s*attempt=(\d+)")
EVENT_STREAM: Final = "text/event-stream; charset=utf-8"
Headers = Mapping[bytes, bytes]  # names in lower case


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response as one family writes it."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Asked(msgspec.Struct, frozen=True):
    """A request, and how its sender wants the answer."""

    request: GenerateRequest
    stream: bool
    usage: bool  # a last chunk of the stream states the usage


class Context(msgspec.Struct, frozen=True):
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

    def call(self, part: CallPart) -> bytes:
        """One piece of a tool call."""
        ...

    def last(self, delta: Delta) -> bytes:
        """All that ends a stream."""
        ...

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one object."""
        ...


class TextWriter:
    """A writer of a route on which no tool can be given."""

    def call(self, part: CallPart) -> bytes:
        """Raises Unavailable: the engine answers what nobody asked."""
        raise Unavailable("The engine calls a tool that it was not given.")


@dataclass(frozen=True, slots=True)
class Generate:
    """A model answers. `decode` takes the body and the request's id; it raises Misconfigured.

    `failing` takes the writer of a stream that fails and says how it ends, where the family's
    own event does not fit.
    """

    decode: Callable[[bytes, str], Asked]
    writer: Callable[[Context], Writer]
    stream_type: str = EVENT_STREAM
    failing: Callable[[Any, Problem], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many tokens a request would have. `write` takes their number."""

    decode: Callable[[bytes, str], GenerateRequest]
    write: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Vectors:
    """A request for vectors, and how to write them; `write` takes also who made them."""

    request: EmbedRequest
    write: Callable[[Embedded, Served], bytes]


@dataclass(frozen=True, slots=True)
class Embed:
    """Texts become vectors. `decode` raises Misconfigured."""

    decode: Callable[[bytes, str], Vectors]


@dataclass(frozen=True, slots=True, repr=False)
class Suspect:
    """Texts that somebody wants judged by the guard, as prompts or as a model's `outward` ones."""

    texts: tuple[str, ...]
    outward: bool = False
    ident: str = ""  # of the request, where the verdict has one


@dataclass(frozen=True, slots=True)
class Judge:
    """The guard of the caller's tenant judges texts. `write` takes them and what it says of each.

    `absent` is what to say to a tenant for whom no policy is set.
    """

    decode: Callable[[bytes, str], Suspect]
    write: Callable[[Suspect, tuple[Screened, ...]], bytes]
    absent: str = "No guard policy is set for this tenant."


@dataclass(frozen=True, slots=True)
class Listing:
    """The models that the key may use. `write` takes them and the environment's id."""

    write: Callable[[Iterable[Served], str], bytes]


@dataclass(frozen=True, slots=True)
class Single:
    """One model, which the path names, or the body if there is `named`."""

    write: Callable[[Served, str], bytes]
    model: str = ""
    named: Callable[[bytes], str] | None = None


@dataclass(frozen=True, slots=True)
class Nodes:
    """The attested nodes, with their proofs under a head that continues the one of `since`."""

    since: int = 0


@dataclass(frozen=True, slots=True)
class Deny:
    """Nothing that we have. `refuse` takes the body and the id, and raises what to say."""

    refuse: Callable[[bytes, str], Never]


@dataclass(frozen=True, slots=True)
class ByKind:
    """One path for models that answer and for models that make vectors."""

    model: str
    answers: Generate
    vectors: Embed


@dataclass(frozen=True, slots=True, repr=False)
class Order:
    """What the desk is asked about a tenant's files and batches; see dialects/frames.py."""

    deed: str
    fields: dict[str, Any]
    content: memoryview | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that the desk can do. `read` takes body and headers; it raises Misconfigured.

    Without `write` what comes is the content of a file.
    """

    read: Callable[[bytes, Headers], Order]
    write: Callable[[Any], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The desk keeps files and runs batches: what it does, by the request's method."""

    deeds: Mapping[str, Deed]
    uploads: bool = False  # a POST is a form with a file


Action = Generate | Count | Embed | ByKind | Judge | Keep | Listing | Single | Nodes | Deny


@dataclass(frozen=True, slots=True)
class Route:
    """What one request asks for."""

    methods: tuple[str, ...]
    action: Action

    @property
    def stream_type(self) -> str:
        """The Content-Type of a streamed answer."""
        if isinstance(self.action, Keep):
            return BYTES
        return self.action.stream_type if isinstance(self.action, Generate) else EVENT_STREAM

    @property
    def uploads(self) -> bool:
        """True if a body may be as large as a file."""
        return isinstance(self.action, Keep) and self.action.uploads


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


# What AWS's own SDKs and those of others for AWS name as the service in a signature.
SERVICES: Final = ("bedrock", "bedrock-mantle", "aws-external-anthropic")


def signature_of(headers: Headers) -> Claim | None:
    """The claim of a signed request, of whichever family; None if it is not signed.

    Raises NotProven if it is malformed.
    """
    if not headers.get(b"authorization", b"").startswith(b"AWS4"):
        return None
    return read_claim(headers, SERVICES)


def one_key(*given: str | None) -> str | None:
    """The one key among what a request carries; None if there is none, or two that differ."""
    keys = {key for key in given if key}
    return keys.pop() if len(keys) == 1 else None


def attempt_of(headers: Headers) -> tuple[str, bool]:
    """What a client calls a call in all its attempts, if it does, and whether it asks again."""
    invocation = headers.get(b"amz-sdk-invocation-id", headers.get(b"idempotency-key", b""))
    again = headers.get(b"x-stainless-retry-count", b"0").strip(b"0 ") != b""
    # ``attempt=2; max=3``, from most SDKs with ``ttl=...; `` before it.
    attempt = _ATTEMPT.search(headers.get(b"amz-sdk-request", b""))
    again = again or (attempt is not None and attempt[1] != b"1")
    return invocation.decode("latin-1")[:_INVOCATION_LENGTH_MAX], again


def bearer(headers: Headers) -> str | None:
    """The token of ``Authorization: Bearer``."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    return value.strip(b" ").decode("latin-1") if scheme.lower() == b"bearer" else None
