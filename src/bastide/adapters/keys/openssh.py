# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Parties' own OpenSSH keys: Ed25519, with or without a passphrase, and those in FIDO devices.

What signs with a key in a device is `ssh-keygen`: it asks for the PIN and the touch.
"""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from bastide.adapters.keys.durable import read_small
from bastide.core.errors import Misconfigured, NotAllowed, NotProven, Unavailable
from bastide.core.key import Fido, PublicKey, Purpose, Scheme
from bastide.crypto import sshsig
from bastide.crypto.dsse import APPROVAL_NAMESPACE, Signer

__all__ = ["read_party_key", "read_public"]

_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_MAKE_ONE = "make one with: ssh-keygen -t ed25519"
_FIDO_KINDS = (b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com")
_PATIENCE_S = 300  # for a PIN and a touch


def read_party_key(path: Path, party: str | None, passphrase_ask: Callable[[str], str]) -> Signer:
    """Read a private key; `passphrase_ask(prompt)` is called only if it has a passphrase.

    Raises NotFound, NotAllowed for a wrong passphrase, Misconfigured for another kind of file.
    """
    data = read_small(path)
    cipher, kind, rest = _private_head(path, data)
    if kind in _FIDO_KINDS:
        public = PublicKey(rest[-2], Purpose.PARTY, Scheme.SSHSIG, party, Fido(rest[-1].decode()))
        return Signer(public, lambda message: _sign_in_device(path, public, message))
    locked = cipher != b"none"
    password = passphrase_ask(f"Passphrase of {path}: ").encode() if locked else None
    if password == b"":
        raise NotAllowed(f"{path} has a passphrase", fix="give it")
    try:
        key = load_ssh_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidTag) as error:
        if locked and not isinstance(error, UnsupportedAlgorithm):
            # The usual ciphers have no checksum: damage looks like a wrong passphrase.
            raise NotAllowed(
                f"the passphrase does not open {path}", fix="check the passphrase and the file"
            ) from error
        raise Misconfigured(
            f"{path} is damaged or of an unknown kind: {error}", fix="restore it from a backup"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"{path} is not an Ed25519 key", fix=_MAKE_ONE)
    return Signer(_public(key.public_key(), party), key.sign)


def read_public(path: Path, party: str | None = None) -> PublicKey:
    """Read a public key: OpenSSH's (Ed25519, or in a FIDO device), or P-256 in PEM (in an HSM).

    Raises NotFound or Misconfigured.
    """
    data = read_small(path).strip()
    try:
        if data.startswith(b"-----BEGIN PUBLIC KEY-----"):
            key = load_pem_public_key(data)
            if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
                raw = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
                return PublicKey(raw, Purpose.PARTY, Scheme.ECDSA_P256, party)
            raise Misconfigured(f"{path} is not a P-256 key", fix=_MAKE_ONE)
        kind, *rest = _strings(base64.b64decode(data.split()[1], validate=True))
        if kind in _FIDO_KINDS:
            bound = Fido(rest[-1].decode())
            return PublicKey(rest[-2], Purpose.PARTY, Scheme.SSHSIG, party, bound)
        key = load_ssh_public_key(data)
    except (ValueError, IndexError, UnsupportedAlgorithm) as error:
        raise Misconfigured(f"{path} is not an OpenSSH public key", fix=_MAKE_ONE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise Misconfigured(f"{path} is not an Ed25519 key", fix=_MAKE_ONE)
    return _public(key, party)


def _public(key: Ed25519PublicKey, party: str | None) -> PublicKey:
    return PublicKey(key.public_bytes_raw(), Purpose.PARTY, Scheme.SSHSIG, party)


def _sign_in_device(path: Path, public: PublicKey, message: bytes) -> bytes:
    """Have `ssh-keygen` sign: it talks to the device, and to the person on the terminal."""
    command = ["ssh-keygen", "-Y", "sign", "-n", APPROVAL_NAMESPACE, "-f", str(path)]
    try:
        done = subprocess.run(
            command, input=message, stdout=subprocess.PIPE, timeout=_PATIENCE_S, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable("there is no ssh-keygen", fix="install OpenSSH's client") from error
    except subprocess.TimeoutExpired as error:
        raise NotAllowed(f"nobody touched the device in {_PATIENCE_S} s") from error
    if done.returncode:
        raise NotAllowed(f"ssh-keygen did not sign with {path}", fix="see what it said")
    try:
        blob = sshsig.dearmor(done.stdout.decode())
    except UnicodeDecodeError as error:
        raise NotProven("ssh-keygen gave no signature") from error
    sshsig.verify_fido(public, message, APPROVAL_NAMESPACE, blob)  # was the user verified?
    return blob


def _private_head(path: Path, data: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """What stands in the open in a private key file (PROTOCOL.key): the cipher, the key's type, and
    the other fields of its public half.
    """
    text = data.strip()
    try:
        if not (text.startswith(_BEGIN) and text.endswith(_END)):
            raise ValueError("no OpenSSH frame")
        blob = base64.b64decode(text[len(_BEGIN) : -len(_END)])
        if not blob.startswith(_MAGIC):
            raise ValueError("no OpenSSH key inside")
        rest = blob[len(_MAGIC) :]
        heads = _strings(rest, 3)  # cipher, derivation, its options; then a count of keys
        (public,) = _strings(rest[sum(map(len, heads)) + 4 * 4 :], 1)
        kind, *fields = _strings(public)
        return heads[0], kind, fields
    except ValueError as error:
        raise Misconfigured(f"{path} is not an OpenSSH private key", fix=_MAKE_ONE) from error


def _strings(data: bytes, count: int | None = None) -> list[bytes]:
    """The first strings of the SSH wire format, or all. Raises ValueError."""
    values: list[bytes] = []
    while data if count is None else len(values) < count:
        end = 4 + int.from_bytes(data[:4])
        if len(data) < max(4, end):
            raise ValueError("it ends too early")
        values.append(data[4:end])
        data = data[end:]
    return values
