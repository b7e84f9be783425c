# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4, the verifying side.

The caller and the verifier share a secret; the caller signs method, path, query, some headers and
the hash of the body with a key derived from it for one day, region and service. Stricter than the
specification leaves room for:

* `host` (over HTTP/2 that, or ``:authority``, as AWS's client for JavaScript does) and every
  ``x-amz-*`` header of the request must be signed, and the names be in order;
* the hash is that of the body that came: ``UNSIGNED-PAYLOAD`` and streaming forms are refused;
* the path is signed as it is on the wire, encoded once more; segments ``.`` and ``..`` and doubled
  slashes, which signers would have normalized, do not verify;
* the time must be within a given skew. Whether a request came before is not known here.

tests/unit/test_sigv4.py takes botocore as the oracle.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from bastide.core.errors import NotProven

__all__ = ["Claim", "SignedRequest", "read_claim", "verify_claim", "verify_signature"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_END: Final = "aws4_request"
_DATE: Final = b"x-amz-date"
_HASH: Final = b"x-amz-content-sha256"
_CLAIM = re.compile(
    rf"{_ALGORITHM} +Credential=(?P<key>[0-9A-Za-z_]{{1,128}})/(?P<date>[0-9]{{8}})"
    rf"/(?P<region>[0-9a-z-]{{1,64}})/(?P<service>[0-9a-z-]{{1,64}})/{_END}, *"
    r"SignedHeaders=(?P<headers>[:!#$%&'*+.^_`|~0-9a-z;-]{1,4096}), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_TIME = re.compile(rb"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")


@dataclass(frozen=True, slots=True)
class Claim:
    """What an ``Authorization`` header of this scheme says, unchecked."""

    access_key: str
    date: str  # of the scope: YYYYMMDD
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


@dataclass(frozen=True, slots=True, repr=False)
class SignedRequest:
    """A request as it came: raw path and query, header names in lower case, the whole body."""

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    body: bytes


def read_claim(headers: Mapping[bytes, bytes], services: Collection[str]) -> Claim | None:
    """The claim in the headers; None if they use another scheme.

    Raises NotProven if it is malformed or for none of these services.
    """
    text = headers.get(b"authorization", b"").decode("latin-1")
    if not text.startswith(_ALGORITHM):
        return None
    found = _CLAIM.fullmatch(text)
    if found is None:
        raise NotProven("Authorization: not a Credential, SignedHeaders and Signature.")
    if found["service"] not in services:
        raise NotProven(f"Credential: the scope must name the service {' or '.join(services)}.")
    names = tuple(found["headers"].split(";"))
    return Claim(
        found["key"], found["date"], found["region"], found["service"], names, found["signature"]
    )


def verify_claim(
    claim: Claim, headers: Mapping[bytes, bytes], now_ms: int, skew_ms: int, since_ms: int
) -> None:
    """Check all that can be checked without the body and the secret. Raises NotProven.

    `since_ms` is the time before which nothing may have been signed.
    """
    names = claim.signed_headers
    if list(names) != sorted(set(names)):
        raise NotProven("SignedHeaders: the names must be sorted, and each there once.")
    missing = [name for name in names if name.encode() not in headers]
    if missing:
        raise NotProven(f"SignedHeaders: the request has no header {missing[0][:64]!r}.")
    needed = [name for name in headers if name.startswith(b"x-amz-")]
    unsigned = {name.decode("latin-1") for name in needed} - set(names)
    if unsigned:
        raise NotProven(f"SignedHeaders: {min(unsigned)[:64]!r} must be signed.")
    # Both are the same place: who made the request of these headers has seen to that.
    if "host" not in names and ":authority" not in names:
        raise NotProven("SignedHeaders: 'host' must be signed.")
    stamp = headers.get(_DATE, b"")
    if stamp[:8] != claim.date.encode():
        raise NotProven("Credential: the date of the scope is not that of x-amz-date.")
    signed_ms = _milliseconds(stamp)
    if signed_ms < since_ms:
        raise NotProven(
            "Signature older than this server's start: sign the request anew, with the time of now."
        )
    if abs(now_ms - signed_ms) > skew_ms:
        raise NotProven(
            f"Signature expired or not yet current: x-amz-date is more than {skew_ms // 1000} s"
            " from this server's clock."
        )


def verify_signature(claim: Claim, secret: str, request: SignedRequest) -> None:
    """Check the signature over the whole request. Raises NotProven; call `verify_claim` too."""
    body_hash = hashlib.sha256(request.body).hexdigest().encode()
    stated = request.headers.get(_HASH)
    if stated is not None and stated != body_hash:
        raise NotProven("x-amz-content-sha256: not the hash of the body that came.")
    scope = f"{claim.date}/{claim.region}/{claim.service}/{_END}"
    digest = hashlib.sha256(_canonical(claim, request, body_hash)).hexdigest()
    stamp = request.headers.get(_DATE, b"").decode("latin-1")
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, _END):
        key = hmac.digest(key, part.encode(), "sha256")
    signed = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    right = hmac.digest(key, signed.encode("latin-1"), "sha256").hex()
    if not hmac.compare_digest(right.encode(), claim.signature.encode()):
        raise NotProven("The request signature does not match: check the secret access key.")


def _canonical(claim: Claim, request: SignedRequest, body_hash: bytes) -> bytes:
    lines = [
        name.encode() + b":" + b" ".join(request.headers.get(name.encode(), b"").split())
        for name in claim.signed_headers
    ]
    pairs = [pair.partition("=") for pair in request.query.split("&")] if request.query else []
    query = "&".join(f"{name}={value}" for name, value in sorted((k, v) for k, _, v in pairs))
    return b"\n".join(
        (
            request.method.encode(),
            quote(request.path.encode("latin-1"), safe="/~").encode(),
            query.encode("latin-1"),
            *lines,
            b"",
            ";".join(claim.signed_headers).encode(),
            body_hash,
        )
    )


def _milliseconds(stamp: bytes) -> int:
    found = _TIME.fullmatch(stamp)
    try:
        if found is None:
            raise ValueError(stamp)
        year, month, day, hour, minute, second = map(int, found.groups())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise NotProven("x-amz-date: not a time of the form YYYYMMDDTHHMMSSZ.") from error
    return int(moment.timestamp()) * 1000
