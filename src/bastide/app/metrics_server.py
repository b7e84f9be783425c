# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The metrics server. Run as ``python -m bastide.app.metrics_server`` if ``metrics_listen`` is set.

It answers ``GET /metrics`` to whoever shows the operator's token, on a loopback address that is not
the tenants' origin. It holds no key, and reads the other processes' sockets as `bastide metrics`
does. The token stands in the file ``metrics.token`` of the home directory and is read for every
scrape, so a new one counts at once.
"""

import asyncio
import contextlib
import hmac
import os
from pathlib import Path
from typing import Any

from bastide.app import wiring
from bastide.app.config import Home, Settings, read_settings
from bastide.app.listening import bind_address, check_plain
from bastide.app.metering import meter_socket, metered, page
from bastide.app.process import enter_service, log, on_stop
from bastide.app.small_http import Asked, Reply, SmallServer
from bastide.core.errors import BastideError
from bastide.core.limits import (
    METRICS_SCRAPES_MAX,
    METRICS_TIMEOUT_S,
)
from bastide.core.metrics import Sample
from bastide.dialects.exposition import CONTENT_TYPE
from bastide.ports import Clock, Entropy

__all__ = ["MetricsServer", "ensure_token", "main"]

NAME = "metrics"
_PLAIN = "text/plain; charset=utf-8"
_TOKEN_BYTES = 32
_TOKEN_BYTES_MAX = 256


def ensure_token(home: Home, entropy: Entropy) -> None:
    """Make the operator's token if there is none; only its owner may read it."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(home.metrics_token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, f"{entropy.token(_TOKEN_BYTES).hex()}\n".encode())
        finally:
            os.close(descriptor)


class MetricsServer:
    """Answers scrapes."""

    def __init__(self, home: Home, settings: Settings, clock: Clock) -> None:
        self._home = home
        self._settings = settings
        self._clock = clock
        self._scrapes = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`. Raises Unavailable or Misconfigured if it cannot listen."""
        bound = bind_address(self._settings.metrics_listen)
        try:
            check_plain(bound, "metrics_listen")
            small = SmallServer(self._reply, 2 * METRICS_TIMEOUT_S)
            server = await asyncio.start_server(small.connected, sock=bound, limit=small.limit)
        except BastideError:
            bound.close()
            raise
        async with metered(meter_socket(self._home.run, NAME), _nothing, self._clock):
            log(NAME, "ready", self._clock.now_ms)
            await stop.wait()
        server.close()

    async def _reply(self, asked: Asked) -> Reply:
        if not await asyncio.to_thread(self._allowed, asked):
            return Reply(401, _PLAIN, b"the operator's token is missing or wrong\n", (_ASK,))
        if asked.path != "/metrics":
            return Reply(404, _PLAIN, b"there is /metrics only\n")
        if asked.method != "GET":
            return Reply(405, _PLAIN, b"GET only\n")
        if self._scrapes >= METRICS_SCRAPES_MAX:
            return Reply(503, _PLAIN, b"too many scrapes at once\n")
        # Only those who may: strangers must not be able to keep the operator out.
        self._scrapes += 1
        try:
            text = await page(self._home, self._settings)
        finally:
            self._scrapes -= 1
        return Reply(200, CONTENT_TYPE, text.encode())

    def _allowed(self, asked: Asked) -> bool:
        given = asked.values(b"authorization")
        try:
            with self._home.metrics_token.open("rb") as file:
                token = file.read(_TOKEN_BYTES_MAX).strip()
        except OSError:
            return False
        scheme, _, shown = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        right = hmac.compare_digest(shown.strip(), token)
        return bool(token) and scheme.lower() == b"bearer" and right


_ASK = 'WWW-Authenticate: Bearer realm="bastide metrics"'


async def _nothing() -> list[Sample]:
    return []


async def _serve(orders: dict[str, Any]) -> None:
    home = Home(Path(orders["home"]))
    stop = asyncio.Event()
    on_stop(stop)
    await MetricsServer(home, read_settings(home), wiring.clock()).run(stop)


def main() -> None:
    """Enter the metrics server."""
    clock = wiring.clock()
    try:
        asyncio.run(_serve(enter_service(NAME)))
    except BastideError as error:
        log(NAME, "refused", clock.now_ms, code=error.code, reason=error.message)
        raise SystemExit(error.exit_status) from error


if __name__ == "__main__":
    main()
