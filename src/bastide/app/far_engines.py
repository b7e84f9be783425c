# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Engines of runners anywhere: behind a Unix socket here, or behind mutual TLS elsewhere.

What a gateway shows on other machines it gets from control, over its own socket there, when it
first needs it, and anew each day. The key is in its memory only.
"""

import asyncio
import functools
import ssl
from collections.abc import Callable

from bastide.app import wiring, wiring_services
from bastide.app.clients import ControlClient
from bastide.core.errors import Down, Unavailable
from bastide.core.limits import SERVICE_RENEW_S
from bastide.core.service import Credential, is_far, runner_of
from bastide.crypto import p256, service_x509
from bastide.ports import Clock, Engine, Entropy

__all__ = ["Engines"]


class Engines:
    """Makes engines for one gateway. Belongs to its event loop.

    `note` writes a line of its log: why a runner cannot be reached, and when it can be again.
    """

    def __init__(
        self, control: ControlClient, clock: Clock, entropy: Entropy, note: Callable[..., None]
    ) -> None:
        self._control, self._clock, self._entropy = control, clock, entropy
        self._note = note
        self._secret = b""
        self._context: ssl.SSLContext | None = None
        self._since = float("-inf")
        self._turn = asyncio.Lock()

    def engine(self, socket: str) -> Engine:
        """The engine of a place in a snapshot."""
        told = functools.partial(self._tell, runner_of(socket))
        if not is_far(socket):
            return wiring.remote_engine(socket, told)
        snapshot = self._control.snapshot
        assert snapshot is not None  # that is where the place is from
        return wiring_services.far_engine(socket, snapshot.environment, self.context, told)

    def _tell(self, runner: str, why: str) -> None:
        if why:
            self._note("runner-away", runner=runner, why=why)
        else:
            self._note("runner-there", runner=runner)

    async def context(self) -> ssl.SSLContext:
        """What to connect with now. Raises Down if control gives no certificate."""
        async with self._turn:
            fresh = self._clock.monotonic() - self._since < SERVICE_RENEW_S
            if self._context is None or not fresh:
                await self._renew()
            assert self._context is not None
            return self._context

    async def _renew(self) -> None:
        self._secret = self._secret or p256.secret_from(self._entropy.token(48))
        body = {"request": service_x509.request_for(self._secret)}
        try:
            given = await self._control.ask("certificate", body)
        except Unavailable as error:
            if self._context is None:
                raise Down("control gave no certificate") from error
            return  # the last one is good for some days more
        key = service_x509.private_pem(self._secret).decode()
        shown = Credential(given["certificate"], key, given["authority"])
        self._context, self._since = wiring_services.connecting(shown), self._clock.monotonic()
