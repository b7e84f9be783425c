# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Receipt: what the environment states about one answer.

A receipt holds no prompt and no answer, only salted commitments to both (docs/adr/0008). The salt
is derived from the tenant's API key, which the server does not keep, so only the tenant can
open a commitment. (A caller that signs by AWS SigV4 uses a derived secret instead, which whoever
holds the pepper can derive too.) ``salt = HMAC-SHA256(api key, "bastide/salt/v1" || receipt id)``
and ``commitment = HMAC-SHA256(salt, label || bytes)`` with the label ``prompt`` or ``answer``
followed by a zero byte.
"""

import hashlib
import hmac
from dataclasses import dataclass, fields
from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured

RECEIPT_TYPE = "https://bastide.eu/receipt/v1"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One answer. Times are milliseconds since 1970 (UTC); digests are ``sha256:<hex>``."""

    ident: str  # r_ and 26 characters of Crockford base32
    time_ms: int
    tenant: str
    key: str  # id of the API key, never the key
    requested_model: str
    release: str  # release digest
    deployment: str  # deployment id
    policy: str  # policy digest
    node: str
    sandbox: str  # what isolates the engine, as `doctor` names it
    prompt_commitment: str
    answer_commitment: str
    prompt_tokens: int
    completion_tokens: int
    finish: str
    guard: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The receipt as plain JSON values."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["guard"] = list(self.guard)
        return {"type": RECEIPT_TYPE, **fields}

    def leaf(self) -> bytes:
        """The canonical bytes that are a leaf of the batch's Merkle tree."""
        return canonical(self.to_json())

    @classmethod
    def from_json(cls, value: Any) -> "Receipt":
        """Read what `to_json` wrote. Raises Misconfigured, naming the field that is wrong."""
        if not isinstance(value, dict) or value.get("type") != RECEIPT_TYPE:
            raise Misconfigured(f"receipt: not an object of the type {RECEIPT_TYPE}")
        names = {field.name for field in fields(cls)}
        wrong = sorted(map(str, (names | {"type"}) ^ value.keys()))
        if wrong:
            raise Misconfigured(f"receipt: unknown or missing fields: {', '.join(wrong)}")
        for name in sorted(names - {"guard"}):
            kind = int if name.endswith(("_ms", "_tokens")) else str
            if type(value[name]) is not kind or (kind is int and value[name] < 0):
                raise Misconfigured(f"receipt.{name}: not of the type {kind.__name__}, or negative")
        guard = value["guard"]
        if not isinstance(guard, list) or not all(isinstance(row, str) for row in guard):
            raise Misconfigured("receipt.guard: not a list of strings")
        return cls(**{name: value[name] for name in names - {"guard"}}, guard=tuple(guard))


def salt_for(api_key: str, receipt_ident: str) -> bytes:
    """Derive the salt (32 bytes) that only the holder of the API key can derive."""
    return hmac.digest(api_key.encode(), b"bastide/salt/v1" + receipt_ident.encode(), "sha256")


def commit(salt: bytes, label: str, data: bytes) -> str:
    """Commit to `data`; the form is ``hmac-sha256:<hex>``."""
    state = hmac.new(salt, label.encode() + b"\0" + data, hashlib.sha256)
    return f"hmac-sha256:{state.hexdigest()}"
