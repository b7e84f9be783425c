# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""DSSE v1.0 envelopes (github.com/secure-systems-lab/dsse, protocol.md) over in-toto payloads.

The signed bytes are the pre-authentication encoding (PAE) of the payload. A signature is
Ed25519 or ECDSA (P-256, SHA-256, DER) over the PAE, or, for keys of scheme `sshsig`, an OpenSSH
signature over it, or, for `webauthn`, an assertion whose challenge is its SHA-256. Which key may
sign what is not decided here.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.evidence import PAYLOAD_TYPE
from bastide.core.key import PublicKey, Scheme
from bastide.core.subject import Digest
from bastide.crypto import fido, p256, sshsig, webauthn
from bastide.crypto.signer import Signer

APPROVAL_NAMESPACE = "approval@bastide.eu"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and its signatures as (key id, signature bytes) pairs."""

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]
    payload_type: str = PAYLOAD_TYPE

    def to_json(self) -> dict[str, Any]:
        """The envelope as plain JSON values."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": ident, "sig": base64.b64encode(signature).decode()}
                for ident, signature in self.signatures
            ],
        }

    def encode(self) -> bytes:
        """The canonical bytes of the envelope: what the ledger appends."""
        return canonical(self.to_json())

    @property
    def digest(self) -> Digest:
        """The digest of `encode`."""
        return Digest.of(self.encode())

    @classmethod
    def from_json(cls, value: Any) -> "Envelope":
        """Read what `to_json` wrote. Raises Misconfigured for any other shape."""
        try:
            if set(value) != {"payload", "payloadType", "signatures"}:
                raise Misconfigured("not a DSSE envelope: unknown or missing keys")
            signatures = tuple(
                (str(row["keyid"]), base64.b64decode(row["sig"], validate=True))
                for row in value["signatures"]
            )
            payload = base64.b64decode(value["payload"], validate=True)
            return cls(payload, signatures, str(value["payloadType"]))
        except (KeyError, TypeError, binascii.Error, ValueError) as error:
            raise Misconfigured(f"not a DSSE envelope: {error!r}") from error


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: ``DSSEv1 <len> <type> <len> <payload>``."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, signers: Iterable[Signer], payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """Sign a payload with every signer, each in the scheme of its key."""
    message = pae(payload_type, payload)
    signatures = []
    for signer in signers:
        if signer.public.scheme is Scheme.SSHSIG and signer.public.fido is None:
            signature = sshsig.sign(signer.public.raw, signer.sign, message, APPROVAL_NAMESPACE)
        else:
            signature = signer.sign(message)
        signatures.append((signer.public.ident, signature))
    return Envelope(payload, tuple(signatures), payload_type)


def verify_envelope(
    envelope: Envelope, keys: Mapping[str, PublicKey], payload_type: str = PAYLOAD_TYPE
) -> None:
    """Check every signature of an envelope against the trusted keys (by id).

    Raises NotProven if the payload is of another type, if there is no signature, if a signer is
    not among `keys`, if one key signed twice, or if a signature does not hold.
    """
    if envelope.payload_type != payload_type:
        raise NotProven(f"the envelope's payload type is {envelope.payload_type!r}")
    idents = [ident for ident, _ in envelope.signatures]
    if not idents or len(set(idents)) != len(idents):
        raise NotProven("the envelope has no signature, or one key signed it twice")
    message = pae(envelope.payload_type, envelope.payload)
    for ident, signature in envelope.signatures:
        key = keys.get(ident)
        if key is None:
            raise NotProven(f"the signer {ident} is not enrolled")
        _verify(key, message, signature)


def counter_of(key: PublicKey, signature: bytes) -> int | None:
    """The signature counter of a FIDO key, or None of another key. Call it after verifying."""
    if key.fido is None:
        return None
    if key.scheme is Scheme.WEBAUTHN:
        return fido.counter_of(webauthn.Assertion.decode(signature).authenticator)
    return int.from_bytes(signature[-4:])


def _verify(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Check one signature in the scheme of its key. Raises NotProven."""
    if key.scheme is Scheme.SSHSIG and key.fido is None:
        sshsig.verify_signature(key.raw, message, APPROVAL_NAMESPACE, signature)
    elif key.scheme is Scheme.SSHSIG:
        sshsig.verify_fido(key, message, APPROVAL_NAMESPACE, signature)
    elif key.scheme is Scheme.WEBAUTHN:
        webauthn.verify_signature(key, message, signature)
    elif key.scheme is Scheme.ECDSA_P256:
        p256.verify_signature(key, message, signature)
    else:
        try:
            Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise NotProven(f"the signature of {key.ident} does not hold") from error
