# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Signed merge promises: four parts of base64url, with dots between them.

``promise.signature.delegation.signature``: canonical JSON (core/merge_promise.py) and the Ed25519
signature (RFC 8032) over its DSSE pre-authentication encoding, whose payload type keeps each of
the two from being taken for anything else that the same key signs. The first signature is of the
delegated key, the second of the environment's evidence key.
"""

import base64
import binascii
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.errors import NotProven
from bastide.core.key import PublicKey
from bastide.core.merge_promise import Delegation, MergePromise, key_ident
from bastide.crypto.base64url import b64url
from bastide.crypto.dsse import Signer, pae

__all__ = ["PromiseKey", "delegation_in", "open_promise", "sign_delegation"]

PROMISE_CHARS_MAX: Final = 4_096
_PROMISE: Final = "application/vnd.bastide.receipt-promise+json"
_DELEGATION: Final = "application/vnd.bastide.promise-key+json"


class PromiseKey:
    """A gateway's own key. It is nowhere but in the memory of its process."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.ident = key_ident(self.raw)

    def __repr__(self) -> str:
        return f"PromiseKey({self.ident})"

    @property
    def public(self) -> str:
        """Base64 of the public key (32 bytes)."""
        return base64.b64encode(self.raw).decode()

    def sign(self, promise: MergePromise, delegation: str) -> str:
        """The signed promise, with its delegation."""
        payload = promise.payload()
        signature = self._private.sign(pae(_PROMISE, payload))
        return f"{b64url(payload)}.{b64url(signature)}.{delegation}"


def sign_delegation(delegation: Delegation, signer: Signer) -> str:
    """The signed delegation: the last two parts of a promise."""
    payload = delegation.payload()
    return f"{b64url(payload)}.{b64url(signer.sign(pae(_DELEGATION, payload)))}"


def delegation_in(text: str) -> Delegation:
    """What a signed delegation says, unverified. Raises NotProven if it is malformed."""
    return Delegation.from_payload(_parts(text, 2)[0])


def open_promise(text: str, environment: str, evidence: PublicKey) -> MergePromise:
    """Read a signed promise.

    Raises NotProven if it is malformed, if a signature does not hold, or if it was made outside the
    time of its delegation.
    """
    payload, signature, delegated, delegator = _parts(text, 4)
    _verify(
        evidence.raw, _DELEGATION, delegated, delegator, "the delegation is not of these anchors"
    )
    delegation = Delegation.from_payload(delegated)
    if delegation.environment != environment:
        raise NotProven(f"the delegation is of the environment {delegation.environment[:100]!r}")
    _verify(delegation.raw, _PROMISE, payload, signature, "the promise's signature does not hold")
    promise = MergePromise.from_payload(payload)
    if promise.key != key_ident(delegation.raw):
        raise NotProven("the promise names another key than its delegation")
    if not delegation.not_before_ms <= promise.time_ms <= delegation.not_after_ms:
        raise NotProven("the promise was made outside the time of its delegation")
    return promise


def _parts(text: str, count: int) -> list[bytes]:
    parts = text.split(".")
    if len(text) > PROMISE_CHARS_MAX or len(parts) != count:
        raise NotProven(f"not {count} parts of base64url with dots between them")
    try:
        raw = [base64.b64decode(part + "=" * (-len(part) % 4), b"-_", True) for part in parts]
    except (binascii.Error, ValueError) as error:
        raise NotProven("a part is not base64url") from error
    if list(map(b64url, raw)) != parts:
        raise NotProven("a part is not in its one form of base64url")
    return raw


def _verify(key: bytes, kind: str, payload: bytes, signature: bytes, wrong: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, pae(kind, payload))
    except (InvalidSignature, ValueError) as error:
        raise NotProven(wrong) from error
