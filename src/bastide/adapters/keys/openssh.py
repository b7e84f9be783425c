# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Parties' own OpenSSH keys: Ed25519, with or without a passphrase."""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    load_ssh_private_key,
    load_ssh_public_key,
)

from bastide.adapters.keys.durable import read_small
from bastide.core.errors import Misconfigured, NotAllowed
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.crypto.dsse import Signer

__all__ = ["read_party_key", "read_public"]

_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_MAKE_ONE = "make one with: ssh-keygen -t ed25519"


def read_party_key(path: Path, party: str | None, passphrase_ask: Callable[[str], str]) -> Signer:
    """Read a private key; `passphrase_ask(prompt)` is called only if it has a passphrase.

    Raises NotFound, NotAllowed for a wrong passphrase, Misconfigured for another kind of file.
    """
    data = read_small(path)
    locked = _is_locked(path, data)
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
    """Read a public key (``ssh-ed25519 AAAA... comment``). Raises NotFound or Misconfigured."""
    data = read_small(path)
    try:
        key = load_ssh_public_key(data.strip())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misconfigured(f"{path} is not an OpenSSH public key", fix=_MAKE_ONE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise Misconfigured(f"{path} is not an Ed25519 key", fix=_MAKE_ONE)
    return _public(key, party)


def _public(key: Ed25519PublicKey, party: str | None) -> PublicKey:
    return PublicKey(key.public_bytes_raw(), Purpose.PARTY, Scheme.SSHSIG, party)


def _is_locked(path: Path, data: bytes) -> bool:
    """True if the key has a passphrase: PROTOCOL.key names the cipher right after the magic."""
    text = data.strip()
    try:
        if not (text.startswith(_BEGIN) and text.endswith(_END)):
            raise ValueError("no OpenSSH frame")
        blob = base64.b64decode(text[len(_BEGIN) : -len(_END)])
        if not blob.startswith(_MAGIC):
            raise ValueError("no OpenSSH key inside")
        rest = blob[len(_MAGIC) :]
        return rest[4 : 4 + int.from_bytes(rest[:4])] != b"none"
    except (ValueError, binascii.Error) as error:
        raise Misconfigured(f"{path} is not an OpenSSH private key", fix=_MAKE_ONE) from error
