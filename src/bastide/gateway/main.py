# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway process. Run as ``python -m bastide.gateway``.

Orders, one JSON line on standard input:

* ``listen``: address and port, or ``listen_fd``: number of an inherited listening socket;
* ``control_socket``: path of control's Unix socket;
* ``desk_socket``: that of the desk, if there is one;
* ``tls``: certificate, key and clients' authorities in PEM, with ``tls_listen`` or ``tls_fd`` as
  above; more lines of the form ``{"tls": {...}}`` replace them while the process runs;
* ``seen_fd``: number of an inherited descriptor of the table of seen signatures (app/seen.py); with
  none, the process has one of its own;
* ``pepper``: hex key of the HMAC under which API keys are stored;
* ``plain_http_anywhere``: true to listen on other than loopback addresses without TLS. Prompts
  then cross a network in the clear, so it is false unless somebody says otherwise.
"""

import asyncio
import functools
import json
import socket
from collections.abc import Callable
from typing import Any

import uvloop

from bastide.app import wiring
from bastide.app.far_engines import Engines
from bastide.app.listening import bind_address, check_plain, raise_descriptors
from bastide.app.metering import metered, own_socket
from bastide.app.process import enter_service, later_lines, log, on_stop, prepare_loop
from bastide.app.seen import Seen, make_table
from bastide.core.errors import BastideError, Misconfigured
from bastide.core.limits import CONNECTIONS_MAX, RECEIPT_TIMEOUT_S
from bastide.core.metrics import Sample
from bastide.gateway.doors import connections_within
from bastide.gateway.promising import Promises
from bastide.gateway.recall import Recall
from bastide.gateway.routes import Routes
from bastide.gateway.server import Server
from bastide.gateway.tls import server_context
from bastide.gateway.watch import Watch, gateway_samples
from bastide.gateway.window import EnginePool

__all__ = ["main", "run_gateway"]


async def run_gateway(orders: dict[str, Any], stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises Misconfigured or Unavailable if it cannot listen."""
    clock = wiring.clock()
    note = functools.partial(log, "gateway", now=clock.now_ms)
    # Every connection is a descriptor; the usual soft limit is 1,024.
    descriptors = raise_descriptors()
    connections_max = connections_within(descriptors)
    listening, tls_listening = _listening(orders), _tls_listening(orders)
    recall = Recall()
    control = wiring.control_link(
        orders["control_socket"], clock, recall.follow, credential=orders.get("credential", "")
    )
    entropy = wiring.entropy()
    pool = EnginePool(Engines(control, clock, entropy, note).engine, clock)
    pepper = bytes.fromhex(orders["pepper"])
    desk = wiring.desk_link(orders["desk_socket"]) if "desk_socket" in orders else None
    watch = Watch()
    promises = Promises(control, clock, entropy.token(32), note)
    seen = Seen(int(orders["seen_fd"]) if "seen_fd" in orders else make_table(clock.now_ms()))
    routes = Routes(
        control, pool, clock, entropy, pepper, note, seen, desk, watch, promises, recall
    )
    server = Server(
        routes,
        clock.now_ms,
        note,
        lambda: frozenset() if (now := control.snapshot) is None else now.certificates,
        connections_max=connections_max,
    )
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: server.report(context.get("exception") or RuntimeError())
    )

    async def tell() -> list[Sample]:
        age_s = clock.monotonic() - control.received_at
        return list(gateway_samples(watch, pool, server.connections, age_s))

    await control.start()
    following: asyncio.Task[None] | None = None
    try:
        await server.start(listening)
        places = {"listen": _address(listening)}
        if tls_listening is not None:
            await server.start(tls_listening, server_context(**orders["tls"]))
            places["tls_listen"] = _address(tls_listening)
            following = asyncio.create_task(_follow_orders(server, note))
        async with metered(own_socket(orders), tell, clock):
            note("ready", **places)
            if connections_max < CONNECTIONS_MAX:
                # Raise `ulimit -Hn`, or LimitNOFILE= of the unit: the guide of the gateway says so.
                note("few-descriptors", descriptors=descriptors, connections_max=connections_max)
            await stop.wait()
            await server.stop()
    finally:
        if following is not None:
            following.cancel()
        await pool.close()
        await promises.settle(RECEIPT_TIMEOUT_S)
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
    prepare_loop()
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
        listening.setblocking(False)
    else:
        listening = bind_address(orders["listen"])
    try:
        if orders.get("plain_http_anywhere") is not True:
            check_plain(listening)
    except Misconfigured:
        listening.close()
        raise
    return listening


def _tls_listening(orders: dict[str, Any]) -> socket.socket | None:
    if "tls" not in orders:
        return None
    if "tls_fd" in orders:
        listening = socket.socket(fileno=int(orders["tls_fd"]))
        listening.setblocking(False)
        return listening
    return bind_address(orders["tls_listen"])


async def _follow_orders(server: Server, note: Callable[..., None]) -> None:
    """Take new certificates, one JSON line each, until standard input ends."""
    async for line in later_lines():
        try:
            await server.renew_tls(server_context(**json.loads(line)["tls"]))
            note("renewed")
        except (BastideError, ValueError, TypeError, KeyError) as error:
            # The old certificate is good for some days more, and the log says why.
            note("renewal-refused", error=type(error).__name__)
