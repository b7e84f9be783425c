# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Runner: keeps one engine alive and serves it over a Unix socket (dialects/frames.py).

* A dead engine is started again after a pause of ENGINE_BACKOFF_S. Its streams end with an error;
  while it is down, requests are refused at once.
* Nobody's slowness costs memory: what a client does not read waits in the engine. When a client
  goes away, its answers stop.
* What was handed to a gateway that may have no receipt of it is reported when its link breaks
  (app/handed.py).
* Answers begin in the order of app/turns.py, and not before the engine has a slot for them.
* A sealed request is opened here (app/sealed_door.py), and its answer leaves sealed.
* An engine that may not be loaded (Refused, NotProven, Misconfigured) ends the runner: to try
  again would not help, and to serve it would be wrong.
"""

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bastide.app.handed import Handed
from bastide.app.handed_journal import HandedJournal, Row
from bastide.app.joined import Joined
from bastide.app.listening import bind_private
from bastide.app.peers import peer_process
from bastide.app.process import log
from bastide.app.runner_far import FarSocket
from bastide.app.runner_link import RunnerLink
from bastide.app.sealed_door import SealedDoor
from bastide.app.turns import Turns
from bastide.app.wiring_services import Door
from bastide.core.chat import Delta, EmbedRequest, GenerateRequest, Usage
from bastide.core.ending import ending
from bastide.core.errors import BastideError, Busy, Down, Misconfigured, NotFound, Unavailable
from bastide.core.limits import (
    ENGINE_BACKOFF_S,
    RUNNER_DRAIN_S,
    RUNNER_STREAMS_MAX,
)
from bastide.core.standing import Cut
from bastide.dialects.frames import Frame, FrameReader, decode
from bastide.ports import Clock, Engine

__all__ = ["Runner"]

_READ_BYTES = 65_536
_STEADY_S = 30.0  # an engine that lived this long did not fail at its start


class _Mortal(Engine, Protocol):
    async def wait(self) -> int: ...


class Runner:
    """Serves one deployment.

    `make_engine` verifies, loads and starts; `on_loaded` records the load, and nothing is served
    before it returns. Both are called again for every start. `turns` has as many slots as the
    engine; without it nobody waits. `on_cut` is told the process id of a gateway whose link has
    ended, and what it was handed lately; without it nothing is remembered. No answer begins that
    `journal` cannot take.
    """

    def __init__(
        self,
        make_engine: Callable[[], Awaitable[_Mortal]],
        socket: Path,
        clock: Clock,
        on_loaded: Callable[[], Awaitable[None]] | None = None,
        turns: Turns | None = None,
        streams_max: int = RUNNER_STREAMS_MAX,
        on_cut: Callable[[int, Iterable[Cut]], None] | None = None,
        journal: HandedJournal | None = None,
        sealed: SealedDoor | None = None,
        far: FarSocket | None = None,
    ) -> None:
        self._sealed, self._far = sealed, far
        self._on_cut = on_cut
        self._journal = journal
        self._make_engine = make_engine
        self._socket = socket
        self._clock = clock
        self._on_loaded = on_loaded
        self._streams_max = streams_max
        self._turns = turns or Turns(streams_max, clock)
        self._engine: _Mortal | None = None
        self._why = "the engine is starting"
        self._connections: set[RunnerLink] = set()

    @property
    def up(self) -> bool:
        """True while its engine can answer."""
        return self._engine is not None

    def handed(self) -> Iterator[Row]:
        """What gateways were handed that may have no receipt, for the journal."""
        return itertools.chain.from_iterable([link.rows() for link in self._connections])

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then let answers end. Raises what forbids the engine."""
        server = await asyncio.start_unix_server(self._serve, sock=bind_private(self._socket))
        servers: list[Door] = [server]
        if self._far is not None:
            crowded = functools.partial(self._log, "door_crowded")
            servers.append(await self._far.start(self._serve, crowded))
        keeping = asyncio.ensure_future(self._keep_alive())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((keeping, stopping), return_when=asyncio.FIRST_COMPLETED)
            for one in servers:
                one.close()
            self._why = "the runner is stopping"
            engine, self._engine = self._engine, None
            if engine is not None and stop.is_set():
                await self._drain()
        finally:
            for one in servers:
                one.close()
            stopping.cancel()
            keeping.cancel()
            await asyncio.wait((keeping,))
            for connection in tuple(self._connections):
                connection.abort()
            self._socket.unlink(missing_ok=True)
        if not keeping.cancelled():
            keeping.result()

    async def _keep_alive(self) -> None:
        failures = 0
        while True:
            started = self._clock.monotonic()
            try:
                await self._one_life()
            except Unavailable as error:
                self._why = error.message
            if self._clock.monotonic() - started > _STEADY_S:
                failures = 0
            pause = ENGINE_BACKOFF_S[min(failures, len(ENGINE_BACKOFF_S) - 1)]
            failures += 1
            self._log("engine_down", why=self._why, pause_s=pause)
            await asyncio.sleep(pause)

    async def _one_life(self) -> None:
        engine = await self._make_engine()
        try:
            if self._on_loaded is not None:
                await self._on_loaded()
            self._engine = engine
            self._log("engine_up")
            status = await engine.wait()
            self._why = f"the engine {ending(status)} and is started again"
        finally:
            self._engine = None
            # Also ends its streams, should they not have noticed.
            await engine.close()

    async def _drain(self) -> None:
        tasks = [task for connection in self._connections for task in connection.tasks.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=RUNNER_DRAIN_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            gateway = peer_process(writer) if self._far is None else self._far.gateway(writer)
        except BastideError as error:
            self._log("stranger", why=error.message)
            writer.transport.abort()
            return
        handed = None if self._on_cut is None else Handed(self._clock, gateway, self._journal)
        connection = RunnerLink(writer, self._answer, self._streams_max, handed)
        self._connections.add(connection)
        frames = FrameReader()
        try:
            while data := await reader.read(_READ_BYTES):
                for frame in frames.feed(data):
                    connection.take(frame)
        except Misconfigured as error:
            self._log("bad_client", why=error.message)
        except OSError:
            pass  # the client is gone
        finally:
            try:
                await connection.close()
            finally:  # the journal has the rows of the one or of the other at any time
                if self._on_cut is not None and handed is not None and (cut := handed.unsettled()):
                    self._on_cut(gateway, cut)
                self._connections.discard(connection)

    async def _answer(self, connection: RunnerLink, frame: Frame) -> None:
        try:
            await self._dispatch(connection, frame)
        except BastideError as error:
            after_s = error.retry_after_s if isinstance(error, Busy) else 0.0
            await connection.send(frame.stream, "error", [error.code, error.message, after_s])
        except OSError:
            pass  # the client is gone
        except Exception as error:
            self._log("stream_failed", error=type(error).__name__)
            await connection.send(
                frame.stream, "error", [Unavailable.code, "the engine failed", 0.0]
            )

    async def _dispatch(self, connection: RunnerLink, frame: Frame) -> None:
        engine = self._running()
        match frame.kind:
            case "generate":
                await self._generate(connection, frame.stream, decode(frame, GenerateRequest))
            case "count":
                counted = await engine.count(decode(frame, GenerateRequest))
                await connection.send(frame.stream, "counted", counted)
            case "embed":
                await self._embed(connection, frame.stream, decode(frame, EmbedRequest))
            case "next_tokens":
                prompt, count = decode(frame, tuple[str, int])
                choices = await engine.next_tokens(prompt, count)
                await connection.send(frame.stream, "tokens", list(choices))
            case "health":
                await engine.health()
                await connection.send(frame.stream, "ok", None)
            case _:
                raise Misconfigured(f"a runner knows no frame {frame.kind!r}")

    async def _generate(
        self, connection: RunnerLink, stream: int, request: GenerateRequest
    ) -> None:
        if request.sealed is not None:
            await self._generate_sealed(connection, stream, request)
            return
        async with self._turns.turn(request) as turn:
            answer = self._running().generate(
                msgspec.structs.replace(request, priority=turn.priority, standing=None)
            )
            async with aclosing(answer) as deltas:  # type: ignore[type-var]
                joined = Joined(self._clock) if request.whole else None
                with connection.handing(request) as handed:
                    async for delta in deltas:
                        turn.streamed(delta)
                        for ready in (delta,) if joined is None else joined.take(delta):
                            handed.hand(ready)
                            await connection.send(stream, "delta", ready)

    async def _generate_sealed(
        self, connection: RunnerLink, stream: int, request: GenerateRequest
    ) -> None:
        if self._sealed is None:
            raise NotFound("No attested node is here, which could open it.")
        lines = self._sealed.answer(request, _InTurn(self._turns, self._running))
        async with aclosing(lines):
            with connection.handing(request) as handed:
                async for delta in lines:
                    handed.hand(delta)
                    await connection.send(stream, "delta", delta)

    async def _embed(self, connection: RunnerLink, stream: int, request: EmbedRequest) -> None:
        async with self._turns.turn(request) as turn:
            with connection.handing(request) as handed:
                embedded = await self._running().embed(
                    msgspec.structs.replace(request, standing=None)
                )
                turn.usage = Usage(embedded.prompt_tokens)
                handed.hand_vectors(embedded)
        await connection.send(stream, "embedded", embedded)

    def _running(self) -> _Mortal:
        """The engine, which may be another one than when a request came. Raises Down."""
        if self._engine is None:
            raise Down(self._why)
        return self._engine

    def _log(self, event: str, **fields: Any) -> None:
        log("runner", event, self._clock.now_ms, **fields)


class _InTurn:
    """The engine for whoever has waited for a turn: what is asked of it waits here."""

    def __init__(self, turns: Turns, running: Callable[[], Engine]) -> None:
        self._turns, self._running = turns, running

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        async with self._turns.turn(request) as turn:
            answer = self._running().generate(
                msgspec.structs.replace(request, priority=turn.priority)
            )
            async with aclosing(answer) as deltas:  # type: ignore[type-var]
                async for delta in deltas:
                    turn.streamed(delta)
                    yield delta
