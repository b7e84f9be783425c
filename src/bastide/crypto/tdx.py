# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Intel TDX quotes, versions 4 and 5, signed by ECDSA P-256.

Source: Intel, TDX DCAP Quoting Library API, appendix A (quote formats); SGX PCK Certificate and CRL
Profile Specification, for the extension with the platform's id. Integers are little-endian. A quote
is signed by a key that the quoting enclave made; the enclave's own report, which the platform's PCK
key signed, is about that key. Intel's collateral (which versions are up to date, what was revoked)
is not looked at: nothing is fetched. tests/vectors/tdx holds quotes of real platforms.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.errors import NotProven
from bastide.core.subject import Digest
from bastide.crypto.hardware_chain import read_certificate, root_digest, verify_chain

__all__ = ["TdxQuote", "identity", "key_digest", "measured", "read_quote", "verify_quote"]

_BYTES_MAX: Final = 16_384
_HEADER: Final = 48
_BODY: Final = 584  # of TDX 1.0; 1.5 adds 64 bytes
_BODY_15: Final = 648
_BODY_TYPES: Final = {2: _BODY, 3: _BODY_15}  # of version 5
_ECDSA_P256, _TDX = 2, 0x81
_INTEL: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")  # the quoting enclave's vendor
_QE_CERTIFICATION, _PCK_CHAIN = 6, 5
_SGX_DEBUG: Final = 2  # of an enclave's attributes
_SGX_EXTENSION: Final = "1.2.840.113741.1.13.1"
_PPID: Final = bytes.fromhex("060a2a864886f84d010d01010410")  # OID of the PPID, and 16 bytes follow
_PEM_END: Final = b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class TdxQuote:
    """What a platform says of a trust domain, and what stands behind it."""

    signed: bytes
    body: bytes
    signature: bytes
    attesting: bytes
    enclave: bytes
    enclave_signature: bytes
    enclave_data: bytes
    chain: tuple[x509.Certificate, ...]

    @property
    def report_data(self) -> bytes:
        """64 bytes of the asker's."""
        return self.body[520:584]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, count: int) -> bytes:
        piece = self._data[self.at : self.at + count]
        if len(piece) != count:
            raise NotProven(f"quote: cut after {self.at} bytes")
        self.at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def rest(self) -> bytes:
        return self._data[self.at :]


def read_quote(data: bytes) -> TdxQuote:
    """Read a quote. Raises NotProven for one that is malformed or of a debugged domain."""
    if len(data) > _BYTES_MAX:
        raise NotProven(f"quote: {len(data)} bytes, over {_BYTES_MAX}")
    reader = _Reader(data)
    version, key_type, tee = reader.number(2), reader.number(2), reader.number(4)
    if version not in (4, 5) or key_type != _ECDSA_P256 or tee != _TDX:
        kind = f"version {version}, key {key_type}, tee {tee:#x}"
        raise NotProven(f"quote: {kind} is not TDX by ECDSA")
    reader.take(4)
    if reader.take(16) != _INTEL:
        raise NotProven("quote: not made by Intel's quoting enclave")
    reader.take(20)
    size = _BODY
    if version == 5:
        size = _BODY_TYPES.get(reader.number(2), 0)
        if not size or reader.number(4) != size:
            raise NotProven("quote: its body is of an unknown type")
    body = reader.take(size)
    signed = data[: reader.at]
    certified = _Reader(reader.take(reader.number(4)))
    if any(reader.rest()):  # zeroes are what the host's driver pads with
        raise NotProven("quote: bytes after its end")
    signature, attesting = certified.take(64), certified.take(64)
    if certified.number(2) != _QE_CERTIFICATION or certified.number(4) != len(certified.rest()):
        raise NotProven("quote: no report of the quoting enclave is in it")
    enclave, enclave_signature = certified.take(384), certified.take(64)
    enclave_data = certified.take(certified.number(2))
    if certified.number(2) != _PCK_CHAIN or certified.number(4) != len(certified.rest()):
        raise NotProven("quote: no chain of certificates is in it")
    chain = _read_chain(certified.rest())
    _verify_no_debug(body, enclave)
    return TdxQuote(
        signed, body, signature, attesting, enclave, enclave_signature, enclave_data, chain
    )


def verify_quote(quote: TdxQuote, at_ms: int) -> None:
    """Check every signature from the domain's report to the root, at a time. Raises NotProven."""
    verify_chain(quote.chain, at_ms)
    pck = quote.chain[0].public_key()
    if not isinstance(pck, ec.EllipticCurvePublicKey) or pck.curve.name != "secp256r1":
        raise NotProven("pck: not a P-256 key")
    _verify_raw(pck, quote.enclave_signature, quote.enclave, "the quoting enclave's report", "PCK")
    about = sha256(quote.attesting + quote.enclave_data).digest() + bytes(32)
    if quote.enclave[320:384] != about:
        raise NotProven("quote: the quoting enclave vouches for another key")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + quote.attesting)
    except ValueError as error:
        raise NotProven("quote: its attestation key is not a P-256 key") from error
    _verify_raw(key, quote.signature, quote.signed, "its report", "attestation")


def measured(quote: TdxQuote) -> dict[str, list[str]]:
    """What a verified quote says, by the names of reference values."""
    body, enclave = quote.body, quote.enclave
    found = {
        "mrseam": [body[16:64].hex()],
        "mrsignerseam": [body[64:112].hex()],
        "mrtd": [body[136:184].hex()],
        "attributes": [body[120:128].hex()],
        "xfam": [body[128:136].hex()],
        "qe_mrsigner": [enclave[128:160].hex()],
        "qe_isvsvn": [str(int.from_bytes(enclave[258:260], "little"))],
        "tcb_svn_minor": [str(body[0])],
        "tcb_svn_major": [str(body[1])],
        "tcb_svn_seam": [str(body[2])],
        "root": [root_digest(quote.chain)],
    }
    return found | {f"rtmr{n}": [body[328 + 48 * n : 376 + 48 * n].hex()] for n in range(4)}


def identity(quote: TdxQuote) -> str:
    """The digest that names the platform: of the PPID in its certificate. Raises NotProven."""
    oid = x509.ObjectIdentifier(_SGX_EXTENSION)
    try:
        found = quote.chain[0].extensions.get_extension_for_oid(oid).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise NotProven("pck: it names no platform") from error
    data = found.value if isinstance(found, x509.UnrecognizedExtension) else b""
    before, mark, after = data.partition(_PPID)
    if not mark or len(before) > 16 or len(after) < 16:
        raise NotProven("pck: it names no platform")
    return str(Digest.of(after[:16]))


def key_digest(quote: TdxQuote) -> str:
    """SHA-256 of the SubjectPublicKeyInfo of the key that signed the domain's report."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + quote.attesting)
    return str(Digest.of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)))


def _verify_no_debug(body: bytes, enclave: bytes) -> None:
    if body[120]:  # TD_ATTRIBUTES.TUD: bit 0 is DEBUG, and all others are reserved for such
        raise NotProven("quote: the domain may be debugged: its host can read it")
    if enclave[48] & _SGX_DEBUG:
        raise NotProven("quote: the quoting enclave is a debug enclave")


def _verify_raw(
    key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes, what: str, whose: str
) -> None:
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise NotProven(f"quote: {what} is not signed by the {whose} key") from error


def _read_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    parts = pem.rstrip(b"\0\n").split(_PEM_END)
    if parts[-1].strip() or len(parts) > 8:
        raise NotProven("quote: its certificates are not PEM")
    found = []
    for part in parts[:-1]:
        try:
            one = x509.load_pem_x509_certificate(part.strip() + b"\n" + _PEM_END + b"\n")
        except ValueError as error:
            raise NotProven(f"quote: not a certificate: {error}") from error
        found.append(read_certificate(one.public_bytes(Encoding.DER), "quote"))
    return tuple(found)
