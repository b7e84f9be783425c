# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Receipt: what the environment states about one answer.

A receipt holds no prompt and no answer, only salted commitments to both (docs/adr/0008). The salt
is derived from the tenant's API key, which the server does not keep, so only the tenant can
open a commitment. (A caller that signs by AWS SigV4 uses a derived secret instead, which whoever
holds the pepper can derive too.) ``salt = HMAC-SHA256(api key, "bastide/salt/v1" || receipt id)``
and ``commitment = HMAC-SHA256(salt, label || bytes)`` with the label ``prompt`` or ``answer``
followed by a zero byte.

What is committed to as the answer: its text as UTF-8. If it calls tools, RFC 8785 JSON of
``{"calls": [{"arguments", "id", "name"} ...], "text"}``. Vectors: each number as a little-endian
IEEE 754 float of 32 bits, one vector after the other.
"""

import contextlib
import hashlib
import hmac
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bastide.core.canonical import SAFE_INTEGER, canonical
from bastide.core.chat import Said
from bastide.core.errors import Misconfigured
from bastide.core.standing import Standing

RECEIPT_TYPE_V3 = "https://bastide.eu/receipt/v3"  # of attested nodes
RECEIPT_TYPE = "https://bastide.eu/receipt/v2"
RECEIPT_TYPE_V1 = "https://bastide.eu/receipt/v1"  # until there were projects and prices
_SINCE_V2 = ("project", "cached_tokens", "cost_picoeur", "delivered", "fingerprint", "retry")


class Receipt(msgspec.Struct, frozen=True):
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
    project: str = "default"  # id of the key's project
    cached_tokens: int = 0  # of the prompt's
    cost_picoeur: int = 0  # by the price list of then, in 10^-12 EUR
    delivered: bool = True  # something of the answer was sent
    fingerprint: str = ""  # equal for attempts at one call; see `fingerprint`
    retry: bool = False  # the client says that it asks again
    # Digests of the `node/v1` of the deployment's runners; one of them answered.
    attestations: tuple[str, ...] = ()
    version: int = 2  # of the form; 2 has no attestations, and 1 none of the six fields before them

    def to_json(self) -> dict[str, Any]:
        """The receipt as plain JSON values."""
        fields = {name: getattr(self, name) for name in _NAMES[self.version]}
        fields |= {name: list(fields[name]) for name in _TEXTS if name in fields}
        return {"type": _TYPES[self.version], **fields}

    def leaf(self) -> bytes:
        """The canonical bytes that are a leaf of the batch's Merkle tree."""
        counts = (self.time_ms, self.prompt_tokens, self.completion_tokens, self.cached_tokens)
        ends = _ENDS.get(self.version)
        if ends is not None and max(*counts, self.cost_picoeur) <= SAFE_INTEGER:
            # The same bytes for a twentieth of the time: an answer may wait for them.
            with contextlib.suppress(UnicodeEncodeError):  # half a surrogate pair; see `canonical`
                written = _encode(self)
                if self.version == 2:
                    written = written.replace(_NO_ATTESTATIONS, b"", 1)
                if self.version == 3 or not self.attestations:
                    return written[: -len(ends[0])] + ends[1]
        return canonical(self.to_json())

    @classmethod
    def from_json(cls, value: Any) -> "Receipt":
        """Read what `to_json` wrote. Raises Misconfigured, naming the field that is wrong."""
        given = str(value.get("type")) if isinstance(value, dict) else ""
        version = next((number for number, one in _TYPES.items() if one == given), None)
        if version is None:
            raise Misconfigured(f"receipt: not an object of the type {RECEIPT_TYPE}")
        names = _NAMES[version]
        wrong = sorted(map(str, (names | {"type"}) ^ value.keys()))
        if wrong:
            raise Misconfigured(f"receipt: unknown or missing fields: {', '.join(wrong)}")
        for name in sorted(names - set(_TEXTS)):
            kind = _kind(name)
            if type(value[name]) is not kind or (kind is int and value[name] < 0):
                raise Misconfigured(f"receipt.{name}: not of the type {kind.__name__}, or negative")
        fields = {name: value[name] for name in names}
        for name in sorted(names & set(_TEXTS)):
            rows = value[name]
            if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
                raise Misconfigured(f"receipt.{name}: not a list of strings")
            fields[name] = tuple(rows)
        if version == 3 and not fields["attestations"]:
            raise Misconfigured("receipt.attestations: empty")
        return cls(**fields, version=version)


_TYPES = {1: RECEIPT_TYPE_V1, 2: RECEIPT_TYPE, 3: RECEIPT_TYPE_V3}
_TEXTS = ("guard", "attestations")  # lists of strings
# Names in order, and no escape that RFC 8785 has not. `type` takes the place of `version`, which
# is last.
_encode = msgspec.json.Encoder(order="sorted").encode
_NO_ATTESTATIONS = b'"attestations":[],'
_ENDS = {
    number: (f',"version":{number}}}'.encode(), f',"type":"{_TYPES[number]}"}}'.encode())
    for number in (2, 3)
}
_ALL = frozenset(Receipt.__struct_fields__) - {"version"}
_V2 = _ALL - {"attestations"}
_NAMES = {1: _V2 - set(_SINCE_V2), 2: _V2, 3: _ALL}


def _kind(name: str) -> type:
    if name in ("delivered", "retry"):
        return bool
    return int if name.endswith(("_ms", "_tokens", "_picoeur")) else str


def salt_for(api_key: str, receipt_ident: str) -> bytes:
    """Derive the salt (32 bytes) that only the holder of the API key can derive."""
    return hmac.digest(api_key.encode(), b"bastide/salt/v1" + receipt_ident.encode(), "sha256")


def fingerprint(api_key: str, invocation: str, body: bytes) -> str:
    """What attempts at one call have in common; only the key's holder can tell what it is of."""
    return fingerprint_of(api_key, invocation, hashlib.sha256(body).digest())


def fingerprint_of(api_key: str, invocation: str, digest: bytes) -> str:
    """The same, of a body that is there no more: `digest` is its SHA-256."""
    state = hmac.new(api_key.encode(), b"bastide/attempt/v1" + invocation.encode(), hashlib.sha256)
    state.update(b"\0" + digest)
    return f"hmac-sha256:{state.hexdigest()}"


def commit(salt: bytes, label: str, data: bytes) -> str:
    """Commit to `data`; the form is ``hmac-sha256:<hex>``."""
    return "hmac-sha256:" + hmac.digest(salt, label.encode() + b"\0" + data, "sha256").hex()


def standing_of(
    ident: str,
    key: str,
    api_key: str,
    body: bytes,
    guard: tuple[str, ...] = (),
    invocation: str = "",
    retry: bool = False,
) -> Standing:
    """What a receipt needs of a call, for the runner: should we die, it has one made."""
    salt = salt_for(api_key, ident)
    # The third keyed hash is paid only where the client names its attempts.
    known = fingerprint(api_key, invocation, body) if retry or invocation else ""
    return Standing(ident, key, salt, commit(salt, "prompt", body), guard, known, retry)


def answer_bytes(said: Said) -> bytes:
    """The bytes of an answer that a receipt commits to."""
    if not said.calls:
        return said.text.encode()
    calls = [{"id": c.ident, "name": c.name, "arguments": c.arguments} for c in said.calls]
    return canonical({"text": said.text, "calls": calls})


def vector_bytes(vectors: Iterable[Sequence[float]]) -> bytes:
    """The bytes of an answer of vectors that a receipt commits to."""
    return b"".join(struct.pack(f"<{len(row)}f", *row) for row in vectors)
