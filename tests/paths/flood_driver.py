# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A machine that joined and asks control all it can: many connections, and no wait for answers.

Reads a JSON object on stdin: host, port, expected (control's SPIFFE ID), credential, connections,
asks (pairs of a kind and a body). Half of the connections read no answer. Prints a line when it
has begun, and goes on until it is killed.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

from bastide.adapters.services import mutual_tls
from bastide.core.service import Credential
from bastide.dialects import frames

_AT_ONCE = 2_000  # requests in a write


class Flood(asyncio.Protocol):
    """One connection. It writes whenever there is room."""

    def __init__(self, batch: bytes, deaf: bool) -> None:
        self._batch, self._deaf = batch, deaf
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport but not its class.
        self.transport = cast(asyncio.Transport, transport)
        if self._deaf:
            self.transport.pause_reading()
        self.transport.set_write_buffer_limits(high=1_000_000)
        asyncio.get_running_loop().call_soon(self.resume_writing)

    def resume_writing(self) -> None:
        if not self.ended and self.transport.get_write_buffer_size() < 1_000_000:
            self.transport.write(self._batch)
            asyncio.get_running_loop().call_later(0.001, self.resume_writing)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


async def flood(told: dict[str, object]) -> None:
    context = mutual_tls.connecting(Credential(*told["credential"]))  # type: ignore[misc]
    asks: list[tuple[str, object]] = told["asks"]  # type: ignore[assignment]
    rows = [frames.encode(n, *asks[n % len(asks)]) for n in range(1, _AT_ONCE)]
    place = told["host"], told["port"], context, told["expected"]
    open_now: list[Flood] = []
    begun = False
    while True:
        open_now = [one for one in open_now if not one.ended]
        while len(open_now) < told["connections"]:  # type: ignore[operator]
            deaf = len(open_now) % 2 == 1
            made = await mutual_tls.dial(lambda: Flood(b"".join(rows), deaf), *place)  # type: ignore[arg-type]  # noqa: B023
            open_now.append(made)
        if not begun:
            print("begun", flush=True)
            begun = True
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    uvloop.run(flood(json.loads(sys.stdin.readline())))
