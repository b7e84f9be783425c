# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control's door for other machines: a real control, real TLS, and everybody who must not come in.

To see these tests fail I once broke the code: without `verify` in `FarDoor.caller` a removed
machine came back; without `Own.verify` c spoke for b; without the check in `_Guard` a machine
played control.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.services import mutual_tls
from bastide.adapters.store.local import LocalStore
from bastide.app import wiring_services
from bastide.app.config import Home, Settings
from bastide.app.control_far import FarDoor
from bastide.app.founding import free_address
from bastide.app.machine_broker import MachineBroker
from bastide.app.machines import machine_statement
from bastide.app.runner_far import FarSocket
from bastide.app.setting_checks import split_address
from bastide.app.wiring_services import FarControl
from bastide.core.errors import BastideError, Down, NotAllowed, NotProven, Unavailable
from bastide.core.key import Purpose
from bastide.core.service import Credential, far_name
from bastide.core.spiffe import service_id
from bastide.core.subject import Digest
from bastide.core.taken import Report
from bastide.crypto import p256, service_x509
from paths.cut_rig import Controlled, controlled
from unit.chain_fixture import ChainWorld

ENVIRONMENT = "test.example/cut"
SECRET = p256.secret_from(b"authority" * 6)
OTHER = p256.secret_from(b"another authority" * 3)
NAME = far_name(Digest.of(b"a deployment"))
_DAY_S = 86_400


def credential(
    *path: str, key: bytes = b"", authority: bytes = SECRET, ago_s: int = 0, **ends: bool
) -> Credential:
    """What a service with this name would show; `ago_s`: when it was issued."""
    secret = key or p256.secret_from(SystemEntropy().token(48))
    now_ms = SystemClock().now_ms() - ago_s * 1000
    made = service_x509.issue_service(
        authority, ENVIRONMENT, service_id(ENVIRONMENT, *path), service_x509.public_of(secret),
        SystemEntropy().token(16), now_ms, **(ends or {"connects": True}),
    )  # fmt: skip
    trusted = service_x509.services_authority(SECRET, ENVIRONMENT, b"1" * 16, now_ms)
    return Credential(made.decode(), service_x509.private_pem(secret).decode(), trusted.decode())


@dataclass
class World:
    """A control with a door, and what tests do at it."""

    inner: Controlled
    address: tuple[str, int]

    def state(self, kind: str, name: str, **body: Any) -> None:
        world = self.inner.chain.world
        made = machine_statement(kind, name, SystemClock().now_ms(), **body)
        world.ledger.append_statement(made, [world.signers[Purpose.EVIDENCE]])

    def invite(self, name: str, ends_in_s: int = 600) -> Credential:
        """State an invitation; what its file holds."""
        secret = p256.secret_from(SystemEntropy().token(48))
        key = str(service_x509.key_of(service_x509.public_of(secret)))
        expires_ms = SystemClock().now_ms() + ends_in_s * 1000
        self.state("machine/v1", name, invitation=key, expires_ms=expires_ms)
        return credential("invitation", name, key=secret)

    async def join(self, name: str) -> Credential:
        """A machine that has joined; what it shows."""
        secret = p256.secret_from(SystemEntropy().token(48))
        async with self.linked(self.invite(name)) as control:
            body = {"request": service_x509.request_for(secret)}
            given = await control.ask("machine-join", body)
        key = service_x509.private_pem(secret).decode()
        return Credential(given["certificate"], key, given["authority"])

    @contextlib.asynccontextmanager
    async def linked(self, shown: Credential) -> Any:
        control = wiring_services.far_control(
            self.address, ENVIRONMENT, lambda: shown, SystemClock()
        )
        await control.start()
        try:
            yield control
        finally:
            await control.close()


def go(folder: Path, story: Callable[[World], Awaitable[None]], listen: str = "") -> None:
    listen = listen or free_address(0)

    def door(chain: ChainWorld, home: Home, settings: Settings) -> FarDoor:
        world = chain.world
        broker = MachineBroker(
            world.ledger, world.records, settings, SECRET,
            lambda: world.signers[Purpose.EVIDENCE], LocalStore(home.store), lambda _: ["models/m"],
            SystemClock(), SystemEntropy(),
        )  # fmt: skip
        return FarDoor(settings, broker, SystemClock())

    async def run() -> None:
        async with (
            asyncio.timeout(60),
            controlled(folder, machine="b", door=door, control_listen=listen) as inner,
        ):
            await story(World(inner, split_address(listen)))

    uvloop.run(run())


async def refusal(control: FarControl, kind: str = "status", body: Any = None) -> BastideError:
    """Why control does not answer."""
    async with asyncio.timeout(20):
        while True:
            try:
                await asyncio.wait_for(control.ask(kind, body), 1)
            except BastideError as error:
                return error
            except TimeoutError:
                continue
            raise AssertionError(f"{kind} was answered")


async def why_not(world: World, shown: Credential) -> str:
    """What whoever shows this is told before the connection ends; nothing, if TLS ends it."""
    ended = asyncio.Event()
    heard = bytearray()

    class Probe(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.extend(data)

        def connection_lost(self, exc: Exception | None) -> None:
            ended.set()

    context = mutual_tls.connecting(shown)
    expected = service_id(ENVIRONMENT, "control")
    await mutual_tls.dial(Probe, *world.address, context, expected)
    await ended.wait()
    return heard.decode(errors="replace")


@pytest.mark.attacks("C262")
def test_a_machine_joins_gets_snapshots_and_is_cut_when_it_is_removed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        shown = await world.join("b")
        async with world.linked(shown) as control:
            assert (await control.ask("status", None))["environment"] == ENVIRONMENT
            assert control.snapshot is not None
            began = time.monotonic()
            world.state("machine-end/v1", "b", reason="sold")
            while control.refused is None:
                await asyncio.sleep(0.01)
            assert time.monotonic() - began < 10  # how soon, benchmarks say
            assert "the machine b was removed in entry" in control.refused.message
            assert isinstance(await refusal(control), NotAllowed)
        # It does not come back with the same certificate, which is good for days.
        assert "was removed in entry" in await why_not(world, shown)

    go(tmp_path, story)


@pytest.mark.attacks("C257")
def test_an_invitation_is_good_for_one_key(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        invitation = world.invite("b")
        mine, theirs = (p256.secret_from(SystemEntropy().token(48)) for _ in range(2))
        async with world.linked(invitation) as control:
            body = {"request": service_x509.request_for(mine)}
            first = await control.ask("machine-join", body)
            again = await control.ask("machine-join", body)  # a kill in between costs nothing
            assert first["certificate"] != again["certificate"]
            with pytest.raises(NotAllowed, match="was used by another key"):
                await control.ask("machine-join", {"request": service_x509.request_for(theirs)})
            # It opens nothing else: an invitation is no machine.
            for kind in ("ledger", "object", "node-challenge", "certificate", "receipt"):
                with pytest.raises(NotAllowed, match="a joiner may not ask"):
                    await control.ask(kind, {})
            assert control.snapshot is None
        joined = world.inner.chain.world.ledger.find("machine-key/v1")
        assert len(joined) == 1

    go(tmp_path, story)


@pytest.mark.attacks("C257")
def test_an_invitation_that_is_over_or_was_replaced_lets_nobody_in(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        body = {"request": service_x509.request_for(SECRET)}
        async with world.linked(world.invite("b", ends_in_s=-1)) as control:
            with pytest.raises(NotAllowed, match="is over"):
                await control.ask("machine-join", body)
        old = world.invite("b")
        world.invite("b")
        assert "another invitation of the machine b counts" in await why_not(world, old)

    go(tmp_path, story)


@pytest.mark.attacks("C258")
def test_who_has_no_certificate_of_ours_gets_no_byte(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.join("b")
        for shown in (
            credential("machine", "b", authority=OTHER),
            credential("machine", "b", ago_s=30 * _DAY_S),  # it has ended
            credential("machine", "b", listens=True),  # not for who connects
        ):
            assert await why_not(world, shown) == ""
        # The right authority, name and time, but a key that never joined.
        told = await why_not(world, credential("machine", "b"))
        assert "another key of the machine b counts" in told
        for path in (("gateway", "1"), ("control",), ("runner", "b")):
            assert "does not connect to control" in await why_not(world, credential(*path))
        # Plain TCP, and TLS without a certificate.
        reader, writer = await asyncio.open_connection(*world.address)
        writer.write(b"\x00\x00\x00\x0a" + b"GET / HTTP" * 100)
        with contextlib.suppress(ConnectionError):
            assert b"snapshot" not in await reader.read()
        writer.close()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(*world.address, ssl=context)
            assert await reader.read() == b""
            writer.close()

    go(tmp_path, story)


@pytest.mark.attacks("C259")
def test_a_machine_speaks_for_its_own_deployments_and_under_its_own_name(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        b, c = await world.join("b"), await world.join("c")
        deployment = world.inner.deployment  # whose plan names b
        zero = "sha256:" + "0" * 64
        async with world.linked(c) as control:
            for kind, body in (
                ("loaded", {"deployment": deployment}),
                ("share-minute", {"deployment": deployment}),
                ("cut", {"deployment": deployment, "gateway": 1, "rows": []}),
                ("taken", report(deployment, "tiny")),
                ("object", {"deployment": deployment, "name": "models/m.body", "at": 0}),
                ("node-join", {"deployment": deployment, "node": "c"}),
            ):
                with pytest.raises(NotAllowed, match="is not one of the machine c"):
                    await control.ask(kind, body)
            with pytest.raises(NotAllowed, match="speaks for the node b"):
                await control.ask("node-join", {"deployment": deployment, "node": "b"})
        async with world.linked(b) as control:
            # Nor of another model than its deployment's, whose promises that would change.
            with pytest.raises(NotAllowed, match="not of another"):
                await control.ask("taken", report(deployment, "another"))
            # Nor for a replica that it does not have: each makes everybody's lease smaller.
            for number in (0, 2):
                with pytest.raises(NotAllowed, match=f"has no replica {number}"):
                    await control.ask("taken", report(deployment, "demo", number))
            for kind in ("receipt", "promise-key", "sealed-nodes", "machine-join"):
                with pytest.raises(NotAllowed, match="a machine may not ask"):
                    await control.ask(kind, {})
            with pytest.raises(NotAllowed, match="needs the object"):
                body = {"deployment": deployment, "name": "keys/x.body", "at": 0}
                await control.ask("object", body)
            # A node is what it has a statement of, and no other entry of the ledger.
            with pytest.raises(NotAllowed, match="is no statement of a node"):
                charter = world.inner.chain.world.ledger.charter()
                await control.ask("node-headers", {"statement": str(charter.digest)})
            # What it loads counts only with a quote: here it has none.
            with pytest.raises(NotProven, match="is not in force"):
                loaded = {"deployment": deployment, "model": zero, "sandbox": "s", "replica": 1}
                await control.ask("loaded", loaded)
            # Its certificate is renewed for its own key only.
            with pytest.raises(NotAllowed, match="joined with another key"):
                await control.ask("certificate", {"request": service_x509.request_for(OTHER)})

    go(tmp_path, story)


@pytest.mark.attacks("C260")
def test_nobody_plays_control_and_no_machine_another(tmp_path: Path) -> None:
    """A machine's certificate is of the right authority, and of the wrong name."""

    async def story(world: World) -> None:
        served = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(await reader.read(100))

        shown = credential("machine", "c", listens=True, connects=True)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=mutual_tls.listening(shown))
        port = server.sockets[0].getsockname()[1]
        false = World(world.inner, ("127.0.0.1", port))
        async with false.linked(await world.join("b")) as control:
            await asyncio.sleep(1)
            assert control.snapshot is None
            assert isinstance(await refusal_soon(control), Unavailable)

        async def context() -> ssl.SSLContext:
            return mutual_tls.connecting(credential("gateway", "1"))

        place = f"tls://127.0.0.1:{port}/b/{NAME}"
        told: list[str] = []
        engine = wiring_services.far_engine(place, ENVIRONMENT, context, told.append)
        with pytest.raises(Unavailable) as caught:
            await engine.health()
        assert "machine/c, not spiffe" in str(caught.value.__cause__)
        server.close()
        await server.wait_closed()
        with pytest.raises(Unavailable) as gone:
            await engine.health()
        assert f"127.0.0.1:{port}" in str(gone.value.__cause__)
        # The operator reads in the log why, each reason once.
        with pytest.raises(Unavailable):
            await engine.health()
        assert len(told) == 2 and "machine/c, not spiffe" in told[0]
        assert told[1] == f"nobody answers at 127.0.0.1:{port}"
        # Clients of the API get to read this, and no name or address of a machine.
        assert {caught.value.message, gone.value.message} == {
            "the runner is down: it cannot be reached"
        }
        assert not any(served), "a frame went to who is another"

    go(tmp_path, story)


def report(deployment: str, model: str, number: int = 1) -> Report:
    """What a runner tells of what was taken."""
    return Report(model, (deployment, number), "a life", 1, 0, True, {"acme": 1.0}, {}, {})


async def refusal_soon(control: FarControl) -> BastideError | None:
    try:
        await asyncio.wait_for(control.ask("status", None), 0.5)
    except TimeoutError:
        return Unavailable("no answer")
    except BastideError as error:
        return error
    return None


@pytest.mark.attacks("C261")
def test_a_runner_answers_gateways_only(tmp_path: Path) -> None:
    async def run() -> None:
        settings = Settings(ENVIRONMENT, runner_listen="127.0.0.1:42310-42360")
        shown = credential("machine", "b", listens=True, connects=True)
        far = FarSocket(settings, lambda: shown, NAME)
        # Two that begin at once have two ports: both could be bound to one until one listens.
        assert FarSocket(settings, lambda: shown, NAME).address != far.address
        came: list[Any] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                came.append(far.gateway(writer))
            except NotAllowed as error:
                came.append(error.message)
            writer.close()

        host, _, port = far.address.rpartition(":")
        with contextlib.closing(await far.start(serve, lambda: None)):
            for shown in (
                credential("gateway", "4711"),
                credential("desk", "12"),
                credential("machine", "7", listens=True, connects=True),
                credential("gateway", "x"),
            ):
                context, expected = (
                    mutual_tls.connecting(shown),
                    service_id(ENVIRONMENT, "machine", "b"),
                )
                place = host, int(port), context, expected
                await mutual_tls.dial(asyncio.Protocol, *place, NAME)
                await asyncio.sleep(0.1)
            # A port that was another runner's before: who asks for that one gets nothing.
            for name in (far_name(Digest.of(b"other")), "bastide"):
                with pytest.raises((NotProven, Down)):
                    await mutual_tls.dial(asyncio.Protocol, *place, name)
        assert len(came) == 4
        assert came[:2] == [4711, 12]
        assert [row.rpartition(" is ")[2] for row in came[2:]] == ["no gateway", "no gateway"]

    uvloop.run(run())
