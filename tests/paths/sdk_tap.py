# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Stands between an SDK and the gateway, and keeps the bytes of both directions."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

from paths.exchanges import Shown, exchange_of, familiar
from paths.gateway_rig import Rig

__all__ = ["Tap", "exchange"]

_WAIT_S = 20


class Tap:
    """A port before the rig's port. One connection is all that one call of an SDK makes.

    Who connects and says nothing is somebody else, who looks for whatever had this port before: a
    test beside this one, whose services come and go.
    """

    def __init__(self, rig: Rig) -> None:
        self.sent = self.received = b""
        self._cut = False
        self._rig = rig
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._ended, self._end = socket.socketpair()
        self._grown = threading.Condition()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def exchange(self, told: object = "") -> Shown:
        """What went through, once the answer is whole. `told` is for whoever reads a failure."""
        made: list[Shown] = []

        def whole() -> bool:
            if self.received:
                found = exchange_of(self._rig, self.sent, self.received, self._cut)
                made.extend([found] if found else [])
            return bool(made)

        with self._grown:
            assert self._grown.wait_for(whole, _WAIT_S), (told, self.sent, self.received)
        return made[0]

    def close(self) -> None:
        self._end.close()
        self._thread.join(_WAIT_S)
        self._ended.close()
        self._listening.close()

    def _relay(self) -> None:
        with contextlib.ExitStack() as callers:
            client = self._first_that_speaks(callers)
            if client is not None:
                self._carry(client)

    def _first_that_speaks(self, callers: contextlib.ExitStack) -> socket.socket | None:
        waiting = [self._listening]
        while self._ended not in (ready := _ready(*waiting, self._ended)):
            if self._listening in ready:
                waiting.append(callers.enter_context(self._listening.accept()[0]))
                continue
            for caller in ready:
                with contextlib.suppress(ConnectionError):
                    if caller.recv(1, socket.MSG_PEEK):
                        return caller
                waiting.remove(caller)
        return None

    def _carry(self, client: socket.socket) -> None:
        with self._rig.connect() as gateway:
            alive = {client: gateway, gateway: client}
            while self._ended not in (ready := _ready(*alive, self._ended)):
                for source in ready:
                    if not self._move(source, alive[source], source is client):
                        del alive[source]  # one may leave before the other is done

    def _move(self, source: socket.socket, target: socket.socket, asks: bool) -> bool:
        try:
            data = source.recv(65_536)
        except ConnectionError:
            data = b""
        with self._grown:
            self.sent += data if asks else b""
            self.received += b"" if asks else data
            self._cut = self._cut or not (asks or data)
            self._grown.notify()
        with contextlib.suppress(OSError):
            if data:
                target.sendall(data)
            elif not asks:
                target.shutdown(socket.SHUT_RDWR)
        return bool(data)


def _ready(*sources: socket.socket) -> list[Any]:
    """Those that can be read. Not by select(2), which knows no descriptor from 1,024 on."""
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select()]


def exchange(name: str, call: Callable[[str, Rig], object]) -> Shown:
    """What goes over the wire when `call` asks a gateway at the address that it is given."""
    with familiar(name) as rig:
        tap = Tap(rig)
        try:
            call(tap.url, rig)
            return tap.exchange()
        finally:
            tap.close()
