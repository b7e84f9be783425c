# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a caller who was let in gets: an answer, vectors, a count, or what there is to know.

An answer is a job, which the connection runs; what needs no engine is replied at once.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import structs

from bastide.core.chat import EmbedRequest, GenerateRequest
from bastide.core.erasure import ErasureList
from bastide.core.errors import Misconfigured, NotFound, Unavailable
from bastide.core.limits import SNAPSHOT_AGE_MAX_S
from bastide.core.receipt import Receipt, standing_of
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.core.standing import Standing
from bastide.crypto.sigv4 import Claim
from bastide.detectors.guard import Guard
from bastide.detectors.tenant_guards import Guards
from bastide.dialects.surface import (
    BUSY,
    EVENT_STREAM,
    ByKind,
    Context,
    Count,
    Deny,
    Embed,
    Generate,
    Judge,
    Keep,
    Listing,
    Nodes,
    Route,
    Single,
    attempt_of,
)
from bastide.gateway.filing import Desk, file_away
from bastide.gateway.inbound import Request
from bastide.gateway.jobs import Errand, Generation, House
from bastide.gateway.listing import told_of
from bastide.gateway.promising import Promises
from bastide.gateway.recall import Recall
from bastide.gateway.reply import Headers, Outgoing, Reply, refusal
from bastide.gateway.spending import Spending
from bastide.gateway.watch import Watch
from bastide.gateway.window import EnginePool, WindowedEngine
from bastide.ports import Clock
from bastide.stages.serve import Call, choose, embed

__all__ = ["RECEIPT_HEADER", "Answering", "Caller", "Control", "Job", "fresh_snapshot"]

RECEIPT_HEADER: Final = "x-bastide-receipt"
BUDGET_HEADER: Final = "x-bastide-budget"  # from the soft limit of a budget on


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

    @property
    def erasure(self) -> ErasureList | None:
        """The erasure list; the one before while a newer one is on its way."""
        ...

    async def ask(self, kind: str, body: Any) -> Any:
        """Ask for anything else. Raises the error that control answers."""
        ...

    def put(self, receipt: Receipt) -> Awaitable[None]:
        """Hand over a receipt; what is returned ends when it is durable, or raises Unavailable."""
        ...


Job = Callable[[Outgoing], Coroutine[Any, Any, None]]
Done = (
    Generate | Count | Embed | Judge | Keep | Listing | Single | Nodes | Deny
)  # a model is known by now
Log = Callable[..., None]
Wish = TypeVar("Wish", bound=GenerateRequest | EmbedRequest)


class Caller(msgspec.Struct, frozen=True):
    """Who calls, by which key or signing secret, and what was known then.

    With a claim this is only who they say they are, until the signature is verified. With
    `background` nobody waits: it is a line of a batch.
    """

    key: str
    grant: KeyGrant
    snapshot: Snapshot
    claim: Claim | None = None
    background: bool = False

    def __repr__(self) -> str:
        return f"Caller({self.grant.key})"  # never the key itself

    def as_own(self, request: Wish, standing: Standing, whole: bool) -> Wish:
        """A request as this caller's: whose it is, no client says."""
        tenant, background = self.grant.tenant, self.background
        more = {"whole": True} if whole else {}
        return structs.replace(
            request, tenant=tenant, background=background, standing=standing, **more
        )


def fresh_snapshot(control: Control, clock: Clock) -> Snapshot | None:
    """The snapshot, if control confirmed it within SNAPSHOT_AGE_MAX_S: it may hide a revocation."""
    age_s = clock.monotonic() - control.received_at
    return control.snapshot if age_s <= SNAPSHOT_AGE_MAX_S else None


class Answering:
    """Does what a route asks for."""

    def __init__(
        self,
        control: Control,
        pool: EnginePool,
        clock: Clock,
        log: Log,
        desk: Desk | None = None,
        watch: Watch | None = None,
        promises: Promises | None = None,
        recall: Recall | None = None,
    ) -> None:
        self._control = control
        self._pool = pool
        self._clock = clock
        self._desk = desk
        self._guards = Guards()
        watch, recall = watch or Watch(), recall or Recall()
        spending = Spending(clock)
        self._house = House(clock, log, watch, spending, recall, watch.answered, control, promises)

    def respond(self, request: Request, ident: str, caller: Caller, route: Route) -> Reply | Job:
        """Answer at once, or by a job. Raises what is wrong with the request."""
        outcome: Reply | Job
        match _action(route, caller):
            case Generate() as action:
                outcome = self._generate(request, ident, caller, action)
            case Listing() | Single() as action:
                outcome = Reply(200, told_of(action, caller.snapshot, caller.grant, request.body))
            case Count() as action:
                outcome = self._count(request, ident, caller, action)
            case Judge() as action:
                outcome = self._judge(request, ident, caller, action)
            case Embed() as action:
                outcome = self._embed(request, ident, caller, action)
            case Keep() as action:
                outcome = self._keep(request, ident, caller, action)
            case Nodes() as action:
                outcome = self._nodes(request, ident, caller, action)
            case Deny() as action:
                action.refuse(request.body, ident)
        return outcome

    def _generate(
        self, request: Request, ident: str, caller: Caller, action: Generate
    ) -> Reply | Job:
        asked = action.decode(request.body, ident)
        whole = not asked.stream
        call, engine = self._let_in(request, ident, caller, asked.request, whole=whole)
        if engine.full(caller.grant.tenant, len(request.body)):
            return refusal(BUSY, request.family, ident)
        began_ms = self._clock.now_ms()
        light = call.lightened() if asked.stream and not _is_sealed(asked.request) else None
        writer = action.writer(
            Context(
                ident,
                began_ms // 1000,
                call.served.name,
                call.served.release,
                # Of a stream that waits one request is enough, in the form that it was sent on.
                structs.replace(asked, request=light or call.request) if asked.stream else asked,
                _Since(self._clock, began_ms),
            )
        )
        headers = self._headers(caller, call)
        # Not Google's streams, nor those of AWS: their clients know no comments.
        may_promise = not asked.stream or action.stream_type == EVENT_STREAM
        return Generation(
            self._house,
            request.family,
            headers,
            call,
            engine,
            writer,
            asked.stream,
            may_promise,
            action.failing,
            light,
        )

    def _embed(self, request: Request, ident: str, caller: Caller, action: Embed) -> Reply | Job:
        asked = action.decode(request.body, ident)
        call, engine = self._let_in(request, ident, caller, asked.request)
        if engine.full(caller.grant.tenant, len(request.body)):
            return refusal(BUSY, request.family, ident)
        headers, house = self._headers(caller, call), self._house

        async def run(out: Outgoing) -> None:
            sink, reserved = house.counted(call, True)
            engine.hold()
            try:
                made = await embed(call, engine, sink, house.clock, house.note)
                out.reply(Reply(200, asked.write(made, call.served), sink.headers(headers)))
            finally:
                house.spending.release(reserved)
                if engine.release():
                    await engine.close()

        return Errand(house, request.family, ident, run, headers, call)

    def _count(self, request: Request, ident: str, caller: Caller, action: Count) -> Job:
        wish = action.decode(request.body, ident)
        call, engine = self._let_in(request, ident, caller, wish)
        asked = call.request
        assert isinstance(asked, GenerateRequest)

        async def run(out: Outgoing) -> None:
            out.reply(Reply(200, action.write(await engine.count(asked))))

        return Errand(self._house, request.family, ident, run, call=call)

    def _judge(self, request: Request, ident: str, caller: Caller, action: Judge) -> Reply:
        asked = action.decode(request.body, ident)
        guard = self._guard(caller)
        if guard is None:
            raise NotFound(action.absent, reasons=["guard_not_found"])
        return Reply(200, action.write(asked, guard.screened(asked.texts, asked.outward)))

    def _keep(self, request: Request, ident: str, caller: Caller, action: Keep) -> Job:
        desk = self._desk
        if desk is None:
            raise Unavailable("There is no desk here, which keeps files and runs batches.")
        deed = action.deeds[request.method]
        order = deed.read(request.body, request.headers)

        async def run(out: Outgoing) -> None:
            await file_away(desk, out, deed, order, caller.grant, caller.key, ident)

        return Errand(self._house, request.family, ident, run)

    def _nodes(self, request: Request, ident: str, caller: Caller, action: Nodes) -> Job:
        served = caller.snapshot.served.values()
        if served and all(row.attested is None for row in served):
            why = "Nodes are not attested here, so nothing can be sealed."
            raise NotFound(why, reasons=["node_not_found"])

        async def run(out: Outgoing) -> None:
            told = await self._control.ask("sealed-nodes", {"since": action.since})
            out.reply(Reply(200, told.encode()))

        return Errand(self._house, request.family, ident, run)

    def _headers(self, caller: Caller, call: Call) -> Headers:
        near = self._house.spending.warning(caller.snapshot, caller.grant)
        receipt = (RECEIPT_HEADER, call.receipt)
        return (receipt, (BUDGET_HEADER, near)) if near else (receipt,)

    def _guard(self, caller: Caller) -> Guard | None:
        if not caller.snapshot.guards:
            return None
        return self._guards.guard(
            caller.snapshot, self._control.erasure, caller.grant.tenant, self._clock.now_ms()
        )

    def _let_in(
        self,
        request: Request,
        ident: str,
        caller: Caller,
        asked: GenerateRequest | EmbedRequest,
        whole: bool = False,
    ) -> tuple[Call, WindowedEngine]:
        snapshot, grant = caller.snapshot, caller.grant
        served: Served = choose(snapshot, grant, asked.model)
        _require_kind(served, asked)
        invocation, retry = attempt_of(request.headers)
        guard = self._guard(caller)
        marks = () if guard is None else guard.decisions()
        standing = standing_of(
            "r_" + ident, grant.key, caller.key, request.body, marks, invocation, retry
        )
        call = Call(
            ident,
            caller.as_own(asked, standing, whole),
            grant,
            served,
            snapshot,
            caller.key,
            request.body,
            None if _is_sealed(asked) else guard,
            snapshot.prices.get(served.name),
            invocation,
            retry,
        )
        return call, self._pool.engine(served, snapshot)


def _is_sealed(asked: GenerateRequest | EmbedRequest) -> bool:
    """True for ciphertext, in which no guard finds anything: the runner applies the policy."""
    return isinstance(asked, GenerateRequest) and asked.sealed is not None


class _Since:
    """How many milliseconds have gone by."""

    __slots__ = ("_began_ms", "_clock")

    def __init__(self, clock: Clock, began_ms: int) -> None:
        self._clock = clock
        self._began_ms = began_ms

    def __call__(self) -> int:
        return max(0, self._clock.now_ms() - self._began_ms)


def _action(route: Route, caller: Caller) -> Done:
    """What a route does; where that depends on the model, what it does for this model."""
    action = route.action
    if not isinstance(action, ByKind):
        return action
    served = choose(caller.snapshot, caller.grant, action.model)
    return action.vectors if served.embeds else action.answers


def _require_kind(served: Served, asked: GenerateRequest | EmbedRequest) -> None:
    """Raise Misconfigured if a model makes vectors and is asked to answer, or the reverse."""
    if served.embeds is isinstance(asked, EmbedRequest):
        return
    makes = "embeddings and answers nothing" if served.embeds else "answers and no embeddings"
    raise Misconfigured(f"The model '{asked.model}' makes {makes}.", place="model")
