# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenBao's Transit engine as an HTTP double: no server binary is at hand.

Paths, bodies, status codes and messages follow the API of OpenBao 2.x for keys of the type
aes256-gcm96. The cipher is real; what can go wrong is set on the object.
"""

import base64
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class TransitDouble:
    """A server on loopback. `calls` holds what was asked, newest last."""

    def __init__(self) -> None:
        self.token = "s.first"
        self.keys: dict[str, list[bytes]] = {}
        self.oldest: dict[str, dict[str, int]] = {}  # min_... of a key, as set by `config`
        self.sealed = False
        self.denied: set[str] = set()
        self.delay_s = 0.0
        # What a real server says of every key beside its versions.
        flags = ("exportable", "allow_plaintext_backup", "imported_key")
        self.about: dict[str, Any] = dict.fromkeys(flags, False)
        self.brought_in = 0  # versions that somebody else imports right after a rotation
        self.lie: dict[str, Any] | None = None
        self.calls: list[str] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self._do()

            def do_GET(self) -> None:
                self._do()

            def _do(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or b"{}")
                time.sleep(double.delay_s)
                token = self.headers.get("X-Vault-Token", "")
                status, answer = double.answer(self.command, self.path, token, body)
                data = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, method: str, path: str, token: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any] | None]:
        deed, _, name = path.removeprefix("/v1/transit/").partition("/")
        for ending in ("rotate", "config", "trim"):
            if name.endswith(f"/{ending}"):
                deed, name = ending, name.removesuffix(f"/{ending}")
        self.calls.append(deed if method == "POST" else "read")
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token or deed in self.denied:
            return 403, {"errors": ["permission denied"]}
        if deed == "keys":
            if method == "POST":
                self.keys.setdefault(name, [os.urandom(32)])
                return 204, None
            if name not in self.keys:
                return 404, {"errors": []}
            about = {"name": name, "latest_version": len(self.keys[name]), **self.about}
            return 200, {"data": about}
        if name not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        versions = self.keys[name]
        if deed == "rotate":
            versions.append(os.urandom(32))
            made = len(versions)
            versions.extend(bytes(32) for _ in range(self.brought_in))
            return 200, {"data": {"latest_version": made}}
        oldest = self.oldest.setdefault(name, {})
        if deed == "config":
            oldest.update(body)
            return 200, None
        if deed == "trim":
            return self._trim(oldest, versions, body["min_available_version"])
        if self.lie is not None:
            return 200, {"data": self.lie}
        if deed == "encrypt":
            nonce = os.urandom(12)
            plain = base64.b64decode(body["plaintext"])
            version = body.get("key_version") or len(versions)
            if version < oldest.get("min_encryption_version", 0):
                return 400, {"errors": ["requested version for encryption is too old"]}
            sealed = nonce + AESGCM(versions[version - 1]).encrypt(nonce, plain, None)
            text = f"vault:v{version}:{base64.b64encode(sealed).decode()}"
            return 200, {"data": {"ciphertext": text, "key_version": version}}
        _, version, text = body["ciphertext"].split(":")
        sealed = base64.b64decode(text)
        if int(version[1:]) < oldest.get("min_decryption_version", 0):
            return 400, {"errors": ["ciphertext or signature version is disallowed by policy"]}
        try:
            plain = AESGCM(versions[int(version[1:]) - 1]).decrypt(sealed[:12], sealed[12:], None)
        except (InvalidTag, IndexError):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}

    def _trim(
        self, oldest: dict[str, int], versions: list[bytes], first: int
    ) -> tuple[int, dict[str, Any] | None]:
        """As OpenBao: only what may neither be decrypted nor encrypted with is forgotten."""
        for name in ("min_decryption_version", "min_encryption_version"):
            if first > oldest.get(name, 0):
                return 400, {"errors": [f"minimum available version is higher than {name}"]}
        for index in range(first - 1):
            versions[index] = b"\0" * 32
        return 200, {"data": {"min_available_version": first}}
