# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The post-quantum recipient type of C2SP age.md: ``age1pq1...``, ``AGE-SECRET-KEY-PQ-1...``.

HPKE base mode (RFC 9180) with the KEM MLKEM768-X25519 (X-Wing), HKDF-SHA256 and ChaCha20-Poly1305.
The library draws the randomness of an encapsulation itself; it offers no way to pass it in.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from bastide.core.errors import Misconfigured
from bastide.crypto.age import bech32
from bastide.crypto.age.header import FILE_KEY_BYTES, Stanza, decode_unpadded, encode_unpadded

__all__ = ["HybridIdentity", "HybridRecipient"]

_KIND: Final = "mlkem768x25519"
_INFO: Final = b"age-encryption.org/mlkem768x25519"
_SUITE: Final = hpke.Suite(
    hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305
)
_MLKEM_PUBLIC_BYTES: Final = 1_184
_MLKEM_ENC_BYTES: Final = 1_088
_ENC_BYTES: Final = _MLKEM_ENC_BYTES + 32


class HybridRecipient:
    """A public key to seal to, safe against quantum computers."""

    family: ClassVar[str] = "post-quantum"
    prefix: ClassVar[str] = "age1pq"

    def __init__(self, raw: bytes) -> None:
        try:
            if len(raw) != _MLKEM_PUBLIC_BYTES + 32:
                raise ValueError("wrong length")
            self._key = hpke.MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC_BYTES:]),
            )
        except ValueError as error:
            raise Misconfigured(
                "not a post-quantum age recipient", fix="copy the whole key again"
            ) from error
        self._raw = raw

    def wrap(self, file_key: bytes, entropy: Callable[[int], bytes]) -> Stanza:
        """Wrap a file key. `entropy` is not used: the library draws its own."""
        del entropy
        sealed = _SUITE.encrypt(file_key, self._key, _INFO)
        return Stanza((_KIND, encode_unpadded(sealed[:_ENC_BYTES])), sealed[_ENC_BYTES:])

    def __str__(self) -> str:
        return bech32.encode(self.prefix, self._raw)


class HybridIdentity:
    """A private key (a 32-byte seed) that opens what was sealed to its recipient."""

    prefix: ClassVar[str] = "AGE-SECRET-KEY-PQ-"

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise Misconfigured("an age identity has 32 bytes", fix="copy the whole key again")
        self._raw = raw
        # draft-connolly-cfrg-xwing-kem, 5.2: SHAKE256 expands the seed to both private keys.
        expanded = hashlib.shake_256(raw).digest(96)
        self._mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = hpke.MLKEM768X25519PrivateKey(self._mlkem, self._x25519)

    def recipient(self) -> HybridRecipient:
        """The public half."""
        mlkem = self._mlkem.public_key().public_bytes_raw()
        return HybridRecipient(mlkem + self._x25519.public_key().public_bytes_raw())

    def secret(self) -> str:
        """The identity as text. Never log it."""
        return bech32.encode(self.prefix, self._raw)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, or None if no stanza is for this identity. Raises Misconfigured."""
        for stanza in stanzas:
            if stanza.kind == _KIND and (key := self._unwrap(stanza)) is not None:
                return key
        return None

    def _unwrap(self, stanza: Stanza) -> bytes | None:
        enc = decode_unpadded(stanza.arguments[1].encode()) if len(stanza.arguments) == 2 else b""
        # The body's length is checked first: it defeats partitioning oracles (age.md).
        if len(enc) != _ENC_BYTES or len(stanza.body) != FILE_KEY_BYTES + 16:
            raise Misconfigured("not a valid age header: bad mlkem768x25519 stanza")
        try:
            # The suite reports a share of low order like a wrong key; the format tells them apart.
            self._x25519.exchange(X25519PublicKey.from_public_bytes(enc[_MLKEM_ENC_BYTES:]))
        except ValueError as error:
            raise Misconfigured("not a valid age header: X25519 share of low order") from error
        try:
            return _SUITE.decrypt(enc + stanza.body, self._key, _INFO)
        except InvalidTag:
            return None

    def __repr__(self) -> str:
        return "HybridIdentity(...)"
