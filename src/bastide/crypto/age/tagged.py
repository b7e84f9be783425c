# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The tagged P-256 recipient type of C2SP age.md: ``age1tag1...``, for keys that hardware holds.

HPKE base mode (RFC 9180) with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305. The
one step that needs the private key is the key agreement, so that is all that a holder is asked:

    exchange(share)  the x coordinate (32 bytes) of private key times share, as ECDH1_DERIVE gives

The rest is computed here. tests/unit/test_age_tagged.py compares with two other implementations.
"""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.errors import Misconfigured
from bastide.crypto.age import bech32
from bastide.crypto.age.header import FILE_KEY_BYTES, Stanza, decode_unpadded, encode_unpadded

__all__ = ["TaggedIdentity", "TaggedRecipient"]

_KIND: Final = "p256tag"
_INFO: Final = b"age-encryption.org/p256tag"
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_KEM_ID: Final = b"KEM\x00\x10"
_SUITE_ID: Final = b"HPKE\x00\x10\x00\x01\x00\x03"
_ENC_BYTES: Final = 65
_TAG_BYTES: Final = 4


class TaggedRecipient:
    """A public key (33 bytes, compressed) whose private half some hardware holds."""

    family: ClassVar[str] = "classic"
    prefix: ClassVar[str] = "age1tag"

    def __init__(self, raw: bytes) -> None:
        try:
            if len(raw) != 33:
                raise ValueError("wrong length")
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        except ValueError as error:
            raise Misconfigured(
                "not a tagged age recipient", fix="copy the whole key again"
            ) from error
        self._raw = raw

    @property
    def point(self) -> bytes:
        """The key as an uncompressed point, 65 bytes."""
        return self._key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def wrap(self, file_key: bytes, entropy: Callable[[int], bytes]) -> Stanza:
        """Wrap a file key. `entropy` is not used: the library draws its own."""
        del entropy
        sealed = _SUITE.encrypt(file_key, self._key, _INFO)
        enc, body = sealed[:_ENC_BYTES], sealed[_ENC_BYTES:]
        return Stanza((_KIND, encode_unpadded(self.tag(enc)), encode_unpadded(enc)), body)

    def tag(self, enc: bytes) -> bytes:
        """What a stanza with the share `enc` shows to the holder of the key: 4 bytes."""
        mark = sha256(self._raw).digest()[:4]
        return _extract(_INFO, enc + mark)[:_TAG_BYTES]

    def __str__(self) -> str:
        return bech32.encode(self.prefix, self._raw)


class TaggedIdentity:
    """Opens what was sealed to a recipient, through whoever can do the key agreement.

    What `exchange` raises passes through.
    """

    def __init__(self, recipient: TaggedRecipient, exchange: Callable[[bytes], bytes]) -> None:
        self._recipient = recipient
        self._exchange = exchange

    def recipient(self) -> TaggedRecipient:
        """The public half."""
        return self._recipient

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, or None if no stanza is for this key. Raises Misconfigured."""
        for stanza in stanzas:
            if stanza.kind == _KIND and (key := self._unwrap(stanza)) is not None:
                return key
        return None

    def fits(self, stanzas: Sequence[Stanza]) -> bool:
        """True if the tag of a stanza says that it is for this key. Raises Misconfigured."""
        return any(stanza.kind == _KIND and self._share(stanza) is not None for stanza in stanzas)

    def _share(self, stanza: Stanza) -> bytes | None:
        fields = [decode_unpadded(text.encode()) for text in stanza.arguments[1:]]
        # The body's length is checked first: it defeats partitioning oracles (age.md).
        if [len(field) for field in fields] != [_TAG_BYTES, _ENC_BYTES] or len(
            stanza.body
        ) != FILE_KEY_BYTES + 16:
            raise Misconfigured("not a valid age header: bad p256tag stanza")
        tag, enc = fields
        if not hmac.compare_digest(tag, self._recipient.tag(enc)):
            return None
        return enc

    def _unwrap(self, stanza: Stanza) -> bytes | None:
        enc = self._share(stanza)
        if enc is None:
            return None
        try:
            # A point off the curve would draw the key out of careless hardware.
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)
        except ValueError as error:
            raise Misconfigured("not a valid age header: bad p256tag share") from error
        key, nonce = _schedule(self._exchange(enc), enc + self._recipient.point)
        try:
            return ChaCha20Poly1305(key).decrypt(nonce, stanza.body, None)
        except InvalidTag:
            return None


def _schedule(agreed: bytes, context: bytes) -> tuple[bytes, bytes]:
    """Key and nonce from the agreed x coordinate: RFC 9180, 4.1 (Decap) and 5.1 (KeySchedule)."""
    secret = _labeled_extract(_KEM_ID, b"", b"eae_prk", agreed)
    shared = _labeled_expand(_KEM_ID, secret, b"shared_secret", context, 32)
    root = _labeled_extract(_SUITE_ID, shared, b"secret", b"")
    key = _labeled_expand(_SUITE_ID, root, b"key", _SCHEDULE, 32)
    return key, _labeled_expand(_SUITE_ID, root, b"base_nonce", _SCHEDULE, 12)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    return _extract(salt, b"HPKE-v1" + suite + label + key)


def _labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    info = length.to_bytes(2) + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, info).derive(key)


def _extract(salt: bytes, key: bytes) -> bytes:
    return HKDF.extract(hashes.SHA256(), salt, key)


# key_schedule_context of mode base, which is the same for every file.
_SCHEDULE: Final = (
    b"\x00"
    + _labeled_extract(_SUITE_ID, b"", b"psk_id_hash", b"")
    + _labeled_extract(_SUITE_ID, b"", b"info_hash", _INFO)
)
