# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The runner's side of sealed mode: opens requests, and seals what is answered.

1. Open with the key that this machine's hardware quoted; what stands beside the ciphertext is bound
   to it. Not older than SEALED_SKEW_S, and never twice, also if the machine's clock is set back.
2. Read the request inside in its own dialect. It asks the model that the key was checked for, and
   for no more tokens than the client said outside.
3. Answer it behind the tenant's guard, in its dialect, one sealed line a piece. What is wrong with
   the request is told inside the seal. Outside an answer's end is always `stop`.
4. The last line is the node's own statement: the receipt's id, counts, and what the guard did.

Nothing of it outlives the answer here. What the engine keeps of a prompt is used for no other one:
the gateway says which tenant asks, so it could try guesses in a tenant's name, and read from counts
and times how far they are right.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import structs

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Hearing, Usage
from bastide.core.erasure import ErasureList
from bastide.core.errors import BastideError, Busy, Misconfigured, NotProven, Unavailable
from bastide.core.limits import SEALED_HEADERS_MAX, SEALED_SEEN_MAX, SEALED_SKEW_S
from bastide.core.sealed import SUITE, bound
from bastide.core.snapshot import Snapshot
from bastide.crypto.base64url import b64url, unb64url
from bastide.crypto.sealing import ENC_BYTES, AnswerSealer, Kind, Opened, open_request
from bastide.detectors.guard import Guard
from bastide.detectors.tenant_guards import Guards
from bastide.dialects.families import find_answers, find_route
from bastide.dialects.problems import problem_of
from bastide.dialects.surface import JSON, Asked, Context, Family, Generate
from bastide.ports import Clock, Entropy
from bastide.stages.serve import Answerer, guarded, unguarded

__all__ = ["ANSWER_TYPE", "SealedDoor", "Served"]

ANSWER_TYPE: Final = "https://bastide.eu/sealed-answer/v1"


class Control(Protocol):
    """What is asked of the link to control."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot."""
        ...

    @property
    def erasure(self) -> ErasureList | None:
        """The erasure list in force."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What this runner serves: the deployment's digest and name, and the release's digest."""

    deployment: str
    name: str
    release: str


class _Inside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of what was sealed; the body follows it."""

    path: str
    query: str = ""
    headers: dict[str, str] = {}


_read_inside = msgspec.json.Decoder(_Inside).decode


class _Seen:
    """Requests that were opened, by what makes each another one, while their time counts.

    None that is forgotten is taken again, whatever the machine's clock is set to: no time up to the
    latest of those that are forgotten counts any more, and nobody sets the monotonic clock back.
    """

    def __init__(self) -> None:
        self._when: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._forgotten_ms = 0

    def take(self, mark: bytes, time_ms: int, now: float) -> None:
        """Raises NotProven if it came before or may have, Busy if no more can be remembered."""
        while self._when and next(iter(self._when.values()))[0] < now - 2 * SEALED_SKEW_S:
            _, (_, forgotten_ms) = self._when.popitem(last=False)
            self._forgotten_ms = max(self._forgotten_ms, forgotten_ms)
        if time_ms <= self._forgotten_ms:
            raise NotProven(
                "sealed: older than requests that this node has forgotten; its clock was set back",
                fix="set the node's clock, or start its runner again, which makes a new key",
            )
        if mark in self._when:
            raise NotProven("sealed: this request came before, and none is answered twice")
        if len(self._when) >= SEALED_SEEN_MAX:
            raise Busy("Too many sealed requests in a short time.", retry_after_s=SEALED_SKEW_S)
        self._when[mark] = now, time_ms


class SealedDoor:
    """Answers sealed requests with one node's key. Belongs to one event loop."""

    def __init__(
        self,
        key: X25519PrivateKey,
        served: Served,
        control: Control,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._key, self._served, self._control = key, served, control
        self._clock, self._entropy = clock, entropy
        self._node = b64url(key.public_key().public_bytes_raw())
        self._seen = _Seen()
        self._guards = Guards()

    async def answer(self, outer: GenerateRequest, engine: Answerer) -> AsyncGenerator[Delta, None]:
        """The lines of an answer, as deltas of ciphertext.

        Raises, before the first of them, NotProven for what does not open, or Busy.
        """
        # 1.
        opened, sealed = self._opened(outer)
        call = _Sealing(AnswerSealer(opened.secret, self._entropy.token(32), sealed))
        family: Family | None = None
        try:
            # 2.
            family, action, body = _found(opened.content)
            if action is None:
                raise Misconfigured("Sealed mode answers chats and completions, and nothing else.")
            asked = _bounded(outer, action.decode(body, outer.ident))
            guard = self._guard(outer.tenant)
            # 3.
            pieces = self._pieces(outer, action, asked, guard, engine, call)
            async with aclosing(pieces):
                async for delta in pieces:
                    yield delta
        except Unavailable:
            raise  # busy or broken: others may be asked, and this says nothing of what is inside
        except BastideError as error:
            if call.begun:
                raise
            yield self._refused(outer, error, family, call)

    def _opened(self, outer: GenerateRequest) -> tuple[Opened, bytes]:
        beside = outer.sealed
        if beside is None or beside.suite != SUITE or beside.node != self._node:
            raise NotProven("sealed: to another node, or one that has started again since")
        info = bound(
            beside.suite, beside.node, beside.replica, outer.model, outer.sampling.max_tokens or 0
        )
        try:
            sealed = unb64url(outer.prompt or "")
        except ValueError as error:
            raise Misconfigured("sealed: not base64url", place="sealed") from error
        opened = open_request(self._key, info, sealed)
        if abs(opened.time_ms - self._clock.now_ms()) > SEALED_SKEW_S * 1000:
            raise NotProven(
                f"sealed: its time is more than {SEALED_SKEW_S:g} s from the node's",
                fix="set the client's clock",
            )
        self._seen.take(sealed[:ENC_BYTES], opened.time_ms, self._clock.monotonic())
        return opened, sealed

    def _guard(self, tenant: str) -> Guard | None:
        snapshot = self._control.snapshot
        if snapshot is None:
            raise Unavailable("The runner has no word from control on guard policies.")
        return self._guards.guard(snapshot, self._control.erasure, tenant, self._clock.now_ms())

    async def _pieces(
        self,
        outer: GenerateRequest,
        action: Generate,
        asked: Asked,
        guard: Guard | None,
        engine: Answerer,
        call: "_Sealing",
    ) -> AsyncGenerator[Delta, None]:
        began = self._clock.now_ms()
        writer = action.writer(
            Context(
                outer.ident,
                began // 1000,
                self._served.name,
                self._served.release,
                asked,
                lambda: max(0, self._clock.now_ms() - began),
            )
        )
        content_type = action.stream_type if asked.stream else JSON
        call.head(200, content_type, (("x-bastide-receipt", _receipt(outer)),))
        hearing, opening = Hearing(), writer.first() if asked.stream else b""
        request = asked.request
        stream = unguarded(request, engine) if guard is None else guarded(request, engine, guard)
        async for delta in stream:
            if asked.stream:
                body = _written(writer, delta)
                data, opening = (opening + body, b"") if body else (b"", opening)
            else:
                hearing.hear(delta)
                data = b"" if delta.finish is None else writer.whole(hearing.said(), delta)
            if delta.finish is not None:
                yield self._ended(outer, call, data, delta, guard)
                return
            if data or delta.usage is not None:
                yield Delta(call.body(data), usage=delta.usage)
        raise Unavailable("The engine stopped before the end of the answer.")

    def _refused(
        self, outer: GenerateRequest, error: BastideError, family: Family | None, call: "_Sealing"
    ) -> Delta:
        family = family or find_route("/v1/chat/completions", "", {})[0]
        refusal = family.refusal(problem_of(error), outer.ident)
        call.head(refusal.status, JSON, refusal.headers)
        return self._ended(outer, call, refusal.body, Delta("", FinishReason.STOP, Usage()), None)

    def _ended(
        self,
        outer: GenerateRequest,
        call: "_Sealing",
        data: bytes,
        delta: Delta,
        guard: Guard | None,
    ) -> Delta:
        # 4.
        usage = delta.usage or Usage()
        end: dict[str, Any] = {
            "type": ANSWER_TYPE,
            "receipt": _receipt(outer),
            "node": self._node,
            "deployment": self._served.deployment,
            "release": self._served.release,
            "finish": str(delta.finish),
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
            "guard": [] if guard is None else list(guard.decisions()),
        }
        # An engine's own failure stays one: the gateway tells it, and the client has no end then.
        failed = delta.finish in (FinishReason.ERROR, FinishReason.CANCELLED)
        finish = delta.finish if failed else FinishReason.STOP
        return Delta(call.body(data, Kind.CLOSING) + call.end(end), finish, usage)


class _Sealing:
    """An answer as far as it is sealed. The head goes with the first piece."""

    def __init__(self, sealer: AnswerSealer) -> None:
        self._sealer = sealer
        self._head = b""
        self.begun = False

    def head(self, status: int, content_type: str, headers: tuple[tuple[str, str], ...]) -> None:
        """What the client's SDK sees first."""
        rows = [["content-type", content_type], *map(list, headers)]
        self._head = msgspec.json.encode({"status": status, "headers": rows})

    def body(self, data: bytes, kind: Kind = Kind.BODY) -> str:
        """Lines of the head, if it has not gone, and of a piece; "" for none."""
        if not data:
            return ""
        head, self._head = self._head, b""
        self.begun = True
        first = self._sealer.line(Kind.HEAD, head) if head else ""
        return first + self._sealer.line(kind, data)

    def end(self, statement: dict[str, Any]) -> str:
        """The last line."""
        self.begun = True
        return self._sealer.line(Kind.END, msgspec.json.encode(statement))


def _found(content: bytes) -> tuple[Family, Generate | None, bytes]:
    """The family of what was sealed, how it answers, and the body. Raises Misconfigured."""
    head, _, body = content.partition(b"\n")
    try:
        inside = _read_inside(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Misconfigured("The sealed content is no request.") from error
    if len(inside.headers) > SEALED_HEADERS_MAX:
        raise Misconfigured("The sealed request has too many headers.")
    headers = {name.lower().encode(): text.encode() for name, text in inside.headers.items()}
    return *find_answers(inside.path, inside.query, headers), body


def _written(writer: Any, delta: Delta) -> bytes:
    if delta.finish is not None:
        return writer.last(delta)
    if delta.call is not None:
        return writer.call(delta.call)
    return writer.piece(delta.text) if delta.text else b""


def _receipt(outer: GenerateRequest) -> str:
    return outer.standing.receipt if outer.standing is not None else "r_" + outer.ident


def _bounded(outer: GenerateRequest, asked: Asked) -> Asked:
    """The request inside as the gateway let it in. Raises Misconfigured if it asks for more."""
    request, most = asked.request, outer.sampling.max_tokens or 0
    if request.model != outer.model:
        raise Misconfigured("The sealed request is for another model than it says.", place="model")
    wanted = request.sampling.max_tokens
    if wanted is not None and wanted > most:
        raise Misconfigured(
            f"The sealed request asks for {wanted} tokens, and says outside that it has at most"
            f" {most}: raise the client's limit.",
            place="max_tokens",
        )
    sampling = structs.replace(request.sampling, max_tokens=most if wanted is None else wanted)
    meant = structs.replace(
        request,
        sampling=sampling,
        tenant=outer.tenant,
        background=outer.background,
        whole=not asked.stream,
        apart=True,
    )
    return structs.replace(asked, request=meant)
