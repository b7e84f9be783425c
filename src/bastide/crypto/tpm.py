# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""TPM 2.0 structures that prove something: public areas, quotes, signatures, credentials.

Source: TCG, TPM 2.0 Library, Part 1 (Architecture: 11.4.10.2 KDFa, 24 credential protection) and
Part 2 (Structures: 10.12.8 TPMS_ATTEST, 11.3.4 TPMT_SIGNATURE, 12.2.4 TPMT_PUBLIC), level 1.59. All
integers are big-endian, and every field that has a size is a TPM2B: two bytes of size, then
the content. Only what a verifier meets is read: RSA and P-256 keys, SHA-256, ECDSA. Nothing here
speaks to a TPM. tests/vectors/tpm holds what a TPM made.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.errors import NotProven
from bastide.core.subject import Digest

__all__ = [
    "Credential",
    "Quote",
    "TpmKey",
    "extend",
    "make_credential",
    "read_public",
    "read_quote",
    "verify_quote_signature",
]

# Part 2, 6.3 and 6.4: identifiers of algorithms and curves.
_RSA, _AES, _SHA256, _ECDSA, _ECC, _CFB, _NULL = 0x01, 0x06, 0x0B, 0x18, 0x23, 0x43, 0x10
_P256: Final = 0x0003
_GENERATED: Final = b"\xffTCG"  # Part 2, 6.2: TPM_GENERATED_VALUE
_QUOTE: Final = 0x8018  # Part 2, 6.9: TPM_ST_ATTEST_QUOTE
# Part 2, 8.3: the attributes that make a key one of this TPM alone, and a quote one of the TPM.
_FIXED: Final = 1 << 1 | 1 << 4 | 1 << 5  # fixedTPM, fixedParent, sensitiveDataOrigin
_RESTRICTED, _DECRYPT, _SIGN = 1 << 16, 1 << 17, 1 << 18
_BYTES_MAX: Final = 2_048  # of any structure here; a quote has about 150
_REGISTERS: Final = 24
_SELECTIONS_MAX: Final = 16  # Part 2, 4.7: HASH_COUNT, and some room


@dataclass(frozen=True, slots=True)
class TpmKey:
    """A key in a TPM, from its public area. `name` is its digest as the TPM computes it."""

    name: bytes
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    attributes: int

    @property
    def digest(self) -> Digest:
        """SHA-256 of the public area: what names the key, and with it its attributes."""
        return Digest.parse("sha256:" + self.name[2:].hex())

    @property
    def spki(self) -> Digest:
        """SHA-256 of the key's SubjectPublicKeyInfo."""
        der = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return Digest.of(der)

    def verify_attesting(self) -> None:
        """Check that it signs only what its TPM made, and never leaves it. Raises NotProven."""
        wanted = _FIXED | _RESTRICTED | _SIGN
        if self.attributes & (wanted | _DECRYPT) != wanted or not isinstance(
            self.key, ec.EllipticCurvePublicKey
        ):
            raise NotProven("ak: not a restricted P-256 signing key that is fixed to its TPM")

    def verify_endorsing(self) -> None:
        """Check that it is an endorsement key's kind: opens credentials only. Raises NotProven."""
        wanted = _FIXED | _RESTRICTED | _DECRYPT
        if self.attributes & (wanted | _SIGN) != wanted or not isinstance(
            self.key, rsa.RSAPublicKey
        ):
            raise NotProven("ek: not a restricted RSA decryption key that is fixed to its TPM")


@dataclass(frozen=True, slots=True)
class Quote:
    """What a TPM signed: 32 bytes of the asker's, and the digest of some registers.

    `registers` are indexes of the SHA-256 bank, ascending; `resets` counts the boots.
    """

    qualifying: bytes
    registers: tuple[int, ...]
    digest: bytes
    resets: int
    firmware: int


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret that only the TPM that holds both keys can tell: what TPM2_ActivateCredential takes.

    Both fields are TPM2B structures.
    """

    blob: bytes
    secret: bytes


class _Bytes:
    """Reads from the front. Raises NotProven for less than is asked for."""

    def __init__(self, data: bytes, what: str) -> None:
        if len(data) > _BYTES_MAX:
            raise NotProven(f"{what}: {len(data)} bytes, over {_BYTES_MAX}")
        self._data, self._at, self._what = data, 0, what

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise NotProven(f"{self._what}: cut after {self._at} bytes")
        self._at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def sized(self) -> bytes:
        return self.take(self.number(2))

    def want(self, expected: int, field: str) -> None:
        """Take a 16-bit identifier that can have one value here only."""
        if (found := self.number(2)) != expected:
            raise NotProven(f"{self._what}: {field} is {found:#06x}, not {expected:#06x}")

    def end(self) -> None:
        if self._at != len(self._data):
            raise NotProven(f"{self._what}: bytes after its end")


def read_public(data: bytes, what: str) -> TpmKey:
    """Read a TPM2B_PUBLIC. Raises NotProven for one that is malformed or of another kind."""
    outer = _Bytes(data, what)
    area = outer.sized()
    outer.end()
    reader = _Bytes(area, what)
    kind = reader.number(2)
    reader.want(_SHA256, "nameAlg")
    attributes = reader.number(4)
    reader.sized()  # authPolicy
    try:
        if kind == _RSA:
            key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = _read_rsa(reader)
        elif kind == _ECC:
            key = _read_ecc(reader)
        else:
            raise NotProven(f"{what}: neither an RSA nor an ECC key ({kind:#06x})")
    except ValueError as error:
        raise NotProven(f"{what}: not a public key: {error}") from error
    reader.end()
    name = struct.pack(">H", _SHA256) + hashlib.sha256(area).digest()
    return TpmKey(name, key, attributes)


def _read_rsa(reader: _Bytes) -> rsa.RSAPublicKey:
    reader.want(_AES, "symmetric")
    reader.want(128, "symmetric.keyBits")
    reader.want(_CFB, "symmetric.mode")
    reader.want(_NULL, "scheme")
    reader.want(2048, "keyBits")
    exponent = reader.number(4) or 65_537
    return rsa.RSAPublicNumbers(exponent, int.from_bytes(reader.sized())).public_key()


def _read_ecc(reader: _Bytes) -> ec.EllipticCurvePublicKey:
    reader.want(_NULL, "symmetric")
    reader.want(_ECDSA, "scheme")
    reader.want(_SHA256, "scheme.hashAlg")
    reader.want(_P256, "curveID")
    reader.want(_NULL, "kdf")
    x, y = (int.from_bytes(reader.sized()) for _ in range(2))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def read_quote(data: bytes) -> Quote:
    """Read a TPMS_ATTEST that is a quote of SHA-256 registers. Raises NotProven."""
    reader = _Bytes(data, "quote")
    if reader.take(4) != _GENERATED:
        raise NotProven("quote: not made by a TPM (TPM_GENERATED_VALUE)")
    reader.want(_QUOTE, "type")
    reader.sized()  # qualifiedSigner
    qualifying = reader.sized()
    reader.take(8)  # clock
    resets = reader.number(4)
    reader.take(5)  # restarts, safe
    firmware = reader.number(8)
    count = reader.number(4)
    if not 1 <= count <= _SELECTIONS_MAX:
        raise NotProven(f"quote: {count} selections of registers")
    registers: list[int] = []
    for _ in range(count):
        bank, bits = reader.number(2), reader.take(reader.number(1))
        chosen = [n for n in range(len(bits) * 8) if bits[n // 8] >> n % 8 & 1]
        if chosen and bank != _SHA256:
            raise NotProven(f"quote: registers of the bank {bank:#06x}, not of SHA-256")
        registers += chosen
    digest = reader.sized()
    reader.end()
    if sorted(set(registers)) != registers or any(n >= _REGISTERS for n in registers):
        raise NotProven("quote: registers are doubled, out of order or unknown")
    return Quote(qualifying, tuple(registers), digest, resets, firmware)


def verify_quote_signature(key: TpmKey, quote: bytes, signature: bytes) -> None:
    """Check the TPMT_SIGNATURE (ECDSA, SHA-256) of an attesting key over a quote.

    Raises NotProven.
    """
    key.verify_attesting()
    reader = _Bytes(signature, "signature")
    reader.want(_ECDSA, "sigAlg")
    reader.want(_SHA256, "hash")
    r, s = (int.from_bytes(reader.sized()) for _ in range(2))
    reader.end()
    assert isinstance(key.key, ec.EllipticCurvePublicKey)
    try:
        key.key.verify(encode_dss_signature(r, s), quote, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise NotProven("quote: its signature is not by the attestation key") from error


def extend(register: bytes, measurement: bytes) -> bytes:
    """What a register of the SHA-256 bank holds after TPM2_PCR_Extend (Part 1, 17.2)."""
    return hashlib.sha256(register + measurement).digest()


def make_credential(
    endorsing: TpmKey, name: bytes, secret: bytes, entropy: Callable[[int], bytes]
) -> Credential:
    """Seal a secret (16 to 32 bytes) for the TPM that holds an endorsement key and the named key.

    What TPM2_MakeCredential does, without a TPM (Part 1, 24.4 to 24.6 and B.10.4). The seed travels
    under RSA-OAEP, whose own randomness is the library's. Raises NotProven for another kind of key.
    """
    endorsing.verify_endorsing()
    assert isinstance(endorsing.key, rsa.RSAPublicKey)
    seed = entropy(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
    wrapped = endorsing.key.encrypt(seed, oaep)
    symmetric = _kdfa(seed, b"STORAGE", name, 128)
    # The IV is zero by the specification: the key is used once, for this.
    encryptor = Cipher(algorithms.AES128(symmetric), CFB(bytes(16))).encryptor()
    sealed = encryptor.update(_sized(secret)) + encryptor.finalize()
    mac = hmac.digest(_kdfa(seed, b"INTEGRITY", b"", 256), sealed + name, "sha256")
    return Credential(_sized(_sized(mac) + sealed), _sized(wrapped))


def _kdfa(key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa with SHA-256 for at most one block (Part 1, 11.4.10.2; SP 800-108 in counter mode)."""
    data = struct.pack(">I", 1) + label + b"\0" + context + struct.pack(">I", bits)
    return hmac.digest(key, data, "sha256")[: bits // 8]


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
