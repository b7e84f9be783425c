# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The runner process of one replica of a deployment. Run as ``python -m bastide.app.runner_main``.

It holds two secrets, the database's key (read only) and the store's identity, and neither
reaches the engine: the jail inherits nothing but a sealed memfd with the weights. With attestation
it has no identity of the store but one of its own, which its machine's hardware quoted.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from bastide.app import wiring
from bastide.app.config import Home, Settings, read_settings
from bastide.app.cut_reports import CutReporter, reporting
from bastide.app.denials import SignedDenials
from bastide.app.handed_journal import HandedJournal
from bastide.app.joining import Node, kept_attested
from bastide.app.loading import (
    engine_folder,
    engine_start,
    plan_in_force,
    prove_deployment,
    start_proven,
)
from bastide.app.machine_runner import Away, as_planned
from bastide.app.measuring import measure_node
from bastide.app.metering import metered, own_socket
from bastide.app.process import enter_service, log, on_stop, prepare_loop
from bastide.app.runner import Runner
from bastide.app.runner_far import FarSocket
from bastide.app.runner_watch import RunnerWatch
from bastide.app.sealed_door import SealedDoor, Served
from bastide.app.share_minutes import ShareKeeper, kept_in_step
from bastide.app.snapshots import runner_name, runner_socket
from bastide.app.turns import Turns
from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.ledger import Ledger
from bastide.ports import Clock, Keyring, LiveEngine, Sandbox, SealingStore

__all__ = ["main"]


async def _serve(orders: dict[str, Any]) -> None:
    prepare_loop()
    home = Home(Path(orders["home"]))
    deployment = Digest.parse(orders["deployment"])
    settings, clock = read_settings(home), wiring.clock()
    keyring = wiring.keyring_from_portion(orders["keys"])
    jail = wiring.sandbox(settings.sandbox)
    away = Away(home, settings, str(deployment), clock) if settings.control else None
    control = (
        away.control
        if away
        else wiring.control_link(
            str(home.control_socket), clock, credential=orders.get("credential", "")
        )
    )
    await control.start()
    folder = engine_folder(home.run, runner_name(deployment, orders["replica"])[len("runner-") :])
    about = {name: orders[name] for name in ("deployment", "replica")} | {"sandbox": jail.name}
    loaded_model = ""
    given = (orders, settings, keyring, jail, control, clock)
    node, served, settings = await asyncio.to_thread(_make_node, *given)

    async def make_engine() -> LiveEngine:
        nonlocal loaded_model
        given = (home, settings, keyring, jail, folder, deployment, node, away)
        loaded_model, engine = await _load(*given, clock)
        return engine

    async def state_load() -> None:
        # If control is away this raises Unavailable: nobody is served by an unstated load.
        body = {"model": loaded_model, **about}
        if node is not None:
            body["attestation"] = node.statement
        if away is not None:
            body["address"] = away.socket.address
        await control.ask("loaded", body)
        log("runner", "loaded", clock.now_ms, **body)

    try:
        far = None if away is None else away.socket
        await _run(orders, settings, control, clock, make_engine, state_load, node, served, far)
    finally:
        await control.close()


async def _load(
    home: Home,
    settings: Settings,
    keyring: Keyring,
    jail: Sandbox,
    folder: Path,
    deployment: Digest,
    node: Node | None,
    away: Away | None,
    clock: Clock,
) -> tuple[str, LiveEngine]:
    """Prove, decrypt and start: the model's digest, and its engine. See app/loading.py."""
    records = wiring.open_records(home.database, keyring.secret(Purpose.DATABASE), readonly=True)
    try:
        ledger = Ledger(records, None, clock)
        store = await _open_store(home, keyring, ledger, node, away)
        admission = await asyncio.to_thread(prove_deployment, ledger, store, deployment)
        plan = plan_in_force(ledger, deployment)
        engine = await start_proven(
            ledger,
            store,
            admission,
            engine_start(
                admission,
                settings,
                plan.engine,
                jail,
                folder,
                settings.engine_threads(plan.replicas),
            ),
        )
        return str(admission.subject.digest), engine
    except NotProven:
        if away is not None:
            away.drop()  # the ledger's own proof stood before they were fetched
        raise
    finally:
        records.dispose()


async def _open_store(
    home: Home, keyring: Keyring, ledger: Ledger, node: Node | None, away: Away | None
) -> SealingStore:
    """The store with the keys of this process, or with what control gives to this node."""
    if away is not None:
        await asyncio.to_thread(away.verify_stated, ledger)
    if node is not None:
        headers = await node.headers()
        if away is not None:
            await away.fetch(headers)
        identity = node.keys.age.secret()
        return wiring.open_node_store(home.store, identity, headers, wiring.entropy())
    exits = ledger.charter().body["exit_recipients"]
    given = (home.store, keyring.identities(), exits, wiring.entropy())
    return wiring.open_store(*given, SignedDenials(ledger))


async def _run(
    orders: dict[str, Any],
    settings: Settings,
    control: wiring.ControlClient,
    clock: Clock,
    make_engine: Callable[[], Awaitable[LiveEngine]],
    state_load: Callable[[], Awaitable[None]],
    node: Node | None,
    served: Served,
    far: FarSocket | None,
) -> None:
    """Serve until the process is told to stop."""
    home, deployment = Home(Path(orders["home"])), Digest.parse(orders["deployment"])
    replica, replicas = orders["replica"], orders["replicas"]
    stop = asyncio.Event()
    on_stop(stop)
    watch = RunnerWatch()

    async def on_loaded() -> None:
        await state_load()
        watch.loaded()

    turns = Turns(settings.slots, clock, settings.cost, watch.answered, replicas, joins=True)
    reporter = CutReporter(control, deployment, clock)
    socket = runner_socket(home.run, deployment, replica)
    journal = HandedJournal(socket.with_suffix(".handed"), clock)
    door = _make_door(node, served, control, clock)
    runner = Runner(
        make_engine, socket, clock, on_loaded, turns,
        on_cut=reporter.take, journal=journal, sealed=door, far=far,
    )  # fmt: skip
    keeper = ShareKeeper(
        turns, control, deployment, clock, wiring.entropy().token(8).hex(),
        ended=watch.share_minute, replica=replica,
    )  # fmt: skip
    tell = functools.partial(watch.told, turns, runner, keeper)
    async with (
        reporting(reporter, stop, journal, runner.handed),
        kept_in_step(keeper, stop),
        metered(own_socket(orders), tell, clock),
        kept_attested(node, stop),
    ):
        await runner.run(stop)


def _make_door(
    node: Node | None, served: Served, control: wiring.ControlClient, clock: Clock
) -> SealedDoor | None:
    """What opens sealed requests, where the runner has a quoted key."""
    if node is None:
        return None
    return SealedDoor(node.keys.hpke, served, control, clock, wiring.entropy())


def _make_node(
    orders: dict[str, Any],
    settings: Settings,
    keyring: Keyring,
    jail: Sandbox,
    control: wiring.ControlClient,
    clock: Clock,
) -> tuple[Node | None, Served, Settings]:
    """This process as a node, if nodes are attested, what it serves, and with which settings.

    It joins when it first asks for headers.
    """
    home = Home(Path(orders["home"]))
    records = wiring.open_records(home.database, keyring.secret(Purpose.DATABASE), readonly=True)
    try:
        ledger = Ledger(records, None, clock)
        plan, asked = plan_in_force(ledger, Digest.parse(orders["deployment"])), ledger.policy()
    finally:
        records.dispose()
    served = Served(orders["deployment"], plan.name, str(plan.release))
    if plan.machine:
        settings = as_planned(settings, plan)
    if not settings.attestation:
        if asked.attested or plan.machine:
            raise Misconfigured(
                "only attested nodes may serve here, and `attestation` is not set",
                fix="bastide node join, then bastide down and bastide up",
            )
        return None, served, settings
    event = measure_node(plan.engine, jail.name)
    attester = wiring.attester(settings, home.measurements)
    about = (settings.node, orders["deployment"], orders["replica"])
    node = Node(control, attester, *about, event, wiring.entropy(), clock)
    return node, served, settings


def main() -> None:
    """Enter the runner process. Exits 3 when the deployment may not be loaded."""
    clock = wiring.clock()
    try:
        uvloop.run(_serve(enter_service("runner")))
    except BastideError as error:
        why = {"code": error.code, "why": error.message, "reasons": list(error.reasons)}
        log("runner", "stopped", clock.now_ms, **why)
        raise SystemExit(error.exit_status) from error


if __name__ == "__main__":
    main()
