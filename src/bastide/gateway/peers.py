# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Peers: connections end with the certificates that their clients have shown.

A handshake proves a certificate for its moment, and a connection can last for days. So while
there are such connections, their certificates are looked at again every CERTIFICATES_CHECK_S:
whose has ended or was revoked gets its terminal event, and its connection closes. So does who has
one of an authority that has ended or was revoked.
"""

import asyncio
from collections.abc import Callable

from bastide.core.limits import CERTIFICATES_CHECK_S
from bastide.gateway.host import Guest
from bastide.gateway.tls import Shown

__all__ = ["Peers"]


class Peers:
    """The connections of clients that have shown a certificate."""

    def __init__(self, now_ms: Callable[[], int], revoked: Callable[[], frozenset[str]]) -> None:
        self._now_ms, self._revoked = now_ms, revoked
        self._shown: dict[Guest, Shown] = {}
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, connection: Guest, shown: Shown | None) -> bool:
        """Follow a connection from now on. False if its certificate may not be used any more."""
        if shown is None:
            return True
        if not self._stands(shown):
            return False
        self._shown[connection] = shown
        if self._timer is None:
            self._ring()
        return True

    def succeed(self, connection: Guest, by: Guest) -> None:
        """Another goes on with its transport."""
        shown = self._shown.pop(connection, None)
        if shown is not None:
            self._shown[by] = shown

    def forget(self, connection: Guest) -> None:
        """It has closed."""
        self._shown.pop(connection, None)

    def _look(self) -> None:
        self._timer = None
        for connection, shown in list(self._shown.items()):
            if not self._stands(shown):
                self._shown.pop(connection)
                connection.close()  # so nothing begins any more that would have to be cancelled
                for task in connection.tasks:
                    task.cancel()
        if self._shown:
            self._ring()

    def _ring(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CERTIFICATES_CHECK_S, self._look)

    def _stands(self, shown: Shown) -> bool:
        return self._now_ms() < shown.ends_ms and shown.digests.isdisjoint(self._revoked())
