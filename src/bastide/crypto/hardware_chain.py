# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Chains of certificates from a processor's or TPM's key to its maker's root (RFC 5280).

Which root is to be trusted is for the guardian's reference values: here its digest is told.
Revocation lists are not looked at: nothing is fetched, and reference values can stop a machine.
"""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from bastide.core.errors import NotProven
from bastide.core.subject import Digest

__all__ = ["read_certificate", "read_chain", "root_digest", "verify_chain"]

_BYTES_MAX: Final = 8_192
_PROCESSORS: Final = 3  # the processor's key, its maker's intermediate, the root
_CHAIN_MAX: Final = 5  # of a TPM's maker


def read_certificate(data: bytes, what: str) -> x509.Certificate:
    """Read one certificate in DER. Raises NotProven."""
    if len(data) > _BYTES_MAX:
        raise NotProven(f"{what}: a certificate of {len(data)} bytes, over {_BYTES_MAX}")
    try:
        with warnings.catch_warnings():
            # AMD's certificates of chips have the serial number 0, which RFC 5280 forbids.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_der_x509_certificate(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotProven(f"{what}: not a certificate: {error}") from error


def read_chain(data: bytes, what: str) -> tuple[x509.Certificate, ...]:
    """Read certificates in DER, one behind the other. Raises NotProven."""
    found: list[x509.Certificate] = []
    while data:
        # A certificate is a SEQUENCE whose length takes two bytes: none is shorter or longer.
        size = 4 + int.from_bytes(data[2:4])
        if data[:2] != b"\x30\x82" or size > len(data) or len(found) >= _CHAIN_MAX:
            raise NotProven(f"{what}: not a chain of at most {_CHAIN_MAX} certificates")
        found.append(read_certificate(data[:size], what))
        data = data[size:]
    if not found:
        raise NotProven(f"{what}: not a chain but nothing")
    return tuple(found)


def verify_chain(
    chain: Sequence[x509.Certificate], at_ms: int, length: int | None = _PROCESSORS
) -> None:
    """Check a chain of a length, or of any; the hardware's key is first, a self-signed root last.

    Each must be valid at a time and issued by the next, which must be an authority. Raises
    NotProven.
    """
    if len(chain) < 2 or length not in (None, len(chain)):
        raise NotProven(f"certificates: a chain of {len(chain)}, not of {length or 'two or more'}")
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    for number, one in enumerate(chain):
        name = one.subject.rfc4514_string()
        if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            raise NotProven(f"certificates: {name} was not valid then")
        issuer = chain[min(number + 1, len(chain) - 1)]
        try:
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise NotProven(f"certificates: {name} was not issued by the next") from error
        if number and not _is_authority(one):
            raise NotProven(f"certificates: {name} is no authority")


def root_digest(chain: Sequence[x509.Certificate]) -> str:
    """SHA-256 of the root in DER, as reference values name it."""
    return str(Digest.of(chain[-1].public_bytes(Encoding.DER)))


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
