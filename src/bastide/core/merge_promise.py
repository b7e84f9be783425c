# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Merge promises: what a gateway signs before a receipt is durable (docs/adr/0026-promises.md).

A promise says that a receipt with exactly this leaf will be in the ledger by `merge_by_ms`, as a
signed certificate timestamp does (RFC 6962, section 3.2). It is signed with a key of the gateway's
process, for which the environment's evidence key has signed a delegation of a day.
"""

import base64
import binascii
import json
import re
from typing import Any, Self

import msgspec

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.core.key import PublicKey, Purpose

__all__ = ["Delegation", "MergePromise", "key_ident"]

PROMISE_TYPE = "https://bastide.eu/receipt-promise/v1"
DELEGATION_TYPE = "https://bastide.eu/promise-key/v1"
_LEAF = re.compile(r"sha256:[0-9a-f]{64}")


class MergePromise(msgspec.Struct, frozen=True):
    """What is promised. Times are milliseconds since 1970 (UTC)."""

    receipt: str  # its id
    leaf: str  # ``sha256:<hex>`` of the receipt's canonical bytes
    key: str  # id of the gateway's key
    time_ms: int
    merge_by_ms: int

    def payload(self) -> bytes:
        """The canonical bytes that are signed."""
        # Written out, because an answer waits for it: `canonical` takes four times as long. Nothing
        # in these fields needs an escape.
        return (
            f'{{"key":"{self.key}","leaf":"{self.leaf}","merge_by_ms":{self.merge_by_ms},'
            f'"receipt":"{self.receipt}","time_ms":{self.time_ms},"type":"{PROMISE_TYPE}"}}'
        ).encode()

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Read what `payload` wrote. Raises NotProven."""
        promise = _read(cls, payload, PROMISE_TYPE, "the promise")
        if _LEAF.fullmatch(promise.leaf) is None:
            raise NotProven("the promise: leaf: not a digest")
        return promise


class Delegation(msgspec.Struct, frozen=True):
    """The environment's word that a key signs promises in its name, for a time."""

    environment: str
    public: str  # base64 of the Ed25519 key (32 bytes)
    not_before_ms: int
    not_after_ms: int

    @property
    def raw(self) -> bytes:
        """The key. Raises NotProven if there is none."""
        try:
            raw = base64.b64decode(self.public, validate=True)
        except (binascii.Error, ValueError) as error:
            raise NotProven("the delegation: public: not base64") from error
        if len(raw) != 32:
            raise NotProven("the delegation: public: not an Ed25519 key")
        return raw

    def payload(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical({"type": DELEGATION_TYPE, **msgspec.structs.asdict(self)})

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Read what `payload` wrote. Raises NotProven."""
        return _read(cls, payload, DELEGATION_TYPE, "the delegation")


def key_ident(raw: bytes) -> str:
    """The id of a gateway's key; an id depends on the bytes of a key only."""
    return PublicKey(raw, Purpose.EVIDENCE).ident


def _read(kind: Any, payload: bytes, kind_type: str, what: str) -> Any:
    try:
        value = json.loads(payload)
        if value.pop("type", None) != kind_type:
            raise NotProven(f"{what}: type: not {kind_type}")
        made = msgspec.convert(value, kind, strict=True)
        one_form = made.payload() == payload
    except (ValueError, AttributeError, TypeError, msgspec.ValidationError) as error:
        raise NotProven(f"{what}: malformed: {str(error)[:100]}") from error
    if not one_form:
        raise NotProven(f"{what}: not in its one form, or with unknown fields")
    return made
