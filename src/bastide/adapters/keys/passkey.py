# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Passkeys and FIDO2 devices, through a page on this machine that a browser opens.

A passkey file holds no secret: the public key, and the page and site that it is bound to. The page
shows the statement, takes its challenge from the very bytes that it shows, and gives back what the
authenticator signed; all is checked here before anything is kept.

* It listens on 127.0.0.1 alone, and takes the same port on ::1, so that nobody else answers there.
* It refers to nothing outside, answers only to its own name, and takes from its own origin only.
"""

import contextlib
import errno
import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from bastide.adapters.keys.durable import read_small, write_new
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotProven, Unavailable
from bastide.core.key import Fido, PublicKey, Purpose, Scheme
from bastide.crypto import webauthn
from bastide.crypto.base64url import b64url, unb64url
from bastide.crypto.signer import Signer
from bastide.crypto.webauthn import Assertion

__all__ = ["is_passkey", "passkey_signer", "read_passkey", "register_passkey"]

SITE: Final = "localhost"
_PATIENCE_S: Final = 300  # for a person to find the device
_READ_S: Final = 5  # for a browser to send what it has begun
_ANSWER_BYTES_MAX: Final = 64 * 1024
_FOLDER: Final = Path(__file__).with_name("page")
_PAGE: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Take = Callable[[Mapping[str, Any]], None]


def is_passkey(path: Path) -> bool:
    """True if a file is JSON, which no private key is. Raises NotFound."""
    return read_small(path).lstrip().startswith(b"{")


def read_passkey(path: Path) -> PublicKey:
    """Read a passkey file. Raises NotFound or Misconfigured."""
    try:
        key = PublicKey.from_json(json.loads(read_small(path)))
    except (ValueError, RecursionError, TypeError) as error:
        raise Misconfigured(f"{path} is not a passkey file") from error
    if key.scheme is not Scheme.WEBAUTHN or key.purpose is not Purpose.PARTY:
        raise Misconfigured(f"{path} is not a passkey file, but a {key.scheme} key")
    return key


def passkey_signer(public: PublicKey, tell: Callable[[str], None]) -> Signer:
    """A signer that asks the browser for each signature. It raises NotAllowed if nobody signs."""

    def sign(message: bytes) -> bytes:
        assert public.fido is not None
        assert public.fido.origin is not None
        assert public.fido.credential is not None
        taken: list[bytes] = []

        def take(answer: Mapping[str, Any]) -> None:
            made = Assertion(*(unb64url(answer[name]) for name in webauthn.FIELDS)).encode()
            webauthn.verify_signature(public, message, made)
            taken.append(made)

        task = {
            "deed": "sign",
            "message": b64url(message),
            "site": public.fido.application,
            "credential": b64url(public.fido.credential),
        }
        _ask_browser(public.fido.origin, task, take, tell)
        return taken[0]

    return Signer(public, sign)


def register_passkey(
    path: Path, party: str, port: int, challenge: bytes, tell: Callable[[str], None]
) -> PublicKey:
    """Make a passkey in the browser for a party, and a passkey file; `challenge` is random.

    What the authenticator is, is not asked: the key proves itself by signing its own enrolment.
    Raises NotAllowed if nobody makes one, Misconfigured if the file exists.
    """
    if path.exists():
        raise Misconfigured(f"{path} exists already", fix="choose another --out")
    origin = f"http://{SITE}:{port}"
    made: list[PublicKey] = []

    def take(answer: Mapping[str, Any]) -> None:
        client = unb64url(answer["clientDataJSON"])
        webauthn.read_client(client, "webauthn.create", challenge, origin)
        data = unb64url(answer["authenticatorData"])
        if data[:32] != hashlib.sha256(SITE.encode()).digest() or data[32] & 0x05 != 0x05:
            raise NotProven("the passkey is for another site, or its user was not verified")
        bound = Fido(SITE, origin, unb64url(answer["credential"]))
        raw = _raw(unb64url(answer["publicKey"]))
        made.append(PublicKey(raw, Purpose.PARTY, Scheme.WEBAUTHN, party, bound))

    task = {
        "deed": "make",
        "challenge": b64url(challenge),
        "site": SITE,
        "user": b64url(hashlib.sha256(challenge).digest()[:16]),
        "name": f"Bastide, {party}",
    }
    _ask_browser(origin, task, take, tell)
    text = json.dumps(made[0].to_json(), indent=2) + "\n"
    write_new(path, text.encode(), mode=0o644)
    return made[0]


def _raw(der: bytes) -> bytes:
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotProven("the browser gave no public key") from error
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raise NotProven("the passkey is neither ES256 nor Ed25519")


@dataclass
class _Desk:
    """One task for the page, until one answer was taken."""

    origin: str
    task: Mapping[str, Any]
    take: Take
    done: bool = False


class _Page(BaseHTTPRequestHandler):
    """What the page asks for."""

    timeout = _READ_S
    server_version, sys_version = "Bastide", ""

    @property
    def _desk(self) -> _Desk:
        return cast("_Desk", self.server)

    def do_GET(self) -> None:
        """The page's files, and its task."""
        if not self._is_ours():
            return
        if self.path == "/task":
            self._send(200, "application/json", json.dumps(self._desk.task).encode())
        elif self.path in _PAGE:
            name, kind = _PAGE[self.path]
            self._send(200, kind, (_FOLDER / name).read_bytes())
        else:
            self._send(404, "text/plain", b"not found")

    def do_POST(self) -> None:
        """The answer of the authenticator."""
        if not self._is_ours() or self.path != "/answer":
            return
        size = self.headers.get("Content-Length", "")
        kind = self.headers.get("Content-Type")
        if self.headers.get("Origin") != self._desk.origin or kind != "application/json":
            self._send(403, "text/plain", b"not from this page")
            return
        if not size.isascii() or not size.isdigit() or int(size) > _ANSWER_BYTES_MAX:
            self._send(413, "text/plain", b"too large")
            return
        try:
            answer = json.loads(self.rfile.read(int(size)))
            self._desk.take(answer)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self._send(422, "text/plain", f"not an answer: {error!r:.200}".encode())
        except BastideError as error:
            self._send(422, "text/plain", error.message.encode())
        else:
            self._desk.done = True
            self._send(200, "text/plain", b"ok")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (named by the base)
        """The terminal belongs to the person."""

    def _is_ours(self) -> bool:
        """A page of another name that leads here (DNS rebinding) gets nothing."""
        if self.headers.get("Host") == urlsplit(self._desk.origin).netloc:
            return True
        self._send(421, "text/plain", b"not this site")
        return False

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _ask_browser(
    origin: str, task: dict[str, Any], take: Take, tell: Callable[[str], None]
) -> None:
    """Serve the page until `take` has accepted one answer. Raises NotAllowed, Unavailable."""
    where = urlsplit(origin)
    if where.scheme != "http" or where.hostname != SITE or where.port is None:
        raise Misconfigured(
            f"the passkey is bound to {origin}, which is no page of this program",
            fix=f"use a passkey that was made for http://{SITE}",
        )
    desk = _Desk(origin, task, take)
    try:
        with contextlib.ExitStack() as stack:
            _hold_port(stack, where.port)
            listener = stack.enter_context(socket.create_server(("127.0.0.1", where.port)))
            listener.settimeout(_PATIENCE_S)
            tell(f"Open {origin} in a browser on this machine, and use your passkey there.")
            while not desk.done:
                connection, address = listener.accept()
                # A browser that goes away is not our trouble.
                with connection, contextlib.suppress(OSError):
                    _Page(connection, address, desk)  # pyrefly: ignore[bad-argument-type]
    except TimeoutError as error:
        raise NotAllowed(
            f"nobody signed in {_PATIENCE_S} s", fix="run it again, and open the page in a browser"
        ) from error
    except OSError as error:
        raise Unavailable(
            f"port {where.port} of this machine cannot be used: {error.strerror}",
            fix="end what listens there: a passkey is bound to its port",
        ) from error


def _hold_port(stack: contextlib.ExitStack, port: int) -> None:
    """Take the port on ::1 without listening: browsers go on to 127.0.0.1, and nobody else can."""
    if not socket.has_ipv6:
        return
    held = stack.enter_context(socket.socket(socket.AF_INET6))
    held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("::1", port))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
