# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway answers to each request: the table of routes and the calls behind it.

Nothing here waits for a disk or a database: keys and deployments come from the snapshot in
memory, and only the last event of an answer waits, for its receipt.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol

from bastide.core.chat import Delta
from bastide.core.errors import BastideError, NotProven, Unavailable
from bastide.core.limits import RECEIPT_TIMEOUT_S, SIGNATURE_SKEW_MAX_S, SNAPSHOT_AGE_MAX_S
from bastide.core.receipt import Receipt
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.crypto.sigv4 import Claim, SignedRequest, verify_claim, verify_signature
from bastide.dialects.families import find_route
from bastide.dialects.surface import (
    BUSY,
    UNAUTHENTICATED,
    Context,
    Family,
    Problem,
    Route,
    Writer,
    problem_of,
    signature_of,
)
from bastide.gateway.auth import Signers, grant_of, well_formed
from bastide.gateway.inbound import Request
from bastide.gateway.reply import Headers, Reply, refusal
from bastide.gateway.window import EnginePool, WindowedEngine
from bastide.ports import Clock, Entropy
from bastide.stages.serve import Call, answer, choose, new_ident

__all__ = ["RECEIPT_HEADER", "Control", "Job", "Outgoing", "Routes"]

RECEIPT_HEADER: Final = "x-bastide-receipt"
_READ: Final = ("GET", "HEAD")


class Control(Protocol):
    """What the gateway needs from the control process."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot."""
        ...

    @property
    def received_at(self) -> float:
        """When control confirmed it, on the monotonic clock."""
        ...

    async def put(self, receipt: Receipt) -> None:
        """Return when a receipt is durable. Raises Unavailable otherwise."""
        ...


class Outgoing(Protocol):
    """The answering side of a connection."""

    def reply(self, reply: Reply) -> None:
        """Send a whole response."""
        ...

    async def stream(self, data: bytes, headers: Headers) -> None:
        """Send a part of a stream; the first call sends the head too. Waits for slow readers."""
        ...

    def finish(self, data: bytes, headers: Headers) -> None:
        """Send the last part of a stream."""
        ...

    def fail(self, reply: Reply, event: bytes) -> None:
        """Send `reply` if nothing was sent yet; else `event`, and break the stream off."""
        ...


Job = Callable[[Outgoing], Coroutine[Any, Any, None]]
Log = Callable[..., None]


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """Who calls, by which key or signing secret, and what was known then.

    With a claim this is only who they say they are, until the signature is verified.
    """

    key: str
    grant: KeyGrant
    snapshot: Snapshot
    claim: Claim | None = None


class Routes:
    """The whole data plane, for any number of connections."""

    def __init__(
        self,
        control: Control,
        pool: EnginePool,
        clock: Clock,
        entropy: Entropy,
        pepper: bytes,
        log: Log,
        receipt_timeout_s: float = RECEIPT_TIMEOUT_S,
    ) -> None:
        self._control = control
        self._pool = pool
        self._clock = clock
        self._entropy = entropy
        self._pepper = pepper
        self._signers = Signers(pepper)
        self._log = log
        self._receipt_timeout_s = receipt_timeout_s

    def new_ident(self) -> str:
        """The id of a request and of its receipt."""
        return new_ident(self._clock, self._entropy)

    def screen(self, request: Request) -> Reply | None:
        """Refuse by the head alone, before the body is read: route, method, freshness, key."""
        if request.path == "/healthz":
            return None if request.method in _READ else _wrong_method(request, _READ)
        request.family, request.route = find_route(request.path, request.query, request.headers)
        if request.route is None:
            problem = Problem(404, f"Unknown path: {request.path[:100]}", "unknown_url")
            return refusal(problem, request.family)
        if request.method not in request.route.methods:
            return _wrong_method(request, request.route.methods)
        caller = request.caller = self._caller(request)
        if isinstance(caller, Reply):
            return caller
        return _screen_body(request) if request.method == "POST" else None

    def respond(self, request: Request, ident: str) -> Reply | Job:
        """Answer a complete request: at once, or by a job that talks to an engine."""
        if request.refused is not None:
            return request.refused
        route = request.route
        if route is None:
            return self._health()
        # The body may have taken seconds to come: if there is another snapshot by now, ask again,
        # so that a revocation counts at once.
        caller = request.caller
        if caller is None or caller.snapshot is not self._fresh():
            caller = self._caller(request)
        # Before anything is read from the body: what is signed may be anybody's until now.
        caller = _proven(request, caller, ident)
        if isinstance(caller, Reply):
            return caller
        try:
            if route.decode is None:
                return _models(route, caller, request.body)
            return self._admit(request, ident, caller, route)
        except BastideError as error:
            return refusal(problem_of(error), request.family, ident)

    def _admit(self, request: Request, ident: str, caller: Caller, route: Route) -> Reply | Job:
        assert route.decode is not None
        asked = route.decode(request.body, ident)
        assert route.writer is not None  # a route without one refuses whatever it reads
        snapshot = caller.snapshot
        served = choose(snapshot, caller.grant, asked.request.model)
        engine = self._pool.engine(served, snapshot)
        if engine.full:
            return refusal(BUSY, request.family, ident)
        call = Call(
            ident, asked.request, caller.grant, served, snapshot.policy, caller.key, request.body
        )
        began_ms = self._clock.now_ms()
        writer = route.writer(
            Context(
                ident,
                began_ms // 1000,
                served.name,
                served.release,
                asked,
                lambda: max(0, self._clock.now_ms() - began_ms),
            )
        )
        return lambda out: self._generate(call, engine, writer, asked.stream, request.family, out)

    async def _generate(
        self,
        call: Call,
        engine: WindowedEngine,
        writer: Writer,
        streaming: bool,
        family: Family,
        out: Outgoing,
    ) -> None:
        headers = ((RECEIPT_HEADER, call.receipt),)
        try:
            deltas = answer(call, engine, self._control, self._clock, self._receipt_timeout_s)
            async with aclosing(deltas):
                if streaming:
                    await _stream(deltas, writer, out, headers)
                else:
                    await _whole(deltas, writer, out, headers)
        except BastideError as error:
            self._log("answer-failed", receipt=call.receipt, code=error.code)
            problem = problem_of(error)
            reply = refusal(problem, family, call.ident, headers=headers)
            out.fail(reply, family.event(problem, call.ident))

    def _caller(self, request: Request) -> Caller | Reply:
        # 1. Fresh evidence: a stale snapshot may hide a revocation.
        snapshot = self._fresh()
        if snapshot is None:
            stale = problem_of(Unavailable("The gateway has no fresh word from control."))
            return refusal(stale, request.family)
        # 2. A key that is active now, shown or signed with.
        try:
            claim = signature_of(request.family, request.query, request.headers)
            if claim is not None:
                return self._signer(request, claim, snapshot)
        except NotProven as error:
            return _not_signed(request, error)
        key = well_formed(request.family.key(request.query, request.headers))
        grant = None if key is None else grant_of(snapshot, self._pepper, key)
        if key is None or grant is None:
            return refusal(UNAUTHENTICATED, request.family)
        return Caller(key, grant, snapshot)

    def _signer(self, request: Request, claim: Claim, snapshot: Snapshot) -> Caller | Reply:
        """Who a signed request says it is from, if the rest of its claim holds at this time."""
        found = self._signers.find(snapshot, claim.access_key)
        # We issue no session tokens: whoever sends one has credentials of another place.
        if found is None or b"x-amz-security-token" in request.headers:
            return refusal(UNAUTHENTICATED, request.family)
        skew_ms = int(SIGNATURE_SKEW_MAX_S * 1000)
        verify_claim(claim, request.headers, self._clock.now_ms(), skew_ms)
        return Caller(found[1], found[0], snapshot, claim)

    def _health(self) -> Reply:
        if self._fresh() is None:
            return Reply(503, b'{"status":"stale"}')
        return Reply(200, b'{"status":"ok"}')

    def _fresh(self) -> Snapshot | None:
        """The snapshot, if control confirmed it within SNAPSHOT_AGE_MAX_S."""
        age_s = self._clock.monotonic() - self._control.received_at
        return self._control.snapshot if age_s <= SNAPSHOT_AGE_MAX_S else None


async def _stream(
    deltas: AsyncIterator[Delta], writer: Writer, out: Outgoing, headers: Headers
) -> None:
    opening = writer.first()
    async for delta in deltas:
        if delta.finish is not None:
            out.finish(opening + writer.last(delta), headers)
        elif delta.text:
            await out.stream(opening + writer.piece(delta.text), headers)
            opening = b""


async def _whole(
    deltas: AsyncIterator[Delta], writer: Writer, out: Outgoing, headers: Headers
) -> None:
    texts: list[str] = []
    async for delta in deltas:
        texts.append(delta.text)
        if delta.finish is not None:
            out.reply(Reply(200, writer.whole("".join(texts), delta), headers))


def _proven(request: Request, caller: Caller | Reply, ident: str) -> Caller | Reply:
    """The caller, once the signature over the whole request holds, if it is a signed one."""
    if isinstance(caller, Reply) or caller.claim is None:
        return caller
    signed = SignedRequest(
        request.method, request.path, request.query, request.headers, request.body
    )
    try:
        verify_signature(caller.claim, caller.key, signed)
    except NotProven as error:
        return _not_signed(request, error, ident)
    return caller


def _not_signed(request: Request, error: NotProven, ident: str = "") -> Reply:
    return refusal(Problem(403, error.message, "invalid_signature"), request.family, ident)


def _wrong_method(request: Request, allowed: tuple[str, ...]) -> Reply:
    shown = request.path[:100]
    problem = Problem(405, f"Not allowed to {request.method} on {shown}.", "method_not_allowed")
    return refusal(problem, request.family, headers=(("allow", ", ".join(allowed)),))


# `curl -d` says form-urlencoded whatever it sends. Every request bears a key that no browser adds
# by itself, so a form cannot be made to ask in somebody's name.
_MEDIA = frozenset({b"application/json", b"application/x-www-form-urlencoded", b""})


def _screen_body(request: Request) -> Reply | None:
    media = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media not in _MEDIA:
        message = "The Content-Type must be application/json."
        return refusal(Problem(415, message, "unsupported_content_type"), request.family)
    if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        problem = Problem(415, "A coded body is not supported.", "unsupported_content_type")
        return refusal(problem, request.family)
    return None


def _models(route: Route, caller: Caller, body: bytes) -> Reply:
    snapshot, grant = caller.snapshot, caller.grant
    if route.single is not None:
        name = route.model if route.named is None else route.named(body)
        served = choose(snapshot, grant, name)
        return Reply(200, route.single(served, snapshot.environment))
    assert route.listing is not None
    rows = [
        snapshot.served[name] for name in sorted(snapshot.served) if snapshot.opens(grant, name)
    ]
    return Reply(200, route.listing(rows, snapshot.environment))
