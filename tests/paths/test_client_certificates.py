# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates of clients: whose authority may name whom, and connections that end with them.

Broken once to prove the tests: with every authority believed for every trust domain, without the
look at open connections, and with one that looks at neither times nor revocations, they fail; and
with the first certificate of any file taken.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509 as public_x509
from h2.errors import ErrorCodes

from bastide.app.certificates import client_authorities
from bastide.app.config import Home, Settings
from bastide.app.revocations import certificate_digest
from bastide.core import apikey
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.snapshot import KeyGrant
from bastide.crypto import x509
from paths.certificates import Clients, trusting
from paths.gateway_rig import KEY, PEPPER, Rig, bugs, gateway, request_bytes
from paths.h2_client import Client
from paths.test_gateway_tls import SPIFFE, STREAM_BODY, TlsRig, ask, refused
from paths.test_revoking import stated_s
from paths.worker_rig import services

REACHES_S = 1.0  # the promise


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


def status_of(tls: TlsRig, client: Path) -> int:
    with closing(tls.connect(trusting(tls.site.authority, client=client))) as connected:
        return ask(connected)


def bind(rig: Rig, *peers: str, certificates: frozenset[str] = frozenset()) -> None:
    """Let the key open nothing without a certificate of these names."""
    grant = KeyGrant("k_wide", "acme", ("*",), peers=peers)
    rig.publish(keys={apikey.mac(PEPPER, KEY): grant}, certificates=certificates)


def at(rig: Rig, time_ms: int) -> None:
    """Move the gateway's clock, and let control confirm what it knows."""
    rig.do(lambda: rig.clock.advance(time_ms - rig.clock.now_ms()))
    rig.publish()


def stream_until_closed(
    connected: ssl.SSLSocket, alpn: str, meanwhile: Callable[[], None]
) -> bytes:
    """Ask for a stream; when it has begun do something, upon which the other side closes in time.

    Returns what came until then.
    """
    if alpn == "h2":
        client = Client(connected)
        stream = client.ask(STREAM_BODY)
        while b"data:" not in client.bodies[stream]:
            client.read()
        began = time.monotonic()
        meanwhile()
        client.until_closed()
        assert time.monotonic() - began <= REACHES_S
        return client.bodies[stream]
    connected.settimeout(20)
    connected.sendall(request_bytes(STREAM_BODY))
    told = b""
    while b"data:" not in told:
        told += connected.recv(65_536)
    began = time.monotonic()
    meanwhile()
    while piece := connected.recv(65_536):
        told += piece
    assert time.monotonic() - began <= REACHES_S
    return told


def ends(connected: ssl.SSLSocket) -> float:
    """Read until the other side has closed; how long that took, in seconds."""
    began = time.monotonic()
    connected.settimeout(20)
    try:
        while connected.recv(65_536):
            pass
    except (ssl.SSLError, ConnectionError):
        pass
    return time.monotonic() - began


def ends_at(connected: ssl.SSLSocket) -> float:
    """The time at which the other side has closed, in seconds since 1970."""
    ends(connected)
    return time.time()


@pytest.mark.attacks("C242")
def test_one_tenants_authority_names_no_service_of_another(rig: Rig, tmp_path: Path) -> None:
    ours, theirs = Clients(tmp_path, "ours"), Clients(tmp_path, "theirs", "acme.example")
    nobodys = Clients(tmp_path, "nobodys", "")
    tls = TlsRig(rig, {"": ours.pem + theirs.pem + nobodys.pem})
    other = "spiffe://acme.example/web"
    bind(rig, SPIFFE, other)
    assert [status_of(tls, clients.give(None, SPIFFE)) for clients in (ours, theirs, nobodys)] == [
        200, 403, 403,
    ]  # fmt: skip
    assert [status_of(tls, clients.give(None, other)) for clients in (ours, theirs, nobodys)] == [
        403, 200, 403,
    ]  # fmt: skip
    # A domain that begins or ends so is another one.
    for name in ("spiffe://example.org.evil/ns/chat/sa/web", "spiffe://evil.example.org/web"):
        bind(rig, name)
        assert status_of(tls, ours.give(None, name)) == 403
    assert [request.peer for request in tls.seen if request.peer] == [SPIFFE, other]


@pytest.mark.attacks("C242")
def test_a_folder_says_whose_authority_is_for_which_domain(rig: Rig, tmp_path: Path) -> None:
    """What the authority says of itself counts for nothing then."""
    plain, lying = Clients(tmp_path, "plain", ""), Clients(tmp_path, "lying", "acme.example")
    tls = TlsRig(rig, {"example.org": plain.pem, "other.example": lying.pem + plain.pem})
    bind(rig, SPIFFE, "spiffe://acme.example/web", "spiffe://other.example/web")
    for clients, name, status in (
        (plain, SPIFFE, 200),
        (plain, "spiffe://other.example/web", 200),
        (lying, "spiffe://other.example/web", 200),
        (lying, "spiffe://acme.example/web", 403),
        (lying, SPIFFE, 403),
    ):
        assert status_of(tls, clients.give(None, name)) == status, name


def test_the_setting_names_a_file_or_a_folder(tmp_path: Path) -> None:
    home, folder, pem = Home(tmp_path), tmp_path / "clients", Clients(tmp_path).pem
    folder.mkdir()

    def read(client_ca: str) -> dict[str, str]:
        return client_authorities(
            home, Settings("test", client_ca=client_ca, tls_listen="127.0.0.1:1")
        )

    assert read("") == {}
    # An empty folder must not mean that nobody is asked for a certificate.
    for missing in ("clients", "none.pem"):
        with pytest.raises(NotFound):
            read(missing)
    (folder / "example.org.pem").write_text(pem)
    (folder / "readme.txt").write_text("not read")
    (tmp_path / "all.pem").write_text(pem)
    assert read("clients") == {"example.org": pem}
    assert read("all.pem") == {"": pem}
    (folder / "Example.ORG.pem").write_text(pem)
    with pytest.raises(Misconfigured):
        read("clients")
    (digest,) = x509.authorities(pem)
    assert x509.authorities(pem) == {digest: frozenset({"example.org"})}
    with pytest.raises(Misconfigured):
        x509.authorities("no certificate")


@pytest.mark.attacks("C243")
@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_certificate_that_ends_takes_its_connection_along(
    rig: Rig, tmp_path: Path, alpn: str
) -> None:
    clients = Clients(tmp_path)
    tls = TlsRig(rig, {"": clients.pem})
    rig.engine.words, rig.engine.pace_s = ["x"] * 1_000, 0.05
    short = clients.give(None, SPIFFE, seconds=3_600)
    read = public_x509.load_pem_x509_certificate(short.read_bytes())
    ends_ms = int(read.not_valid_after_utc.timestamp()) * 1_000
    at(rig, ends_ms - 1)
    long = tls.connect(trusting(tls.site.authority, client=clients.give(None, SPIFFE)))
    with closing(tls.connect(trusting(tls.site.authority, alpn, client=short))) as connected:
        told = stream_until_closed(connected, alpn, lambda: at(rig, ends_ms))
    assert b"[DONE]" not in told
    assert b"error" in told
    with closing(long):
        rig.engine.words, rig.engine.pace_s = ["x"], 0.0
        assert ask(long) == 200, "another's goes on"
    assert refused(tls, trusting(tls.site.authority, alpn, client=short))


@pytest.mark.attacks("C243")
@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_revoked_certificate_ends_what_is_open_and_opens_nothing(
    rig: Rig, tmp_path: Path, alpn: str
) -> None:
    clients = Clients(tmp_path)
    tls = TlsRig(rig, {"": clients.pem})
    rig.engine.words, rig.engine.pace_s = ["x"] * 1_000, 0.05
    stolen, good = clients.give(None, SPIFFE), clients.give(None, SPIFFE)
    idle = tls.connect(trusting(tls.site.authority, alpn, client=stolen))
    with closing(tls.connect(trusting(tls.site.authority, alpn, client=stolen))) as connected:
        digest = certificate_digest(stolen.read_text()).hex
        told = stream_until_closed(
            connected, alpn, lambda: bind(rig, SPIFFE, certificates=frozenset((digest,)))
        )
    assert b"[DONE]" not in told
    assert b"error" in told
    with closing(idle):
        assert ends(idle) <= REACHES_S
    assert refused(tls, trusting(tls.site.authority, alpn, client=stolen))
    rig.engine.words, rig.engine.pace_s = ["x"], 0.0
    assert status_of(tls, good) == 200, "the same name in another certificate"


@pytest.mark.attacks("C243")
@pytest.mark.parametrize("which", ["the root", "one below it"])
def test_a_revoked_authority_ends_what_rests_on_it_and_no_more(
    rig: Rig, tmp_path: Path, which: str
) -> None:
    root = Clients(tmp_path, "root")
    below, beside = (Clients(tmp_path, name, "", root) for name in ("below", "beside"))
    other = Clients(tmp_path, "other")
    tls = TlsRig(rig, {"": root.pem + other.pem})
    revoked = root if which == "the root" else below
    bind(rig, SPIFFE)
    lost = [below.give(None, SPIFFE), *([beside.give(None, SPIFFE)] if revoked is root else [])]
    kept = [other.give(None, SPIFFE), *([] if revoked is root else [beside.give(None, SPIFFE)])]
    rig.engine.words, rig.engine.pace_s = ["x"] * 1_000, 0.05
    idle = [tls.connect(trusting(tls.site.authority, client=one)) for one in lost]
    with closing(tls.connect(trusting(tls.site.authority, client=lost[0]))) as connected:
        digests = frozenset((certificate_digest(revoked.pem).hex,))
        told = stream_until_closed(
            connected, "http/1.1", lambda: bind(rig, SPIFFE, certificates=digests)
        )
    assert b"[DONE]" not in told
    assert b"error" in told
    for one in idle:
        with closing(one):
            assert ends(one) <= REACHES_S
    rig.engine.words, rig.engine.pace_s = ["x"], 0.0
    assert all(refused(tls, trusting(tls.site.authority, client=one)) for one in lost)
    assert [status_of(tls, one) for one in kept] == [200] * len(kept)


@pytest.mark.attacks("C243")
def test_a_connection_ends_with_the_authority_of_its_certificate(rig: Rig, tmp_path: Path) -> None:
    root = Clients(tmp_path, "root")
    below = Clients(tmp_path, "below", "", root, seconds=3_600)
    tls = TlsRig(rig, {"": root.pem})
    client = below.give(None, SPIFFE)
    ends_ms = x509.ends_ms(below.pem.encode())
    bind(rig, SPIFFE)
    at(rig, ends_ms - 1)
    with closing(tls.connect(trusting(tls.site.authority, client=client))) as connected:
        rig.engine.words, rig.engine.pace_s = ["x"], 0.0
        assert ask(connected) == 200
        at(rig, ends_ms)
        assert ends(connected) <= REACHES_S


@pytest.mark.attacks("C243")
def test_a_request_that_is_half_sent_when_its_certificate_is_revoked_is_not_taken(
    rig: Rig, tmp_path: Path
) -> None:
    """Over HTTP/2 many may be; none of them runs yet, so no answer can be cut."""
    clients = Clients(tmp_path)
    tls = TlsRig(rig, {"": clients.pem})
    stolen = clients.give(None, SPIFFE)
    with closing(tls.connect(trusting(tls.site.authority, "h2", client=stolen))) as connected:
        client = Client(connected)
        halves = [client.ask(STREAM_BODY, end=False) for _ in range(3)]
        assert client.status(client.get()) == 200, "they have come"
        began = time.monotonic()
        digest = certificate_digest(stolen.read_text()).hex
        bind(rig, SPIFFE, certificates=frozenset((digest,)))
        client.until_closed()
        assert time.monotonic() - began <= REACHES_S, "it would take as long as a request may"
    assert client.resets == dict.fromkeys(halves, ErrorCodes.REFUSED_STREAM)
    assert client.goaway == ErrorCodes.NO_ERROR


@pytest.mark.attacks("C243")
def test_a_command_revokes_it_in_every_worker(tmp_path: Path) -> None:
    clients = Clients(tmp_path)
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "example.org.pem").write_text(clients.pem)
    stolen, good = clients.give(None, SPIFFE), clients.give(None, SPIFFE)
    with services(tmp_path / "home", gateway_workers=2, client_ca=str(folder)) as made:
        authority, key = made.home.authority.read_bytes(), made.key()["key"]

        def served(client: Path) -> bool:
            context = trusting(authority, client=client)
            try:
                with closing(made_connection(made.tls_port, context)) as connected:
                    head = f"Host: localhost\r\nAuthorization: Bearer {key}"
                    connected.sendall(f"GET /v1/models HTTP/1.1\r\n{head}\r\n\r\n".encode())
                    return connected.recv(12).endswith(b"200")
            except (ssl.SSLError, ConnectionError):
                return False

        wait(lambda: served(stolen) and served(good))
        context = trusting(authority, client=stolen)
        open_now = [made_connection(made.tls_port, context) for _ in range(4)]
        with ThreadPoolExecutor() as readers:  # they end while the command still runs
            ended = [readers.submit(ends_at, connected) for connected in open_now]
            row = made.demo.json("revoke", "certificate", str(stolen), "--reason", "its key leaked")
        assert (row["what"], row["name"]) == ("certificate", "certificate")
        assert row["digest"] == str(certificate_digest(stolen.read_text()))
        stated = stated_s(made.demo, "revocation/v1")
        assert all(one.result() - stated <= REACHES_S for one in ended)
        for connected in open_now:
            connected.close()
        assert not any(served(stolen) for _ in range(6))
        assert all(served(good) for _ in range(6))
        pem = str(folder / "example.org.pem")
        made.demo.json("revoke", "certificate", pem, "--reason", "its authority was opened")
        wait(lambda: not any(served(good) for _ in range(6)))
        # By its digest, and only once.
        again = made.demo.json("revoke", "certificate", row["digest"], "--reason", "again")
        assert again["entry"] == row["entry"]
        made.demo.json("ledger", "audit")


@pytest.mark.attacks("C243")
def test_a_file_with_several_authorities_is_refused(tmp_path: Path) -> None:
    """Only one of them would be revoked, and whoever did it would not know."""
    root, other = Clients(tmp_path, "root"), Clients(tmp_path, "other")
    below = Clients(tmp_path, "below", "", root)
    client = below.give(None, SPIFFE).read_text()
    second = below.give(None, SPIFFE).read_text()
    for several in (root.pem + other.pem, below.pem + root.pem, root.pem + client, client + second):
        with pytest.raises(Misconfigured, match="certificates in it") as refusal:
            certificate_digest(several)
        assert all(f"sha256:{one}" in str(refusal.value) for one in x509.authorities(several))
        assert "a file with one of them" in refusal.value.fix
    # A client's file: itself, then the authorities above it, which may be there twice.
    (own, *above) = x509.authorities(client + root.pem)
    assert len(above) == 2
    for file in (client, client + root.pem, client + root.pem + below.pem):
        assert certificate_digest(file).hex == own
    assert certificate_digest(root.pem + root.pem) == certificate_digest(root.pem)


def made_connection(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(plain, server_hostname="localhost")


def wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
