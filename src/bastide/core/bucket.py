# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A place in an object store that speaks S3, and what it takes to get there."""

import re
from dataclasses import dataclass, field
from typing import Final

from bastide.core.errors import Misconfigured

__all__ = [
    "FROM_ENVIRONMENT",
    "FROM_FILE",
    "SCHEME",
    "Bucket",
    "split_url",
    "verify_endpoint",
    "verify_patience",
    "verify_store",
]

SCHEME: Final = "s3://"
FROM_ENVIRONMENT: Final = "environment"
FROM_FILE: Final = "file:"
# Bucket names as Amazon's rules have them; a prefix of segments that need no escape in a URL.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SEGMENT = re.compile(r"[A-Za-z0-9_=][A-Za-z0-9._=+-]{0,199}")
_PREFIX_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket with everything that a client needs.

    prefix: what every name begins with, without a `/` at either end. endpoint: a URL, or "" for
    Amazon's of the region. authority: PEM of who signs the server's certificate besides the
    system's. retries, wait_s: how often and how long a request is tried again.
    """

    name: str
    prefix: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    authority: str = field(default="", repr=False)
    allow_http: bool = False
    retries: int = 6
    wait_s: float = 60.0

    @property
    def url(self) -> str:
        """Bucket and prefix, as people write them."""
        return f"{SCHEME}{self.name}/{self.prefix}".rstrip("/")

    @property
    def server(self) -> str:
        """Who is asked, for messages."""
        return self.endpoint or f"Amazon S3 of {self.region}"


def split_url(url: str, place: str = "") -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``. Raises Misconfigured."""
    name, _, prefix = url.removeprefix(SCHEME).partition("/")
    prefix = prefix.strip("/")
    fitting = (
        url.startswith(SCHEME)
        and _BUCKET.fullmatch(name)
        and ".." not in name
        and len(prefix) <= _PREFIX_LENGTH_MAX
        and all(map(_SEGMENT.fullmatch, prefix.split("/") if prefix else ()))
    )
    if not fitting:
        raise Misconfigured(
            f"{url[:200]!r} is no place in an object store",
            fix="write s3://BUCKET or s3://BUCKET/PREFIX",
            place=place,
        )
    return name, prefix


def verify_store(url: str) -> None:
    """Raises Misconfigured unless this may say where sealed objects are; "" is the home."""
    if url.startswith(SCHEME):
        split_url(url, "store")
    elif url and not url.startswith("local:/"):
        raise Misconfigured(
            f"store = {url[:200]!r}",
            fix="empty, local:/FOLDER or s3://BUCKET/PREFIX",
            place="store",
        )


def verify_endpoint(endpoint: str, allow_http: bool, credentials: str) -> None:
    """Raises Misconfigured for a URL of a server, or a place of its access key, that cannot be."""
    scheme, _, rest = endpoint.partition("://")
    if endpoint and (scheme not in ("http", "https") or not rest or "@" in rest):
        raise Misconfigured(
            "s3_endpoint is no URL, or it holds credentials",
            fix="https://HOST:PORT",
            place="s3_endpoint",
        )
    if scheme == "http" and not allow_http:
        raise Misconfigured(
            "s3_endpoint is http, and s3_allow_http is false",
            fix="use https, or set s3_allow_http = true",
            place="s3_allow_http",
        )
    if credentials != FROM_ENVIRONMENT and not credentials.startswith(FROM_FILE):
        raise Misconfigured(
            "s3_credentials names no place of an access key",
            fix="write environment, file:PATH or file:PATH#PROFILE: never the key itself",
            place="s3_credentials",
        )


def verify_patience(retries: int, wait_s: int) -> None:
    """Raises Misconfigured for bounds of requests that bound nothing."""
    if not 0 <= retries <= 20 or not 1 <= wait_s <= 600:
        raise Misconfigured("s3_retries is not in 0 to 20, or s3_wait_s not in 1 to 600")
