# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The asker: one line of a batch as a request that nobody sent, answered as one that came."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bastide.core.batch import Batch
from bastide.core.errors import BastideError, Unavailable
from bastide.core.limits import BATCH_ATTEMPTS_MAX, BATCH_RETRY_S_MAX
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.dialects.openai import OPENAI
from bastide.dialects.surface import Route, problem_of
from bastide.gateway.answering import RECEIPT_HEADER, Answering, Caller, Control, fresh_snapshot
from bastide.gateway.idents import Idents
from bastide.gateway.inbound import Request
from bastide.gateway.reply import Headers, Reply, refusal
from bastide.ports import Clock, Entropy

__all__ = ["Answer", "Asker", "KeyGone", "TimeOver"]

_POLL_S: Final = 0.2  # how soon a fresh word from control is seen
_AGAIN: Final = (500, 502, 503)


class KeyGone(Exception):
    """The key of a batch may do nothing any more."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class TimeOver(Exception):
    """The batch has expired."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What came of one line. `receipt` is empty if it was never begun."""

    ident: str
    status: int
    body: bytes
    receipt: str


class Asker:
    """Asks lines through the gateway's own answering, with the snapshot of the moment."""

    def __init__(
        self, answering: Answering, control: Control, clock: Clock, entropy: Entropy
    ) -> None:
        self._answering = answering
        self._control = control
        self._clock = clock
        self._idents = Idents(clock, entropy)

    async def ask(self, batch: Batch, body: bytes, stop: asyncio.Event) -> Answer | None:
        """Ask until there is an answer, or `stop`: then None. Raises KeyGone or TimeOver.

        What is busy is asked again until the batch expires, what is away a few times.
        """
        route = OPENAI.route(batch.endpoint, "", {})
        assert route is not None
        attempts = 0
        while not stop.is_set():
            snapshot = await self._fresh(batch, stop)
            if snapshot is None:
                return None
            grant = self._grant(snapshot, batch)
            ident = self._idents.new()
            request = Request("POST", batch.endpoint, "1.1", True, {}, body=body, route=route)
            caller = Caller(batch.secret, grant, snapshot, background=True)
            reply = await self._reply(request, ident, caller, route)
            headers = dict(reply.headers)
            attempts += reply.status in _AGAIN
            if reply.status != 429 and (
                reply.status not in _AGAIN or attempts >= BATCH_ATTEMPTS_MAX
            ):
                return Answer(ident, reply.status, reply.body, headers.get(RECEIPT_HEADER, ""))
            asked_s = float(headers.get("retry-after", "1"))
            with suppress(TimeoutError):
                wait_s = min(BATCH_RETRY_S_MAX, max(asked_s, 2.0**attempts / 2))
                await asyncio.wait_for(stop.wait(), wait_s)
        return None

    async def _reply(self, request: Request, ident: str, caller: Caller, route: Route) -> Reply:
        try:
            outcome = self._answering.respond(request, ident, caller, route)
        except BastideError as error:
            return refusal(problem_of(error), OPENAI, ident)
        if isinstance(outcome, Reply):
            return outcome
        whole = _Whole()
        await outcome(whole)
        assert whole.got is not None
        return whole.got

    async def _fresh(self, batch: Batch, stop: asyncio.Event) -> Snapshot | None:
        """A snapshot that control has confirmed just now; None once the batch is to stop."""
        while not stop.is_set():
            if self._clock.now_ms() // 1000 >= batch.expires_s:
                raise TimeOver
            snapshot = fresh_snapshot(self._control, self._clock)
            if snapshot is not None:
                return snapshot
            await asyncio.sleep(_POLL_S)
        return None

    def _grant(self, snapshot: Snapshot, batch: Batch) -> KeyGrant:
        for grant in snapshot.keys.values():
            if grant.key == batch.key and grant.tenant == batch.tenant:
                if grant.ended(self._clock.now_ms()):
                    raise KeyGone("key_expired", "The API key of this batch has expired.")
                return grant
        raise KeyGone("key_revoked", "The API key of this batch was revoked.")


class _Whole:
    """An `Outgoing` that keeps the whole response."""

    def __init__(self) -> None:
        self.got: Reply | None = None

    def reply(self, reply: Reply) -> None:
        self.got = reply

    def stream(self, data: bytes, headers: Headers) -> None:
        raise Unavailable("A batch does not stream.")

    def finish(self, data: bytes, headers: Headers) -> None:
        self.got = Reply(200, data, headers)

    def fail(self, reply: Reply, event: bytes) -> None:
        self.got = self.got or reply
