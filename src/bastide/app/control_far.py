# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control's door for other machines: mutual TLS on `control_listen`, and nobody without a name.

Who connects has a certificate of the services' authority, or no connection. Its SPIFFE ID says
which machine it is; the ledger says whether that machine counts, and by which key.
"""

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import Engine

from bastide.app import wiring, wiring_services, wiring_store
from bastide.app.config import Home, Settings
from bastide.app.listening import bind_address, raise_descriptors
from bastide.app.machine_broker import MachineBroker
from bastide.app.machine_guests import Guests
from bastide.app.machines import Machines
from bastide.app.node_broker import active_deployment, objects_of
from bastide.app.process import log
from bastide.core.errors import BastideError, NotAllowed, Unavailable
from bastide.core.limits import SERVICE_RENEW_S
from bastide.core.service import Caller
from bastide.core.spiffe import service_path
from bastide.crypto.dsse import Signer
from bastide.dialects import frames
from bastide.ledger import Ledger
from bastide.ports import Clock

__all__ = ["FarDoor", "drop_removed", "open_far_door", "refuse"]

_ROLES = {"invitation": "joiner", "machine": "machine"}
_AGAIN_S = 1.0
_LAST_WORD_S = 0.5  # for who is refused to read why

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Caller], Awaitable[None]]
Answer = Callable[[Caller, dict[str, Any]], Any]


class FarDoor:
    """Belongs to control's event loop, `caller` to any thread."""

    def __init__(self, settings: Settings, broker: MachineBroker, clock: Clock) -> None:
        self._settings, self._broker, self._clock = settings, broker, clock
        self.guests = Guests()

    @property
    def answers(self) -> dict[str, Answer]:
        """What each kind of frame asks for, with who asks."""
        return self._broker.answers

    @property
    def machines(self) -> Machines:
        """Who may come."""
        return self._broker.machines

    def caller(self, transport: asyncio.BaseTransport) -> Caller:
        """Who is at the other end. Raises NotProven or NotAllowed."""
        identity, key = wiring_services.peer_of(transport)
        path = service_path(identity, self._settings.environment)
        if len(path) != 2 or path[0] not in _ROLES:
            raise NotAllowed(f"{identity} does not connect to control")
        found = Caller(_ROLES[path[0]], machine=path[1], key=str(key))
        self.machines.verify(found)
        return found

    async def run(self, serve: Serve) -> None:
        """Listen until it is cancelled; then nobody is connected any more.

        Until the port is free it is tried again: this machine's own services go on without it.
        """
        peers: set[asyncio.StreamWriter] = set()
        ended = False

        async def admit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peers.add(writer)
            try:
                caller = await self.guests.welcome(self.caller, writer.transport)
                with self.guests.connected(caller):
                    await serve(reader, writer, caller)
            except BastideError as error:
                refuse(writer, error, self._clock)
            except asyncio.CancelledError:
                if not ended:  # else asyncio prints a traceback for each
                    raise
            finally:
                peers.discard(writer)

        raise_descriptors()  # every connection is one; the usual soft limit is 1,024
        try:
            context = wiring_services.listening(self._broker.own())
            server = await self._listen(admit, context)
            log("control", "listens", self._clock.now_ms, address=self._settings.control_listen)
            try:
                while True:
                    await asyncio.sleep(SERVICE_RENEW_S)
                    wiring_services.load(context, self._broker.own())
            finally:
                server.close()
        finally:
            ended = True
            for writer in peers:  # waiting for them, who does not read would hold up control's end
                writer.transport.abort()
            self.guests.close()

    async def _listen(
        self,
        admit: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        context: ssl.SSLContext,
    ) -> wiring_services.Door:
        told = ""
        while True:
            try:
                bound = bind_address(self._settings.control_listen)
                wiring_services.patient(bound)
                crowded = functools.partial(log, "control", "door-crowded", self._clock.now_ms)
                return wiring_services.let_in(bound, context, admit, crowded)
            except (OSError, Unavailable) as error:
                why = error.message if isinstance(error, Unavailable) else str(error)
                if why != told:
                    log("control", "does-not-listen", self._clock.now_ms, why=why)
                told = why
                await asyncio.sleep(_AGAIN_S)


async def drop_removed(
    door: FarDoor, peers: Mapping[asyncio.StreamWriter, Caller], clock: Clock
) -> None:
    """Machines that count no more are told so, and cut."""

    def verdicts() -> list[tuple[asyncio.StreamWriter, NotAllowed]]:
        found = []
        for writer, caller in machines:
            try:
                door.machines.verify(caller)
            except NotAllowed as error:
                found.append((writer, error))
        return found

    machines = [(writer, caller) for writer, caller in peers.items() if caller.machine]
    for writer, error in await asyncio.to_thread(verdicts) if machines else ():
        refuse(writer, error, clock)


def refuse(writer: asyncio.StreamWriter, error: BastideError, clock: Clock) -> None:
    """Say why, and cut the connection, also of who does not read it.

    What is only away now is no refusal: who is cut off comes again.
    """
    if isinstance(error, Unavailable):
        log("control", "machine-waits", clock.now_ms, why=error.message)
        writer.transport.abort()
        return
    log("control", "machine-refused", clock.now_ms, why=error.message)
    writer.write(frames.encode(0, "refused", (error.code, error.message)))
    writer.close()
    asyncio.get_running_loop().call_later(_LAST_WORD_S, writer.transport.abort)


def open_far_door(
    home: Home,
    settings: Settings,
    secret: str | None,
    signer: Callable[[], Signer],
    ledger: Ledger,
    records: Engine,
    clock: Clock,
) -> FarDoor | None:
    """The door, where `control_listen` is set; `secret`: the key of the services' authority."""
    if not settings.control_listen or secret is None:
        return None

    @functools.lru_cache(maxsize=64)  # asked for each piece, and the same until the ledger grows
    def needed(digest: str, size: int) -> list[str]:
        del size
        return objects_of(ledger, active_deployment(ledger, digest))

    def may_have(digest: str) -> list[str]:
        return needed(digest, ledger.size)

    broker = MachineBroker(
        ledger,
        records,
        settings,
        bytes.fromhex(secret),
        signer,
        wiring_store.plain_store(home),
        may_have,
        clock,
        wiring.entropy(),
    )
    return FarDoor(settings, broker, clock)
