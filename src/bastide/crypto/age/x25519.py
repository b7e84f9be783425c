# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The X25519 recipient type of C2SP age.md: ``age1...`` and ``AGE-SECRET-KEY-1...``."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from bastide.core.errors import Misconfigured
from bastide.crypto.age import bech32
from bastide.crypto.age.header import (
    FILE_KEY_BYTES,
    Stanza,
    decode_unpadded,
    derive,
    encode_unpadded,
)

__all__ = ["X25519Identity", "X25519Recipient"]

_INFO = b"age-encryption.org/v1/X25519"
_NONCE = bytes(12)


class X25519Recipient:
    """A public key to seal to."""

    family: ClassVar[str] = "classic"
    prefix: ClassVar[str] = "age"

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise Misconfigured("an age recipient has 32 bytes", fix="copy the whole key again")
        self._raw = raw

    def wrap(self, file_key: bytes, entropy: Callable[[int], bytes]) -> Stanza:
        """Wrap a file key. Raises Misconfigured for a key of low order."""
        ephemeral = X25519PrivateKey.from_private_bytes(entropy(32))
        share = ephemeral.public_key().public_bytes_raw()
        try:
            shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._raw))
        except ValueError as error:
            raise Misconfigured(f"the recipient {self} is not a usable key") from error
        key = derive(shared, share + self._raw, _INFO)
        body = ChaCha20Poly1305(key).encrypt(_NONCE, file_key, None)
        return Stanza(("X25519", encode_unpadded(share)), body)

    def __str__(self) -> str:
        return bech32.encode(self.prefix, self._raw)


class X25519Identity:
    """A private key that opens what was sealed to its recipient."""

    prefix: ClassVar[str] = "AGE-SECRET-KEY-"

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise Misconfigured("an age identity has 32 bytes", fix="copy the whole key again")
        self._raw = raw
        self._key = X25519PrivateKey.from_private_bytes(raw)
        self._public = self._key.public_key().public_bytes_raw()

    def recipient(self) -> X25519Recipient:
        """The public half."""
        return X25519Recipient(self._public)

    def secret(self) -> str:
        """The identity as text. Never log it."""
        return bech32.encode(self.prefix, self._raw)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, or None if no stanza is for this identity. Raises Misconfigured."""
        for stanza in stanzas:
            if stanza.kind == "X25519" and (key := self._unwrap(stanza)) is not None:
                return key
        return None

    def _unwrap(self, stanza: Stanza) -> bytes | None:
        share = decode_unpadded(stanza.arguments[1].encode()) if len(stanza.arguments) == 2 else b""
        # The body's length is checked first: it defeats partitioning oracles (age.md).
        if len(share) != 32 or len(stanza.body) != FILE_KEY_BYTES + 16:
            raise Misconfigured("not a valid age header: bad X25519 stanza")
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError as error:  # the shared secret is all zero
            raise Misconfigured("not a valid age header: X25519 share of low order") from error
        key = derive(shared, share + self._public, _INFO)
        try:
            return ChaCha20Poly1305(key).decrypt(_NONCE, stanza.body, None)
        except InvalidTag:
            return None

    def __repr__(self) -> str:
        return f"X25519Identity(recipient={self.recipient()})"
