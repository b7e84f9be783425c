# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The first bytes of a connection: they say if it speaks HTTP/1.1 or HTTP/2.

Over TLS the handshake has agreed on it. Without, a client that knows of HTTP/2 begins with its
preface (RFC 9113, 3.3), which is no request of HTTP/1.1.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from bastide.gateway.connection import Connection
from bastide.gateway.h2_connection import H2Connection
from bastide.gateway.host import Host, Patience
from bastide.gateway.tls import speaks_h2

__all__ = ["Entrance"]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Entrance(asyncio.Protocol):
    """Waits for the first bytes, then hands the connection on."""

    def __init__(self, host: Host, patience: Patience) -> None:
        self._host = host
        self._patience = patience
        self._first = b""
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand on what the handshake has agreed on; wait for others to speak."""
        # uvloop's transports have the methods of asyncio.Transport but not its class.
        self._transport = cast(asyncio.Transport, transport)
        if not self._host.enter(self, transport):
            self._transport.abort()
            return
        self._alarm = asyncio.get_running_loop().call_later(self._patience.request_s, self.close)
        if speaks_h2(transport):
            self._hand_on(H2Connection(self._host, self._patience))

    def data_received(self, data: bytes) -> None:
        """Decide as soon as it is clear."""
        if self._transport is None or self._transport.is_closing():
            return  # over TLS something may come after we have closed it
        self._first += data
        if self._first.startswith(_PREFACE):
            self._hand_on(H2Connection(self._host, self._patience))
        elif not _PREFACE.startswith(self._first):
            self._hand_on(Connection(self._host, self._patience))

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before it said what it wants."""
        self._host.leave(self)
        self._set_no_alarm()

    def close(self) -> None:
        """Nothing runs here."""
        if self._transport is not None:
            self._transport.close()

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """Nothing runs here."""
        return ()

    def _hand_on(self, to: Connection | H2Connection) -> None:
        transport = self._transport
        assert transport is not None
        self._host.succeed(self, to)
        self._set_no_alarm()
        transport.set_protocol(to)
        to.connection_made(transport)
        if self._first and not transport.is_closing():
            to.data_received(self._first)

    def _set_no_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
