# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Sealed requests and answers: bytes that only a client and one attested node can read.

A request is HPKE (RFC 9180, base mode) to the node's quoted key, by `cryptography`:
``enc || ciphertext`` of ``secret (32) || time_ms (8) || length (4) || content || zeros``, with
`core.sealed.bound` as the info. The secret is fresh for each request.

An answer is lines of base64url. The first is the node's 32 random bytes; the key of the others is
``HKDF-SHA256(secret, salt = those bytes, info = label || SHA-256(request))``. Line n from 0 is
ChaCha20-Poly1305 of ``kind (1) || length (4) || data || zeros`` under the nonce ``n (11) || last
(1)``: the STREAM construction, as in age. So no line can be left out, moved, repeated or added, and
who sees no last line has no whole answer.

This is not Oblivious HTTP (RFC 9458): that exports its answer's key from the HPKE context, which
the library does not offer, and hides the client's address, which this does not.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bastide.core.errors import NotProven
from bastide.core.sealed import padded_bytes
from bastide.crypto.base64url import b64url, unb64url

__all__ = [
    "ENC_BYTES", "SECRET_BYTES", "AnswerOpener", "AnswerSealer", "Kind", "Opened", "open_request",
    "seal_request",
]  # fmt: skip

SECRET_BYTES: Final = 32
ENC_BYTES: Final = 32  # of X25519: what makes each request another one
REQUEST_BYTES_LEAST: Final = 1_024
LINE_BYTES_LEAST: Final = 512  # a token in a vendor's event is mostly shorter
LINE_DATA_MAX: Final = 1 << 20
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_HEAD: Final = struct.Struct(">32sQI")
_LINE: Final = struct.Struct(">BI")
_ANSWER: Final = b"bastide.eu/sealed-answer/v1\0"
_WRONG: Final = "sealed: it was changed, or sealed to another node, model or limit"


class Kind(IntEnum):
    """What a line of an answer holds."""

    HEAD = 0  # JSON: the status and headers
    BODY = 1  # bytes of the body
    CLOSING = 2  # bytes that end the body: nobody is given them before the end was seen
    END = 3  # JSON: what the node states; the last line, and only it


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """What a node reads. It is secret."""

    secret: bytes
    time_ms: int
    content: bytes


def seal_request(node: bytes, info: bytes, secret: bytes, time_ms: int, content: bytes) -> bytes:
    """Seal to a node's X25519 key. Raises NotProven for a key that is none."""
    head = _HEAD.pack(secret, time_ms, len(content))
    plain = head + content
    plain = plain.ljust(padded_bytes(len(plain), REQUEST_BYTES_LEAST), b"\0")
    try:
        return _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(node), info)
    except ValueError as error:  # also a point of small order
        raise NotProven("sealed: the node's key is no X25519 key") from error


def open_request(key: X25519PrivateKey, info: bytes, sealed: bytes) -> Opened:
    """Open with the node's key. Raises NotProven."""
    if len(sealed) < ENC_BYTES:
        raise NotProven(_WRONG)
    try:
        plain = _SUITE.decrypt(sealed, key, info)
    except (InvalidTag, ValueError) as error:
        raise NotProven(_WRONG) from error
    if len(plain) < _HEAD.size:
        raise NotProven(_WRONG)
    secret, time_ms, length = _HEAD.unpack_from(plain)
    content, rest = plain[_HEAD.size : _HEAD.size + length], plain[_HEAD.size + length :]
    if len(content) != length or rest.strip(b"\0"):
        raise NotProven("sealed: its padding is malformed")
    return Opened(secret, time_ms, content)


class AnswerSealer:
    """The node's side of one answer. `nonce` are 32 fresh random bytes."""

    def __init__(self, secret: bytes, nonce: bytes, sealed: bytes) -> None:
        self._aead = _answer_key(secret, nonce, sealed)
        self._first = b64url(nonce) + "\n"
        self._count = 0

    def line(self, kind: Kind, data: bytes) -> str:
        """One more line; before the first, that of the nonce. END closes the answer."""
        last = kind is Kind.END
        plain = _LINE.pack(kind, len(data)) + data
        plain = plain.ljust(padded_bytes(len(plain), LINE_BYTES_LEAST), b"\0")
        sealed = self._aead.encrypt(_nonce(self._count, last), plain, None)
        self._count += 1
        first, self._first = self._first, ""
        return first + b64url(sealed) + "\n"


class AnswerOpener:
    """The client's side. Feed it lines; nothing is whole before `ended`."""

    def __init__(self, secret: bytes, sealed: bytes) -> None:
        self._secret, self._sealed = secret, sealed
        self._aead: ChaCha20Poly1305 | None = None
        self._count = 0
        self.ended = False

    def open(self, line: str) -> tuple[Kind, bytes] | None:
        """What a line holds; None for the first. Raises NotProven."""
        if self.ended:
            raise NotProven("sealed answer: something follows its end")
        try:
            data = unb64url(line.removesuffix("\n"))
        except ValueError as error:
            raise NotProven("sealed answer: a line is not base64url") from error
        if self._aead is None:
            if len(data) != SECRET_BYTES:
                raise NotProven("sealed answer: it does not begin with 32 random bytes")
            self._aead = _answer_key(self._secret, data, self._sealed)
            return None
        kind, content = self._opened(self._aead, data)
        self._count += 1
        return kind, content

    def _opened(self, aead: ChaCha20Poly1305, data: bytes) -> tuple[Kind, bytes]:
        for last in (False, True):
            try:
                plain = aead.decrypt(_nonce(self._count, last), data, None)
            except InvalidTag:
                continue
            kind, length = _LINE.unpack_from(plain)
            content = plain[_LINE.size : _LINE.size + length]
            if len(content) != length or kind > Kind.END or (kind == Kind.END) is not last:
                raise NotProven("sealed answer: a line is malformed")
            self.ended = last
            return Kind(kind), content
        raise NotProven(
            f"sealed answer: line {self._count} was changed or moved, or is of another answer"
        )


def _answer_key(secret: bytes, nonce: bytes, sealed: bytes) -> ChaCha20Poly1305:
    info = _ANSWER + hashlib.sha256(sealed).digest()
    return ChaCha20Poly1305(HKDF(hashes.SHA256(), 32, nonce, info).derive(secret))


def _nonce(count: int, last: bool) -> bytes:
    return count.to_bytes(11) + bytes((last,))
