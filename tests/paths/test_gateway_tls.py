# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""TLS: version, protocols, certificates of both sides, and a new certificate while it runs."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError, InvalidEndpointConfigurationError
from cryptography import x509
from cryptography.x509.oid import NameOID

from bastide.app.moving import trusting as trusting_variables
from bastide.core import apikey
from bastide.core.snapshot import KeyGrant
from bastide.gateway.inbound import Request
from bastide.gateway.tls import server_context
from paths.certificates import Clients, Site, trusting
from paths.gateway_rig import (
    KEY,
    MODEL,
    PEPPER,
    STRANGE_KEY,
    Rig,
    bugs,
    gateway,
    read_response,
    request_bytes,
)
from paths.h2_client import Client

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}).encode()
STREAM_BODY = BODY[:-1] + b', "stream": true}'
SPIFFE = "spiffe://example.org/ns/chat/sa/web"


class TlsRig:
    """A gateway with a TLS port."""

    def __init__(self, rig: Rig, client_ca: dict[str, str] | None = None) -> None:
        self.rig = rig
        self.site = Site.make()
        self.client_ca = client_ca
        self.seen: list[Request] = []
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        rig.call(rig.server.start(listening, self.context()))
        screen = rig.server.routes.screen

        def watch(request: Request) -> object:
            self.seen.append(request)
            return screen(request)

        rig.server.routes.screen = watch  # type: ignore[method-assign,assignment]

    def context(self) -> ssl.SSLContext:
        issued = self.site.issue()
        return server_context(issued.certificate.decode(), issued.key.decode(), self.client_ca)

    def connect(self, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname=name)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with gateway() as made:
        yield made
        assert bugs(made) == []


@pytest.fixture
def tls(rig: Rig) -> TlsRig:
    return TlsRig(rig)


def ask(connected: socket.socket) -> int:
    connected.sendall(request_bytes(BODY))
    return read_response(connected).status


@pytest.mark.attacks("C75")
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_client_that_trusts_our_authority_is_served(tls: TlsRig, name: str) -> None:
    with closing(tls.connect(trusting(tls.site.authority), name)) as connected:
        assert connected.version() == "TLSv1.3"
        assert ask(connected) == ask(connected) == 200


def test_both_protocols_are_agreed_on_in_the_handshake(tls: TlsRig) -> None:
    context = trusting(tls.site.authority)
    for http2, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
        with httpx.Client(http2=http2, verify=context) as http:
            answer = http.post(
                f"https://localhost:{tls.port}/v1/chat/completions",
                content=STREAM_BODY,
                headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
            )
        assert (answer.http_version, answer.status_code) == (version, 200)
        assert answer.content.endswith(b"data: [DONE]\n\n")


def test_a_slow_reader_over_tls_blocks_its_own_stream_only(tls: TlsRig) -> None:
    tls.rig.engine.words = ["x" * 1_000] * 100
    context = trusting(tls.site.authority, "h2")
    with closing(tls.connect(context)) as connected:
        client = Client(connected, generous=False, window=4_096)
        slow = client.ask(STREAM_BODY)
        while len(client.bodies[slow]) < 4_096:
            client.read()
        client.frames.increment_flow_control_window(1 << 20)
        client.send()
        assert client.status(client.get()) == 200
        assert slow not in client.ended


@pytest.mark.attacks("C82")
def test_a_failing_stream_over_tls_never_ends_cleanly(tls: TlsRig) -> None:
    tls.rig.engine.fails_after = 2
    with closing(tls.connect(trusting(tls.site.authority))) as connected:
        connected.sendall(request_bytes(STREAM_BODY))
        response = read_response(connected)
    assert not response.whole
    assert b'"error"' in response.body and b"DONE" not in response.body


@pytest.mark.attacks("C75")
def test_older_versions_are_refused(tls: TlsRig) -> None:
    context = trusting(tls.site.authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        tls.connect(context)


def test_plain_http_on_the_tls_port_gets_nothing(tls: TlsRig) -> None:
    with socket.create_connection(("127.0.0.1", tls.port), timeout=10) as connected:
        connected.sendall(request_bytes(BODY))
        assert not connected.recv(1_000).startswith(b"HTTP")
    assert tls.rig.engine.requests == []


def test_a_new_certificate_takes_the_next_connections_and_ends_none(tls: TlsRig) -> None:
    context = trusting(tls.site.authority)
    tls.rig.engine.pace_s = 0.05
    with closing(tls.connect(context)) as old:
        before = old.getpeercert(binary_form=True)
        old.sendall(request_bytes(STREAM_BODY))
        tls.rig.until(lambda: tls.rig.engine.running)
        for _ in range(20):
            tls.rig.call(tls.rig.server.renew_tls(tls.context()))
            with closing(tls.connect(context)) as new:
                assert new.getpeercert(binary_form=True) != before
        assert read_response(old).body.endswith(b"data: [DONE]\n\n")
        tls.rig.engine.pace_s = 0
        assert ask(old) == 200


def test_a_stop_closes_the_tls_port_too(tls: TlsRig) -> None:
    tls.rig.call(tls.rig.server.stop(0.1))
    with pytest.raises(OSError):
        tls.connect(trusting(tls.site.authority))


# A Bedrock API key: boto3 sends it over HTTPS only


@pytest.fixture
def bearer(tls: TlsRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The key is in the environment and the authority too, as `bastide env --tls` says it."""
    path = tmp_path / "ca.pem"
    path.write_bytes(tls.site.authority)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**trusting_variables(str(path)), "AWS_BEARER_TOKEN_BEDROCK": KEY}.items():
        monkeypatch.setenv(name, value)
    yield f"https://localhost:{tls.port}"


def bedrock(url: str) -> Any:
    return boto3.client("bedrock-runtime", endpoint_url=url, region_name="eu-central-1")


def test_boto3_with_a_bearer_key(bearer: str, tls: TlsRig) -> None:
    ask = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    answer = bedrock(bearer).converse(**ask)
    assert answer["output"]["message"]["content"][0]["text"] == "Hello wörld!"
    pieces = bedrock(bearer).converse_stream(**ask)["stream"]
    text = "".join(
        event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in pieces
    )
    assert text == "Hello wörld!"
    with pytest.raises(InvalidEndpointConfigurationError):  # why there has to be TLS at all
        bedrock(f"http://127.0.0.1:{tls.rig.port}").converse(**ask)


def test_boto3_with_a_wrong_bearer_key(bearer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", STRANGE_KEY)
    with pytest.raises(ClientError) as caught:
        bedrock(bearer).converse(
            modelId=MODEL, messages=[{"role": "user", "content": [{"text": "Hi"}]}]
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


# Certificates of clients


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path)


@pytest.fixture
def mutual(rig: Rig, clients: Clients) -> TlsRig:
    return TlsRig(rig, {"": clients.pem})


def refused(mutual: TlsRig, context: ssl.SSLContext) -> bool:
    """True if nothing is answered. With TLS 1.3 a client learns of it when it reads."""
    try:
        with closing(mutual.connect(context)) as connected:
            return ask(connected) == 0
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_spiffe_id_is_what_routes_see(mutual: TlsRig, clients: Clients, alpn: str) -> None:
    context = trusting(mutual.site.authority, alpn, client=clients.give(None, SPIFFE))
    with closing(mutual.connect(context)) as connected:
        if alpn == "h2":
            client = Client(connected)
            assert client.status(client.ask(BODY)) == 200
        else:
            assert ask(connected) == 200
    assert [request.peer for request in mutual.seen] == [SPIFFE]


def test_a_subject_is_seen_where_there_is_no_spiffe_id(mutual: TlsRig, clients: Clients) -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme, Inc."),
            x509.NameAttribute(NameOID.COMMON_NAME, "web,commonName=admin"),
        ]
    )
    context = trusting(mutual.site.authority, client=clients.give(subject))
    with closing(mutual.connect(context)) as connected:
        assert ask(connected) == 200
    assert [request.peer for request in mutual.seen] == [
        "organizationName=Acme\\, Inc.,commonName=web\\,commonName\\=admin"
    ]


@pytest.mark.attacks("C77")
def test_two_spiffe_ids_name_nobody(mutual: TlsRig, clients: Clients) -> None:
    client = clients.give(None, SPIFFE, "spiffe://example.org/admin")
    with closing(mutual.connect(trusting(mutual.site.authority, client=client))) as connected:
        assert ask(connected) == 200
    assert [request.peer for request in mutual.seen] == [""]


@pytest.mark.attacks("C77")
def test_without_a_certificate_of_theirs_nothing_is_answered(
    mutual: TlsRig, tmp_path: Path
) -> None:
    stranger = Clients(tmp_path, "clients").give(None, SPIFFE)
    assert refused(mutual, trusting(mutual.site.authority))
    assert refused(mutual, trusting(mutual.site.authority, client=stranger))
    assert mutual.seen == []


def test_other_authorities_count_from_the_next_connection_on(
    mutual: TlsRig, clients: Clients, tmp_path: Path
) -> None:
    context = trusting(mutual.site.authority, client=clients.give(None, SPIFFE))
    assert not refused(mutual, context)
    mutual.client_ca = {"": Clients(tmp_path, "others").pem}
    mutual.rig.call(mutual.rig.server.renew_tls(mutual.context()))
    assert refused(mutual, context)


def test_who_is_asked_for_no_certificate_has_no_name(tls: TlsRig, clients: Clients) -> None:
    context = trusting(tls.site.authority, client=clients.give(None, SPIFFE))
    with closing(tls.connect(context)) as connected:
        assert ask(connected) == 200
    assert [request.peer for request in tls.seen] == [""]


# Keys bound to a name of a certificate


def bound(tls: TlsRig, *peers: str) -> None:
    """Let the key open nothing without a certificate of these names."""
    mac = apikey.mac(PEPPER, KEY)
    tls.rig.publish(keys={mac: KeyGrant("k_wide", "acme", ("*",), peers=peers)})


@pytest.mark.attacks("C223")
@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_stolen_key_opens_nothing_without_the_certificate_it_is_bound_to(
    mutual: TlsRig, clients: Clients, alpn: str
) -> None:
    """Broken once: without the check in `_within`, all of them are answered."""
    bound(mutual, "spiffe://example.org/other", SPIFFE)
    common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SPIFFE)])
    for client, status in (
        (clients.give(None, SPIFFE), 200),
        (clients.give(None, "spiffe://example.org/ns/chat/sa/web2"), 403),
        (clients.give(None, "spiffe://example.org.evil/ns/chat/sa/web"), 403),
        (clients.give(None, SPIFFE, "spiffe://example.org/admin"), 403),
        (clients.give(None, "https://example.org/ns/chat/sa/web"), 403),
        (clients.give(common), 403),
    ):
        context = trusting(mutual.site.authority, alpn, client=client)
        with closing(mutual.connect(context)) as connected:
            if alpn == "h2":
                asking = Client(connected)
                assert asking.status(asking.ask(BODY)) == status
            else:
                assert ask(connected) == status


@pytest.mark.attacks("C223")
def test_a_bound_key_opens_nothing_where_no_certificate_is_asked_for(
    tls: TlsRig, clients: Clients
) -> None:
    bound(tls, SPIFFE)
    context = trusting(tls.site.authority, client=clients.give(None, SPIFFE))
    with closing(tls.connect(context)) as connected:
        assert ask(connected) == 403
    # Nor over plain HTTP, on the port beside it.
    answer = httpx.post(
        f"{tls.rig.url}/v1/chat/completions",
        content=BODY,
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "certificate_not_allowed")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_shows_the_certificate_that_a_key_is_bound_to(
    mutual: TlsRig, clients: Clients, tmp_path: Path, version: str
) -> None:
    bound(mutual, SPIFFE)
    (tmp_path / "ca.pem").write_bytes(mutual.site.authority)
    for name, status in ((SPIFFE, "200"), ("spiffe://example.org/ns/chat/sa/mail", "403")):
        client = str(clients.give(None, name))
        done = subprocess.run(
            ["curl", "-sS", version, "--noproxy", "*", "--cacert", str(tmp_path / "ca.pem"),
             "--cert", client, "--key", client, "-H", f"Authorization: Bearer {KEY}",
             # Without a body: curl 7.88 fails if HTTP/2 answers while it still sends one.
             "-o", str(tmp_path / "out"), "-w", "%{http_code}",
             f"https://localhost:{mutual.port}/v1/models"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, status), done.stderr
