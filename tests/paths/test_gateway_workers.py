# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Several gateway workers and their certificate, as `bastide up` starts them."""

import http.client
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.app.certificates import due, ensure_authority, server_certificate
from bastide.app.config import Home, Settings
from bastide.app.founding import free_address
from bastide.app.gateways import Gateways
from bastide.core.errors import Unavailable
from bastide.core.limits import SIGNATURE_REPEAT_S, TLS_RENEW_BEFORE_DAYS, TLS_SERVER_DAYS
from paths.certificates import Clients, trusting
from paths.worker_rig import Services, services

WORKERS = 3
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return Clients(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    root = tmp_path_factory.mktemp("workers") / "home"
    with services(root, gateway_workers=WORKERS) as made:
        yield made


def status(connection: http.client.HTTPConnection, key: str) -> int:
    connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def until(true: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def one_to_each(running: Services) -> dict[int, http.client.HTTPConnection]:
    """A kept connection to every worker, by the worker's process id."""
    found: dict[int, http.client.HTTPConnection] = {}
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        status(connection, "none")
        mine = connection.sock.getsockname()[1]
        for worker in running.workers():
            ports = {row.raddr.port for row in worker.net_connections("tcp") if row.raddr}
            if mine in ports:
                found.setdefault(worker.pid, connection)
        if len(found) == WORKERS:
            return found
    raise AssertionError(f"the kernel dealt connections to {len(found)} workers only")


def test_all_workers_share_both_ports(running: Services) -> None:
    assert len(running.workers()) == WORKERS
    assert len(one_to_each(running)) == WORKERS
    key = running.key()["key"]
    with closing(
        http.client.HTTPSConnection(
            "localhost", running.tls_port, context=running.trusting(), timeout=10
        )
    ) as connection:
        until(lambda: status(connection, key) == 200)
    row = running.demo.json("status")
    assert row["gateway_tls_url"] == f"https://127.0.0.1:{running.tls_port}"


@pytest.mark.attacks("C83")
def test_a_revocation_reaches_every_worker_within_a_second(running: Services) -> None:
    made = running.key()
    connections = one_to_each(running)
    for connection in connections.values():
        until(lambda: status(connection, made["key"]) == 200)  # noqa: B023
    running.demo.run("key", "revoke", made["id"])
    revoked = time.monotonic()
    for connection in connections.values():
        until(lambda: status(connection, made["key"]) == 401, seconds=1)  # noqa: B023
    assert time.monotonic() - revoked < 1


def signed(running: Services, made: dict[str, Any]) -> dict[str, str]:
    """The headers of one request for the list of models, as AWS's SDKs sign it."""
    request = AWSRequest("GET", f"http://127.0.0.1:{running.port}/foundation-models")
    pair = Credentials(made["access_key_id"], made["secret_access_key"])
    SigV4Auth(pair, "bedrock", "eu-central-1").add_auth(request)
    return dict(request.headers.items())


@pytest.mark.attacks("C84")
def test_a_signed_request_is_not_answered_again_by_another_worker(running: Services) -> None:
    made = running.key()
    connections = one_to_each(running)
    for connection in connections.values():
        until(lambda: status(connection, made["key"]) == 200)  # noqa: B023
    headers = signed(running, made)

    def replayed(connection: http.client.HTTPConnection) -> int:
        connection.request("GET", "/foundation-models", headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    victim, *others = connections
    assert replayed(connections[victim]) == 200
    assert replayed(connections[others[0]]) == 200  # as an SDK's retry: equal, and at once
    time.sleep(SIGNATURE_REPEAT_S + 0.5)
    assert [replayed(connections[pid]) for pid in connections] == [403] * WORKERS
    # Nor by one that has started since: its table is the others'.
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(running.workers()) == WORKERS and not psutil.pid_exists(victim))
    fresh = one_to_each(running)
    for pid in fresh:
        until(lambda: status(fresh[pid], made["key"]) == 200)  # noqa: B023
    assert [replayed(fresh[pid]) for pid in fresh] == [403] * WORKERS


def test_a_killed_worker_is_replaced_and_the_others_go_on(running: Services) -> None:
    key = running.key()["key"]
    connections = one_to_each(running)
    victim, *others = connections
    until(lambda: status(connections[others[0]], key) == 200)
    os.kill(victim, signal.SIGKILL)
    assert status(connections[others[0]], key) == 200
    # Whoever comes meanwhile waits at the dead worker's socket, and is served by the next one.
    for _ in range(20):
        with closing(
            http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        ) as connection:
            until(lambda: status(connection, key) == 200)
    until(lambda: len(running.workers()) == WORKERS)
    assert victim not in {worker.pid for worker in running.workers()}
    assert len(one_to_each(running)) == WORKERS


@pytest.mark.attacks("C78")
def test_no_secret_is_in_an_argument_an_environment_or_a_file(running: Services) -> None:
    for worker in running.workers():
        assert "PRIVATE" not in " ".join(worker.cmdline())
        assert "PRIVATE" not in json.dumps(worker.environ())
    for path in running.home.root.rglob("*"):
        if path.is_file():
            assert b"PRIVATE KEY" not in path.read_bytes(), path


def test_a_stop_frees_the_ports(tmp_path: Path) -> None:
    with services(tmp_path / "home", gateway_workers=2) as made:
        ports = made.port, made.tls_port
        pids = [worker.pid for worker in made.workers()]
    for port in ports:
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    stopped = [row["event"] for row in made.log("gateway-2")]
    assert stopped[-1] == "stopped"


def test_other_client_authorities_count_without_a_restart(tmp_path: Path, clients: Clients) -> None:
    pem = tmp_path / "clients.pem"
    pem.write_text(clients.pem)
    others = Clients(tmp_path, "others")
    with services(tmp_path / "home", client_ca=str(pem)) as made:
        authority = made.home.authority.read_bytes()
        old = trusting(authority, client=clients.give(None, "spiffe://example.org/web"))
        new = trusting(authority, client=others.give(None, "spiffe://example.org/web"))

        def served(context: ssl.SSLContext) -> bool:
            try:
                with closing(
                    http.client.HTTPSConnection(
                        "localhost", made.tls_port, context=context, timeout=10
                    )
                ) as connection:
                    return status(connection, "none") == 401
            except (ssl.SSLError, ConnectionError):
                return False

        assert served(old) and not served(new)
        pids = {worker.pid for worker in made.workers()}
        pem.write_text(others.pem)
        until(lambda: served(new))
        assert not served(old)
        assert {worker.pid for worker in made.workers()} == pids
        pem.write_text("no certificate")
        until(lambda: "renewal-refused" in [row["event"] for row in made.log()])
        assert served(new)


@pytest.mark.attacks("C75")
def test_beyond_loopback_with_tls_only(tmp_path: Path) -> None:
    port = free_address(0).rpartition(":")[2]
    settings = {"tls_listen": f"0.0.0.0:{port}", "tls_names": "gateway.example.org"}
    with services(tmp_path / "home", **settings) as made:
        context = made.trusting()
        plain = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
        with closing(context.wrap_socket(plain, server_hostname="gateway.example.org")):
            pass
        assert made.demo.json("status")["gateway_tls_url"] == f"https://gateway.example.org:{port}"
        rows = {row["ident"]: row for row in made.demo.json("doctor", status=None)["findings"]}
        assert rows["sockets"]["state"] != "bad", rows["sockets"]


# What the supervisor holds


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def keyring() -> MemoryKeyring:
    return MemoryKeyring.generate((), SeededEntropy(b"workers"))


def test_a_certificate_is_renewed_long_before_it_ends(
    clock: FixedClock, keyring: MemoryKeyring
) -> None:
    issued = server_certificate(keyring, Settings("test"), clock, SeededEntropy(b"a"))
    now_ms = clock.now_ms()
    assert not due(issued, now_ms)
    assert due(issued, now_ms + (TLS_SERVER_DAYS - TLS_RENEW_BEFORE_DAYS) * DAY_MS)
    again = server_certificate(keyring, Settings("test"), clock, SeededEntropy(b"b"))
    assert again.key != issued.key


def test_the_workers_are_told_of_a_new_certificate_when_it_is_due(
    tmp_path: Path, clock: FixedClock, keyring: MemoryKeyring
) -> None:
    home = Home(tmp_path)
    home.authority.parent.mkdir()
    settings = Settings("test", listen=free_address(0), tls_listen=free_address(0))
    gateways = Gateways(home, settings, keyring, clock, SeededEntropy(b"c"))
    try:
        first = gateways.orders(0)["tls"]
        assert gateways.renewal() is None
        clock.advance((TLS_SERVER_DAYS - TLS_RENEW_BEFORE_DAYS) * DAY_MS)
        told = gateways.renewal()
        assert told is not None and told["tls"]["certificate"] != first["certificate"]
        assert told["tls"]["key"] != first["key"]
        assert gateways.renewal() is None
        # Who starts later gets the new one with its orders.
        assert gateways.orders(0)["tls"] == told["tls"]
    finally:
        gateways.close()


def test_an_authority_stays_the_same_file_until_names_are_added(
    tmp_path: Path, clock: FixedClock, keyring: MemoryKeyring
) -> None:
    home, entropy = Home(tmp_path), SeededEntropy(b"d")
    home.authority.parent.mkdir()
    ensure_authority(home, keyring, Settings("test"), clock, entropy)
    first = home.authority.read_bytes()
    ensure_authority(home, keyring, Settings("test"), clock, entropy)
    assert home.authority.read_bytes() == first
    named = Settings("test", tls_names="gateway.example.org")
    ensure_authority(home, keyring, named, clock, entropy)
    second = x509.load_pem_x509_certificate(home.authority.read_bytes())
    assert second.public_key() == x509.load_pem_x509_certificate(first).public_key()


def test_a_port_that_another_environment_shares_is_not_joined(
    tmp_path: Path, clock: FixedClock, keyring: MemoryKeyring
) -> None:
    settings = Settings("test", listen=free_address(0), gateway_workers=2)
    gateways = Gateways(Home(tmp_path), settings, keyring, clock, SeededEntropy(b"e"))
    try:
        for index in range(2):
            with socket.socket(fileno=os.dup(gateways.descriptors(index)[0])) as bound:
                bound.listen()
        with pytest.raises(Unavailable, match="cannot listen"):
            Gateways(Home(tmp_path), settings, keyring, clock, SeededEntropy(b"f"))
    finally:
        gateways.close()
