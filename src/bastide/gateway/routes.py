# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Who may ask what: the table of routes, and the checks before a request is answered.

Nothing here waits for a disk or a database: keys and deployments come from the snapshot in
memory, and only the last event of an answer waits, for its receipt.
"""

from typing import Final

from bastide.app.seen import Seen
from bastide.core.errors import BastideError, NotProven, Unavailable
from bastide.core.limits import SIGNATURE_REPEAT_S, SIGNATURE_SKEW_MAX_S
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.crypto.sigv4 import Claim, SignedRequest, verify_claim, verify_signature
from bastide.dialects.families import find_route
from bastide.dialects.surface import (
    UNAUTHENTICATED,
    Deny,
    Problem,
    problem_of,
    signature_of,
)
from bastide.gateway.answering import Answering, Caller, Control, Job, Log, fresh_snapshot
from bastide.gateway.auth import Signers, grant_of, inside, well_formed
from bastide.gateway.filing import Desk
from bastide.gateway.idents import Idents
from bastide.gateway.inbound import Request
from bastide.gateway.promising import Promises
from bastide.gateway.recall import Recall
from bastide.gateway.reply import Reply, refusal
from bastide.gateway.uploads import Uploads
from bastide.gateway.watch import Watch
from bastide.gateway.window import EnginePool
from bastide.ports import Clock, Entropy

__all__ = ["Routes"]

_READ: Final = ("GET", "HEAD")


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
        seen: Seen,
        desk: Desk | None = None,
        watch: Watch | None = None,
        promises: Promises | None = None,
        recall: Recall | None = None,
    ) -> None:
        self._control = control
        self._clock = clock
        self._idents = Idents(clock, entropy)
        self._pepper = pepper
        self._signers = Signers(pepper)
        self._seen = seen
        self._uploads = Uploads()
        self.watch = watch or Watch()
        self._answering = Answering(control, pool, clock, log, desk, self.watch, promises, recall)

    def new_ident(self) -> str:
        """The id of a request and of its receipt."""
        return self._idents.new()

    def screen(self, request: Request) -> Reply | None:
        """Refuse by the head alone, before the body is read: route, method, freshness, key."""
        reply = self._screen(request)
        if reply is not None:
            self.watch.refused(request.family.name, reply.status)
        return reply

    def respond(self, request: Request, ident: str) -> Reply | Job:
        """Answer a complete request: at once, or by a job that talks to an engine."""
        outcome = self._respond(request, ident)
        # What was refused by its head is counted already; a job counts its own end.
        if isinstance(outcome, Reply) and outcome.status >= 400 and outcome is not request.refused:
            self.watch.refused(request.family.name, outcome.status)
        return outcome

    def _screen(self, request: Request) -> Reply | None:
        if request.path == "/healthz":
            return None if request.method in _READ else _wrong_method(request, _READ)
        request.family, request.route = find_route(request.path, request.query, request.headers)
        if request.route is None:
            problem = Problem(404, f"Unknown path: {request.path[:100]}", "unknown_url")
            return refusal(problem, request.family)
        if request.method not in request.route.methods:
            return _wrong_method(request, request.route.methods)
        caller = request.caller = self._caller(request)
        if isinstance(caller, Reply) or request.method != "POST":
            return caller if isinstance(caller, Reply) else None
        if request.route.uploads:
            return self._uploads.screen(request, caller.grant.tenant)
        # What is not there at all is refused by its name, in whatever form it was asked for.
        return None if isinstance(request.route.action, Deny) else _screen_body(request)

    def _respond(self, request: Request, ident: str) -> Reply | Job:
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
        caller = self._proven(request, caller, ident)
        if isinstance(caller, Reply):
            return caller
        try:
            return self._answering.respond(request, ident, caller, route)
        except BastideError as error:
            return refusal(problem_of(error), request.family, ident)

    def _caller(self, request: Request) -> Caller | Reply:
        # 1. Fresh evidence: a stale snapshot may hide a revocation.
        snapshot = self._fresh()
        if snapshot is None:
            stale = problem_of(Unavailable("The gateway has no fresh word from control."))
            return refusal(stale, request.family)
        # 2. A key that is active now, shown or signed with.
        try:
            claim = signature_of(request.headers)
            if claim is not None:
                return self._signer(request, claim, snapshot)
        except NotProven as error:
            return _not_signed(request, error)
        return self._known(request, snapshot) or self._by_key(request, snapshot)

    def _by_key(self, request: Request, snapshot: Snapshot) -> Caller | Reply:
        key = well_formed(request.family.key(request.query, request.headers))
        grant = None if key is None else grant_of(snapshot, self._pepper, key)
        if key is None or grant is None or self._ended(grant):
            return refusal(UNAUTHENTICATED, request.family)
        caller = _within(request, grant) or Caller(key, grant, snapshot)
        if request.known is not None and isinstance(caller, Caller):
            request.known.caller, request.known.family = caller, request.family
        return caller

    def _known(self, request: Request, snapshot: Snapshot) -> Caller | None:
        """The caller of this connection's last request, if nothing differs in this one.

        The key is compared with what the same client has shown to us: its time tells nothing new.
        """
        known = request.known
        if known is None or known.caller is None or known.family is not request.family:
            return None
        caller: Caller = known.caller
        if caller.snapshot is not snapshot or self._ended(caller.grant):
            return None
        return caller if request.family.key(request.query, request.headers) == caller.key else None

    def _ended(self, grant: KeyGrant) -> bool:
        return grant.expires_ms > 0 and grant.ended(self._clock.now_ms())

    def _signer(self, request: Request, claim: Claim, snapshot: Snapshot) -> Caller | Reply:
        """Who a signed request says it is from, if the rest of its claim holds at this time."""
        found = self._signers.find(snapshot, claim.access_key)
        # We issue no session tokens: whoever sends one has credentials of another place.
        foreign = b"x-amz-security-token" in request.headers
        if found is None or foreign or self._ended(found[0]):
            return refusal(UNAUTHENTICATED, request.family)
        skew_ms = int(SIGNATURE_SKEW_MAX_S * 1000)
        # What was signed before the table of seen signatures was made may have been answered then.
        since_ms = self._seen.born_ms - int(SIGNATURE_REPEAT_S * 1000)
        verify_claim(claim, request.headers, self._clock.now_ms(), skew_ms, since_ms)
        return _within(request, found[0]) or Caller(found[1], found[0], snapshot, claim)

    def _proven(self, request: Request, caller: Caller | Reply, ident: str) -> Caller | Reply:
        """The caller, once the signature over the whole request holds, if it is a signed one."""
        if isinstance(caller, Reply) or caller.claim is None:
            return caller
        signed = SignedRequest(
            request.method, request.path, request.query, request.headers, request.body
        )
        try:
            verify_signature(caller.claim, caller.key, signed)
            self._seen.take(caller.claim.signature, self._clock.monotonic())
        except NotProven as error:
            return _not_signed(request, error, ident)
        except Unavailable as error:
            return refusal(problem_of(error), request.family, ident)
        return caller

    def _health(self) -> Reply:
        if self._fresh() is None:
            return Reply(503, b'{"status":"stale"}')
        return Reply(200, b'{"status":"ok"}')

    def _fresh(self) -> Snapshot | None:
        """The snapshot, if control confirmed it within SNAPSHOT_AGE_MAX_S."""
        return fresh_snapshot(self._control, self._clock)


def _within(request: Request, grant: KeyGrant) -> Reply | None:
    """What to say to a key that may not be used from where, or in the way, that it is."""
    if grant.dialects and request.family.name not in grant.dialects:
        message = f"This API key may not be used with the {request.family.name} API."
        return refusal(Problem(403, message, "dialect_not_allowed"), request.family)
    if grant.networks and not inside(grant.networks, request.address):
        message = "This API key may not be used from this address."
        return refusal(Problem(403, message, "network_not_allowed"), request.family)
    # RFC 8705, section 3, by name: who stole the key has not the certificate. Without TLS, or
    # where none is asked for, there is no name, and the key opens nothing.
    if grant.peers and request.peer not in grant.peers:
        message = "This API key may not be used without its client certificate."
        return refusal(Problem(403, message, "certificate_not_allowed"), request.family)
    return None


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
