# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Twins of AMD SEV-SNP and Intel TDX for tests: reports of their form under roots of our own.

They sign what no processor would: about our keys, of debugged guests. Reports of real processors
are in tests/vectors/snp and tests/vectors/tdx.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from bastide.crypto.base64url import b64url
from bastide.crypto.node_quote import binding
from unit.node_fixture import NODE_TIME_MS

CHIP = bytes(range(64))
PPID = bytes(range(16))
_BEGIN = datetime.fromtimestamp(NODE_TIME_MS / 1000, UTC) - timedelta(days=1, seconds=1)


def certificate(
    name: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    ca: bool,
    extensions: Mapping[str, bytes] | None = None,
    days: int = 30,
) -> x509.Certificate:
    """One certificate; `extensions` are by their object identifiers."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_BEGIN + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    for oid, value in (extensions or {}).items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    if isinstance(issuer_key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
        return builder.sign(issuer_key, hashes.SHA384(), rsa_padding=pss)
    return builder.sign(issuer_key, hashes.SHA256())


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key for each name."""
    del name
    return rsa.generate_private_key(65_537, 2_048)


def ec_key(name: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """A key for each name."""
    secret = int.from_bytes(hashlib.sha256(name.encode()).digest()) >> 1
    return ec.derive_private_key(secret, curve)


def der(one: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return one.public_bytes(Encoding.DER)


# AMD SEV-SNP

TCB = {0: 3, 1: 0, 6: 8, 7: 115}  # bootloader, tee, snp, microcode


@cache
def snp_chain(days: int = 30, ask_ca: bool = True) -> tuple[x509.Certificate, ...]:
    """VCEK, ASK, ARK."""
    ark, ask = rsa_key("ark"), rsa_key("ask")
    oid = "1.3.6.1.4.1.3704.1"
    numbers = {1: TCB[0], 2: TCB[1], 3: TCB[6], 8: TCB[7]}
    extensions = {f"{oid}.3.{n}": b"\2\1" + bytes([v]) for n, v in numbers.items()}
    extensions |= {f"{oid}.2": b"\x16\x08Milan-B0", f"{oid}.4": CHIP}
    vcek = ec_key("vcek", ec.SECP384R1())
    return (
        certificate("VCEK", vcek, "ASK", ask, False, extensions, days),
        certificate("ASK", ask, "ARK", ark, ask_ca),
        certificate("ARK", ark, "ARK", ark, True),
    )


def snp_report(report_data: bytes, **changes: bytes) -> bytes:
    """A report signed by the VCEK; `changes` are fields by the names of their offsets, x08 ..."""
    data = bytearray(0x4A0)
    fields = {
        0x00: b"\2\0\0\0",
        0x08: (1 << 16 | 1 << 17).to_bytes(8, "little"),
        0x34: b"\1\0\0\0",
        0x50: report_data,
        0x90: b"\x11" * 48,
        0x180: bytes(TCB.get(at, 0) for at in range(8)),
        0x1A0: CHIP,
        **{
            int(name, 16): value for name, value in ((key[1:], row) for key, row in changes.items())
        },
    }
    for at, value in fields.items():
        data[at : at + len(value)] = value
    signature = ec_key("vcek", ec.SECP384R1()).sign(bytes(data[:0x2A0]), ec.ECDSA(hashes.SHA384()))
    for at, number in zip((0x2A0, 0x2E8), decode_dss_signature(signature), strict=True):
        data[at : at + 72] = number.to_bytes(72, "little")
    return bytes(data)


def snp_evidence(body: Mapping[str, Any], **changes: bytes) -> dict[str, str]:
    """The evidence of a node that is a guest of AMD's."""
    report = snp_report(binding(body) + bytes(32), **changes)
    parts = (report, *map(der, snp_chain()))
    names = ("report", "vcek", "ask", "ark")
    return {name: b64url(part) for name, part in zip(names, parts, strict=True)}


# Intel TDX


@cache
def tdx_chain() -> tuple[x509.Certificate, ...]:
    """PCK, its authority, the root."""
    root, middle, pck = (ec_key(name, ec.SECP256R1()) for name in ("root", "middle", "pck"))
    inner = bytes.fromhex("060a2a864886f84d010d01010410") + PPID
    sgx = b"\x30" + bytes([len(inner) + 2]) + b"\x30" + bytes([len(inner)]) + inner
    return (
        certificate("PCK", pck, "middle", middle, False, {"1.2.840.113741.1.13.1": sgx}),
        certificate("middle", middle, "root", root, True),
        certificate("root", root, "root", root, True),
    )


def _raw(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def _sized(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "little") + data


def tdx_quote(
    report_data: bytes,
    version: int = 4,
    attributes: bytes = bytes(8),
    enclave_attributes: bytes = b"\x11" + bytes(15),
    vouched: bytes | None = None,
) -> bytes:
    """A quote under our own root. `vouched`: the key that the quoting enclave vouches for."""
    header = (version).to_bytes(2, "little") + b"\2\0\x81\0\0\0" + bytes(4)
    header += bytes.fromhex("939a7233f79c4ca9940a0db3957f0607") + bytes(20)
    body = bytes(16) + b"\x21" * 48 + bytes(56) + attributes + bytes(8) + b"\x22" * 48
    body += bytes(144) + b"\x30" * 48 + b"\x31" * 48 + b"\x32" * 48 + bytes(48) + report_data
    assert len(body) == 584
    if version == 5:
        body += bytes(64)
        header += (3).to_bytes(2, "little") + (648).to_bytes(4, "little")
    key = ec_key("attesting", ec.SECP256R1())
    attesting = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    extra = b"quoting"
    about = hashlib.sha256((vouched or attesting) + extra).digest()
    enclave = bytes(48) + enclave_attributes + bytes(64) + b"\x41" * 32 + bytes(98)
    enclave += (7).to_bytes(2, "little") + bytes(60) + about + bytes(32)
    assert len(enclave) == 384
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in tdx_chain())
    certification = enclave + _raw(ec_key("pck", ec.SECP256R1()), enclave) + _sized(extra, 2)
    certification += b"\5\0" + _sized(pem, 4)
    signed = _raw(key, header + body) + attesting + b"\6\0" + _sized(certification, 4)
    return header + body + _sized(signed, 4)
