# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenSSH signatures (openssh-portable, PROTOCOL.sshsig), and those of FIDO keys (PROTOCOL.u2f).

`ssh-keygen -Y verify` accepts what `sign` makes, and `verify_signature` accepts what
`ssh-keygen -Y sign` makes; tests/unit/test_sshsig.py runs both.

Rules:
* Version 1, key type ssh-ed25519 or those of FIDO keys, hash sha512, no reserved bytes, nothing
  after the signature: a blob has exactly one form.
* The key inside a blob proves nothing. The caller says which key it trusts.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.key import PublicKey
from bastide.crypto import fido

__all__ = ["armor", "dearmor", "public_of", "sign", "verify_fido", "verify_signature"]

_MAGIC = b"SSHSIG"
_VERSION = 1
_KEY_TYPE = b"ssh-ed25519"
_HASH = b"sha512"
_ARMOR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END SSH SIGNATURE-----(?:\r?\n)*"
)
_ARMOR_COLUMNS = 70  # sshsig.c, sshsig_armor
_BLOB_BYTES_MAX = 4096  # an Ed25519 blob is under 300 bytes; a namespace is a short word
_FIDO_TAIL_BYTES = 5  # flags, counter


def sign(
    public_raw: bytes, sign: Callable[[bytes], bytes], message: bytes, namespace: str
) -> bytes:
    """Make a binary SSHSIG blob; `sign` makes the raw Ed25519 signature (64 bytes).

    Raises Misconfigured for an empty namespace, which PROTOCOL.sshsig forbids.
    """
    if not namespace:
        raise Misconfigured("an OpenSSH signature needs a namespace")
    space = namespace.encode()
    signature = sign(_signed_bytes(message, space))
    return b"".join(
        (
            _MAGIC,
            _VERSION.to_bytes(4),
            _string(_wire_key(public_raw)),
            _string(space),
            _string(b""),
            _string(_HASH),
            _string(_string(_KEY_TYPE) + _string(signature)),
        )
    )


def verify_signature(public_raw: bytes, message: bytes, namespace: str, blob: bytes) -> None:
    """Check a blob against the one key that is trusted. Raises NotProven, saying what differs."""
    key, space, signature = _open_plain(blob)
    _check_whose(key == public_raw, space, namespace)
    try:
        Ed25519PublicKey.from_public_bytes(public_raw).verify(
            signature, _signed_bytes(message, space)
        )
    except (InvalidSignature, ValueError) as error:
        raise NotProven("the OpenSSH signature does not hold") from error


def verify_fido(key: PublicKey, message: bytes, namespace: str, blob: bytes) -> None:
    """Check a blob of a FIDO key: sk-ssh-ed25519 or sk-ecdsa-sha2-nistp256. Raises NotProven.

    Its user must have been verified, not just present.
    """
    assert key.fido is not None
    wire_key, space, wire = _open(blob)
    _check_whose(wire_key == key.wire, space, namespace)
    # type, signature; then flags and counter, which stand in no string
    packed, tail = wire[:-_FIDO_TAIL_BYTES], wire[-_FIDO_TAIL_BYTES:]
    kind, signature = _strings(packed, 2)
    if not key.wire.startswith(_string(kind)):
        raise NotProven("the OpenSSH signature's type is not that of its key")
    if len(key.raw) != 32:
        signature = encode_dss_signature(*(_whole(part) for part in _strings(signature, 2)))
    data = hashlib.sha256(key.fido.application.encode()).digest() + tail
    signed = hashlib.sha256(_signed_bytes(message, space)).digest()
    fido.verify_assertion(key, data, signed, signature)


def public_of(blob: bytes) -> bytes:
    """The 32 bytes of the key that a blob names. It is a claim until the blob is verified."""
    return _open_plain(blob)[0]


def armor(blob: bytes) -> str:
    """The text form that `ssh-keygen -Y sign` writes."""
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + _ARMOR_COLUMNS] for at in range(0, len(text), _ARMOR_COLUMNS)]
    body = "\n".join(lines)
    return f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n"


def dearmor(text: str) -> bytes:
    """Read the text form. Raises NotProven for anything else."""
    found = _ARMOR.fullmatch(text)
    if found is None:
        raise NotProven(
            "not an armored OpenSSH signature",
            fix="make it with: ssh-keygen -Y sign -n NAMESPACE -f KEY FILE",
        )
    try:
        packed = found[1].replace("\r", "").replace("\n", "")
        blob = base64.b64decode(packed, validate=True)
    except binascii.Error as error:
        raise NotProven("the armored OpenSSH signature is not base64") from error
    if base64.b64encode(blob).decode() != packed:
        raise NotProven("the armored OpenSSH signature has stray base64 bits")
    return blob


def _signed_bytes(message: bytes, namespace: bytes) -> bytes:
    digest = hashlib.sha512(message).digest()
    return _MAGIC + _string(namespace) + _string(b"") + _string(_HASH) + _string(digest)


def _wire_key(public_raw: bytes) -> bytes:
    return _string(_KEY_TYPE) + _string(public_raw)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _open(blob: bytes) -> tuple[bytes, bytes, bytes]:
    """Take a blob apart: key, namespace and signature; key and signature in their wire forms."""
    if len(blob) > _BLOB_BYTES_MAX:
        raise NotProven(f"the OpenSSH signature has {len(blob)} bytes")
    if blob[:6] != _MAGIC or blob[6:10] != _VERSION.to_bytes(4):
        raise NotProven("not an OpenSSH signature of version 1")
    wire_key, namespace, reserved, algorithm, wire_signature = _strings(blob[10:], 5)
    if reserved or algorithm != _HASH:
        raise NotProven("the OpenSSH signature's hash is not sha512, or it has reserved bytes")
    return wire_key, namespace, wire_signature


def _open_plain(blob: bytes) -> tuple[bytes, bytes, bytes]:
    """Take a blob of an Ed25519 key apart: key (32 bytes), namespace, signature (64 bytes)."""
    key, namespace, signature = _open(blob)
    return _typed(key, 32, "key"), namespace, _typed(signature, 64, "signature")


def _check_whose(same_key: bool, space: bytes, namespace: str) -> None:
    if not same_key:
        raise NotProven("the OpenSSH signature was made by another key")
    if space != namespace.encode():
        raise NotProven(f"the OpenSSH signature is for the namespace {space!r}, not {namespace!r}")


def _whole(part: bytes) -> int:
    """A positive mpint in its one form (RFC 4251, section 5)."""
    number = int.from_bytes(part)
    if not part or part[0] & 0x80 or (part[0] == 0 and not (len(part) > 1 and part[1] & 0x80)):
        raise NotProven("the OpenSSH signature has a number that is not minimal")
    return number


def _typed(wire: bytes, length: int, what: str) -> bytes:
    kind, value = _strings(wire, 2)
    if kind != _KEY_TYPE or len(value) != length:
        raise NotProven(f"the OpenSSH signature's {what} is not of the type ssh-ed25519")
    return value


def _strings(data: bytes, count: int) -> list[bytes]:
    """Exactly `count` length-prefixed strings, and nothing after them."""
    values = []
    for _ in range(count):
        end = 4 + int.from_bytes(data[:4])
        if len(data) < 4 or len(data) < end:
            raise NotProven("the OpenSSH signature ends too early")
        values.append(data[4:end])
        data = data[end:]
    if data:
        raise NotProven("the OpenSSH signature has bytes after its end")
    return values
