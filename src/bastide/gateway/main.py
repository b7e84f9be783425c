# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway process. Run as ``python -m bastide.gateway``.

Orders, one JSON line on standard input:

* ``listen``: address and port, or ``listen_fd``: number of an inherited listening socket;
* ``control_socket``: path of control's Unix socket;
* ``pepper``: hex key of the HMAC under which API keys are stored;
* ``plain_http_anywhere``: true to listen on other than loopback addresses without TLS. Prompts
  then cross a network in the clear, so it is false unless somebody says otherwise.
"""

import asyncio
import contextlib
import functools
import ipaddress
import resource
import socket
from typing import Any

import uvloop

from bastide.app import wiring
from bastide.app.config import split_address
from bastide.app.process import enter_service, log, on_stop
from bastide.core.errors import BastideError, Misconfigured, Unavailable
from bastide.gateway.routes import Routes
from bastide.gateway.server import Server
from bastide.gateway.window import EnginePool

__all__ = ["main", "run_gateway"]


async def run_gateway(orders: dict[str, Any], stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises Misconfigured or Unavailable if it cannot listen."""
    clock = wiring.clock()
    note = functools.partial(log, "gateway", now=clock.now_ms)
    listening = _listening(orders)
    control = wiring.control_link(orders["control_socket"], clock)
    pool = EnginePool(wiring.remote_engine)
    pepper = bytes.fromhex(orders["pepper"])
    routes = Routes(control, pool, clock, wiring.entropy(), pepper, note)
    server = Server(routes, clock.now_ms, note)
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: server.report(context.get("exception") or RuntimeError())
    )
    await control.start()
    try:
        await server.start(listening)
        note("ready", listen=_address(listening))
        await stop.wait()
        await server.stop()
    finally:
        await pool.close()
        await control.close()
        note("stopped")


def main() -> None:
    """Enter the gateway process."""
    clock = wiring.clock()
    try:
        uvloop.run(_serve(enter_service("gateway")))
    except BastideError as error:
        log("gateway", "refused", clock.now_ms, code=error.code, reason=error.message)
        raise SystemExit(error.exit_status) from error


async def _serve(orders: dict[str, Any]) -> None:
    # Every connection is a descriptor; the usual soft limit is 1,024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stop = asyncio.Event()
    on_stop(stop)
    await run_gateway(orders, stop)


def _address(listening: socket.socket) -> str:
    bound = listening.getsockname()
    if isinstance(bound, str):
        return bound
    return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"


def _listening(orders: dict[str, Any]) -> socket.socket:
    if "listen_fd" in orders:
        listening = socket.socket(fileno=int(orders["listen_fd"]))
    else:
        host, port = split_address(orders["listen"])
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            raise Unavailable(
                f"cannot listen on {orders['listen']}: {error.strerror}", fix="free the port"
            ) from error
    listening.setblocking(False)
    bound = listening.getsockname()
    loopback = listening.family == socket.AF_UNIX or ipaddress.ip_address(bound[0]).is_loopback
    if not loopback and orders.get("plain_http_anywhere") is not True:
        listening.close()
        raise Misconfigured(
            f"listen = {bound[0]}: plain HTTP is served on loopback addresses only",
            fix="listen on 127.0.0.1 and put a TLS proxy before it",
        )
    return listening
