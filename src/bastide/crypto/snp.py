# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""AMD SEV-SNP attestation reports.

Source: AMD, SEV Secure Nested Paging Firmware ABI Specification (56860), ATTESTATION_REPORT; VCEK
Certificate and KDS Interface Specification (57230), for the certificate's extensions. Integers
are little-endian. Reports signed by a VCEK are read; a VLEK names no chip. tests/vectors/snp holds
a report of a real processor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.errors import NotProven
from bastide.core.subject import Digest
from bastide.crypto.hardware_chain import root_digest, verify_chain

__all__ = ["SnpReport", "identity", "key_digest", "measured", "read_report", "verify_report"]

_BYTES: Final = 1_184
_SIGNED: Final = 0x2A0
_ECDSA_P384: Final = 1
_SCALAR: Final = 72  # bytes of each half of a signature
_RESERVED_ONE, _MIGRATION, _DEBUG = 1 << 17, 1 << 18, 1 << 19  # bits of the guest's policy
_OID: Final = "1.3.6.1.4.1.3704.1"
_HARDWARE, _PRODUCT = f"{_OID}.4", f"{_OID}.2"
# Where each part of a TCB version stands in its eight bytes, and its extension in the certificate.
_TCB: Final = {"bootloader": (0, 1), "tee": (1, 2), "snp": (6, 3), "microcode": (7, 8)}
_TCB_TURIN: Final = {
    "fmc": (0, 9), "bootloader": (1, 1), "tee": (2, 2), "snp": (3, 3), "microcode": (7, 8),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SnpReport:
    """What a processor says of a guest. `reported_tcb` are the eight bytes of the version."""

    data: bytes
    version: int
    policy: int
    vmpl: int
    report_data: bytes
    measurement: bytes
    chip_id: bytes
    reported_tcb: bytes


def read_report(data: bytes) -> SnpReport:
    """Read a report. Raises NotProven for one that is malformed or of a debugged guest."""
    if len(data) != _BYTES:
        raise NotProven(f"report: {len(data)} bytes, not {_BYTES}")

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    version, policy, signer = number(0, 4), number(8, 8), number(0x48, 4)
    if not 2 <= version <= 5:
        raise NotProven(f"report: version {version} is unknown")
    if number(0x34, 4) != _ECDSA_P384:
        raise NotProven("report: not signed by ECDSA P-384 with SHA-384")
    if signer >> 2 & 7:
        raise NotProven("report: not signed by the key of one chip (VCEK)")
    if not policy & _RESERVED_ONE:
        raise NotProven("report: the guest's policy is malformed")
    if policy & _DEBUG:
        raise NotProven("report: the guest may be debugged: its host can read it")
    if policy & _MIGRATION:
        raise NotProven("report: the guest may be moved by a migration agent")
    chip = data[0x1A0:0x1E0]
    if not any(chip):
        raise NotProven("report: the chip's id is masked")
    return SnpReport(
        data=data,
        version=version,
        policy=policy,
        vmpl=number(0x30, 4),
        report_data=data[0x50:0x90],
        measurement=data[0x90:0xC0],
        chip_id=chip,
        reported_tcb=data[0x180:0x188],
    )


def verify_report(report: SnpReport, chain: Sequence[x509.Certificate], at_ms: int) -> None:
    """Check a report against the chain VCEK, ASK, ARK, all valid at a time. Raises NotProven."""
    verify_chain(chain, at_ms)
    vcek = chain[0]
    key = vcek.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        raise NotProven("vcek: not a P-384 key")
    r, s = (
        int.from_bytes(report.data[at : at + _SCALAR], "little")
        for at in (_SIGNED, _SIGNED + _SCALAR)
    )
    try:
        signature = encode_dss_signature(r, s)
        key.verify(signature, report.data[:_SIGNED], ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, ValueError) as error:
        raise NotProven("report: its signature is not by the VCEK") from error
    # A VCEK is of one chip at one version: the report must be of both.
    hardware = _extension(vcek, _HARDWARE)
    if report.chip_id[: len(hardware)] != hardware or any(report.chip_id[len(hardware) :]):
        raise NotProven("report: of another chip than the VCEK")
    for name, (at, oid) in _layout(vcek).items():
        if _der_integer(_extension(vcek, f"{_OID}.3.{oid}")) != report.reported_tcb[at]:
            raise NotProven(f"report: {name} of another version than the VCEK")


def measured(report: SnpReport, chain: Sequence[x509.Certificate]) -> dict[str, list[str]]:
    """What a verified report says, by the names of reference values."""
    layout, version = _layout(chain[0]), report.reported_tcb
    tcb = {f"tcb_{name}": [str(version[at])] for name, (at, _) in layout.items()}
    return {
        "measurement": [report.measurement.hex()],
        "policy": [f"{report.policy:016x}"],
        "vmpl": [str(report.vmpl)],
        "root": [root_digest(chain)],
        **tcb,
    }


def identity(report: SnpReport) -> str:
    """The digest that names the chip."""
    return str(Digest.of(report.chip_id))


def key_digest(chain: Sequence[x509.Certificate]) -> str:
    """SHA-256 of the SubjectPublicKeyInfo of the key that signed."""
    key = chain[0].public_key()
    return str(Digest.of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)))


def _layout(vcek: x509.Certificate) -> dict[str, tuple[int, int]]:
    return _TCB_TURIN if b"Turin" in _extension(vcek, _PRODUCT) else _TCB


def _extension(certificate: x509.Certificate, oid: str) -> bytes:
    try:
        found = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(oid)).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise NotProven(f"vcek: it lacks the extension {oid}") from error
    return found.value if isinstance(found, x509.UnrecognizedExtension) else b""


def _der_integer(data: bytes) -> int:
    """A small DER INTEGER. Raises NotProven."""
    if len(data) not in (3, 4) or data[:2] not in (b"\2\1", b"\2\2"):
        raise NotProven("vcek: an extension is not a small number")
    return int.from_bytes(data[2:])
