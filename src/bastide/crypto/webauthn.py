# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""WebAuthn assertions as signatures (W3C WebAuthn Level 3, sections 5.8.1, 6.1 and 7.2).

A signature in an envelope is the canonical JSON of ``authenticatorData``, ``clientDataJSON`` and
``signature``, each base64url without padding: whoever has it checks it with any WebAuthn library.
The challenge is the SHA-256 of the message, so an assertion is about one statement and no other.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, NotProven
from bastide.core.key import PublicKey
from bastide.crypto import fido
from bastide.crypto.base64url import b64url, unb64url

__all__ = [
    "FIELDS",
    "Assertion",
    "challenge_of",
    "read_client",
    "verify_signature",
]

FIELDS = ("authenticatorData", "clientDataJSON", "signature")


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator gave back: its data, the browser's, and the signature over both."""

    authenticator: bytes
    client: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The bytes that an envelope keeps."""
        values = (self.authenticator, self.client, self.signature)
        return canonical(dict(zip(FIELDS, map(b64url, values), strict=True)))

    @classmethod
    def decode(cls, data: bytes) -> "Assertion":
        """Read what `encode` wrote, in its one form. Raises NotProven."""
        try:
            row = json.loads(data)
            made = cls(*(unb64url(row[name]) for name in FIELDS))
            whole = made.encode() == data
        except (ValueError, TypeError, KeyError, RecursionError, BastideError) as error:
            raise NotProven(f"not a WebAuthn assertion: {error!r:.100}") from error
        if not whole:
            raise NotProven("not a WebAuthn assertion: it has more fields, or stray bits")
        return made


def challenge_of(message: bytes) -> bytes:
    """The challenge that is signed for a message."""
    return hashlib.sha256(message).digest()


def verify_signature(key: PublicKey, message: bytes, data: bytes) -> None:
    """Check an assertion of one key over a message. Raises NotProven, saying what differs."""
    assert key.fido is not None
    assert key.fido.origin is not None
    made = Assertion.decode(data)
    read_client(made.client, "webauthn.get", challenge_of(message), key.fido.origin)
    client_hash = hashlib.sha256(made.client).digest()
    fido.verify_assertion(key, made.authenticator, client_hash, made.signature)


def read_client(data: bytes, kind: str, challenge: bytes, origin: str) -> None:
    """Check what a browser says it asked for. Raises NotProven, saying what differs."""
    try:
        row = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise NotProven("the browser's part of the assertion is not JSON") from error
    wanted = {"type": kind, "challenge": b64url(challenge), "origin": origin}
    for name, value in wanted.items():
        if not isinstance(row, dict) or row.get(name) != value:
            had = row.get(name) if isinstance(row, dict) else row
            raise NotProven(f"the assertion's {name} is {had!r:.100}, not {value!r}")
    if row.get("crossOrigin", False) is not False or "topOrigin" in row:
        raise NotProven("the assertion was asked for by a page inside another page")


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    rows = list(pairs)
    if len(dict(rows)) != len(rows):
        raise ValueError("a key stands twice in one object")
    return dict(rows)
