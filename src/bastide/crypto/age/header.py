# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The header of an age file (C2SP age.md, "Header"): stanzas and a MAC.

The parser is strict and canonical: what it accepts, `encode` writes back byte for byte. So the
MAC may be computed over the encoding. tests/vectors/test_age_vectors.py proves the strictness.
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.limits import AGE_HEADER_BYTES_MAX, AGE_STANZAS_MAX

__all__ = [
    "FILE_KEY_BYTES",
    "Header",
    "Stanza",
    "decode_unpadded",
    "derive",
    "encode_unpadded",
    "make_header",
    "parse_header",
    "verify_mac",
]

FILE_KEY_BYTES: Final = 16
_VERSION = b"age-encryption.org/v1"
_COLUMNS = 64
_ARGUMENT = re.compile(rb"[!-~]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")


@dataclass(frozen=True, slots=True)
class Stanza:
    """One wrapping of the file key: arguments, the first of which is the type, and a body."""

    arguments: tuple[str, ...]
    body: bytes

    @property
    def kind(self) -> str:
        """The type of the stanza: its first argument."""
        return self.arguments[0]

    def encode(self) -> bytes:
        """The stanza as it stands in a header."""
        body = encode_unpadded(self.body).encode()
        lines = [body[start : start + _COLUMNS] for start in range(0, len(body), _COLUMNS)]
        if len(body) % _COLUMNS == 0:
            lines.append(b"")  # the last line is always shorter than a full one
        first = b"-> " + " ".join(self.arguments).encode()
        return b"\n".join([first, *lines]) + b"\n"


@dataclass(frozen=True, slots=True)
class Header:
    """The stanzas of a file and the MAC over them."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    def encode(self) -> bytes:
        """The canonical bytes of the header."""
        return _authenticated(self.stanzas) + b" " + encode_unpadded(self.mac).encode() + b"\n"


def parse_header(data: bytes) -> tuple[Header, int]:
    """Read the header at the start of `data`; return it and its length. Raises Misconfigured."""
    lines = _Lines(data)
    if lines.take() != _VERSION:
        raise _malformed("it is not version 1 of the format")
    stanzas: list[Stanza] = []
    while not (line := lines.take()).startswith(b"---"):
        if len(stanzas) == AGE_STANZAS_MAX:
            raise _malformed(f"it has more than {AGE_STANZAS_MAX} stanzas")
        stanzas.append(_parse_stanza(line, lines))
    if not stanzas:
        raise _malformed("it has no stanza")
    mac = decode_unpadded(line[4:]) if line.startswith(b"--- ") else b""
    if len(mac) != 32:
        raise _malformed("its MAC line is damaged")
    if len(stanzas) > 1 and any(stanza.kind == "scrypt" for stanza in stanzas):
        raise _malformed("a passphrase stanza stands beside others")
    return Header(tuple(stanzas), mac), lines.position


def make_header(stanzas: tuple[Stanza, ...], file_key: bytes) -> Header:
    """Make a header with its MAC. Raises Misconfigured if it were larger than we accept."""
    header = Header(stanzas, _mac(stanzas, file_key))
    if len(stanzas) > AGE_STANZAS_MAX or len(header.encode()) > AGE_HEADER_BYTES_MAX:
        raise Misconfigured("too many recipients for one age file", fix="name fewer recipients")
    return header


def verify_mac(header: Header, file_key: bytes) -> None:
    """Check the header's MAC. Raises NotProven."""
    if not hmac.compare_digest(header.mac, _mac(header.stanzas, file_key)):
        raise NotProven("the MAC of the age header does not hold")


def derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 with 32 bytes of output, the only derivation in age."""
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def encode_unpadded(data: bytes) -> str:
    """Standard base64 without padding."""
    return base64.b64encode(data).rstrip(b"=").decode()


def decode_unpadded(text: bytes) -> bytes:
    """Strict, canonical, unpadded base64. Raises Misconfigured."""
    try:
        if not _BASE64.fullmatch(text):
            raise _malformed("it has characters outside base64")
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise _malformed("its base64 is cut") from error
    if encode_unpadded(data).encode() != text:
        raise _malformed("its base64 is not canonical")
    return data


class _Lines:
    """Takes lines off the front of a header, within its size limit."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def take(self) -> bytes:
        end = self._data.find(b"\n", self.position, AGE_HEADER_BYTES_MAX)
        if end < 0:
            raise _malformed("it is cut, or too large")
        line = self._data[self.position : end]
        self.position = end + 1
        return line


def _parse_stanza(line: bytes, lines: _Lines) -> Stanza:
    if not line.startswith(b"-> "):
        raise _malformed("a stanza does not start with an arrow")
    arguments = line[3:].split(b" ")
    if not all(_ARGUMENT.fullmatch(argument) for argument in arguments):
        raise _malformed("a stanza has a bad argument")
    body = bytearray()
    while True:
        row = lines.take()
        if len(row) > _COLUMNS:
            raise _malformed("a line is too long")
        body += decode_unpadded(row)
        if len(row) < _COLUMNS:
            return Stanza(tuple(argument.decode() for argument in arguments), bytes(body))


def _authenticated(stanzas: tuple[Stanza, ...]) -> bytes:
    return _VERSION + b"\n" + b"".join(stanza.encode() for stanza in stanzas) + b"---"


def _mac(stanzas: tuple[Stanza, ...], file_key: bytes) -> bytes:
    return hmac.digest(derive(file_key, b"", b"header"), _authenticated(stanzas), "sha256")


def _malformed(reason: str) -> Misconfigured:
    return Misconfigured(f"not a valid age header: {reason}", fix="fetch the file again")
