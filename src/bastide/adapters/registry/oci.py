# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An OCI registry over HTTP (OCI distribution-spec 1.1).

Of our own, on the standard library, for what the well-known clients do with credentials: they send
them wherever a registry's `Location` or `realm` points (oras-go CVE-2026-48978, CVE-2026-50151).
Here they go to the registry's own host, and to a token service only on that host or on one that
the person named. A download may be redirected, without credentials; an upload may not.
"""

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from bastide.adapters.registry.login import Login, bearer_token
from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotProven,
    Unavailable,
)
from bastide.core.limits import MIB, OCI_CHUNK_BYTES, OCI_MANIFEST_BYTES_MAX
from bastide.core.subject import Digest
from bastide.ports import Reader

__all__ = ["OciRegistry", "Where", "open_registry"]

_TIMEOUT_S: Final = 30.0
_ATTEMPTS: Final = 6  # in a row that bring nothing forward
_WAIT_S: Final = 0.5  # before the second; it doubles
_REDIRECTS: Final = 4
_ANSWER_BYTES_MAX: Final = 64 * 1024
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_T = TypeVar("_T")
_BROKEN: Final = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Where:
    """A repository and how it is reached.

    host: with its port. plain: HTTP without TLS. context: whom TLS trusts. login: a name and a
    password, or None. token_host: where else the password may go, to get a token.
    """

    host: str
    repository: str
    plain: bool = False
    context: ssl.SSLContext | None = None
    login: Login | None = None
    token_host: str | None = None


def open_registry(
    host: str,
    repository: str,
    plain: bool,
    ca: Path | None,
    login: str | None,
    token_host: str | None,
) -> "OciRegistry":
    """A repository. ca: a PEM file whom TLS trusts instead. login: NAME:PASSWORD.

    A password goes over TLS, or to this machine. Raises Misconfigured.
    """
    if plain and login and host.rpartition(":")[0] not in ("127.0.0.1", "localhost", "[::1]"):
        raise Misconfigured(
            f"a password would go to {host} without TLS", fix="leave out --plain-http, give --ca"
        )
    try:
        context = ssl.create_default_context(cafile=ca) if ca is not None else None
    except OSError as error:
        raise Misconfigured(f"{ca} holds no certificates: {error}") from error
    known = None if login is None else Login.parse(login)
    return OciRegistry(Where(host, repository, plain, context, known, token_host), time.sleep)


class OciRegistry:
    """One repository. `sleep` waits for so many seconds between attempts."""

    def __init__(self, where: Where, sleep: Callable[[float], None]) -> None:
        self._where, self._sleep = where, sleep
        self._origin = f"{'http' if where.plain else 'https'}://{where.host}"
        self._base = f"{self._origin}/v2/{where.repository}"
        self._authorization: str | None = None

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self._where.host}/{self._where.repository}"

    def has_blob(self, digest: Digest) -> bool:
        """Whether the blob is there already. Raises Unavailable, NotAllowed."""
        return self._patiently(lambda: self._ask("HEAD", f"/blobs/{digest}", (200, 404)))[0] == 200

    def put_blob(
        self, digest: Digest, content: Reader, progress: Callable[[int], None] | None = None
    ) -> None:
        """Upload a blob in chunks. A broken connection goes on where the registry says it is.

        Raises Unavailable once nothing moves any more, Misconfigured if the registry refuses it.
        """
        place = self._start()
        sent, tries = 0, 0
        while sent < content.size:
            chunk = content.read_at(sent, OCI_CHUNK_BYTES)
            head = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{sent}-{sent + len(chunk) - 1}",
            }
            try:
                _, answer, _ = self._ask("PATCH", place, (202, 204), head, chunk)
                place, sent, tries = self._next(answer, place), sent + len(chunk), 0
            except Unavailable:
                tries += 1
                if tries == _ATTEMPTS:
                    raise
                self._sleep(_WAIT_S * 2**tries)
                place, sent = self._where_it_is(place)
            if progress is not None:
                progress(sent)
        joint = "&" if "?" in place else "?"
        self._ask("PUT", f"{place}{joint}{urlencode({'digest': str(digest)})}", (201, 204))

    def put_manifest(self, reference: str, media_type: str, data: bytes) -> None:
        """Upload a manifest. Raises Misconfigured if the registry refuses it."""
        head = {"Content-Type": media_type}
        self._patiently(lambda: self._ask("PUT", f"/manifests/{reference}", (201, 202), head, data))

    def manifest(self, reference: str) -> bytes:
        """The manifest under a tag or digest. Raises NotFound, NotProven if it is too large."""
        head = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        status, _, data = self._patiently(
            lambda: self._ask("GET", f"/manifests/{reference}", (200, 404), head)
        )
        if status == 404:
            raise NotFound(f"{self.name} has no {reference}", fix="check the tag or the digest")
        if len(data) > OCI_MANIFEST_BYTES_MAX:
            raise NotProven(f"{self.name}: the manifest is too large")
        return data

    def blob(self, digest: Digest, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `offset` on; the connection may break. Raises NotFound."""
        head = {"Range": f"bytes={offset}-"} if offset else {}
        url = f"{self._base}/blobs/{digest}"
        connection, answer = self._patiently(lambda: self._follow(url, head))
        try:
            if answer.status == 404:
                raise NotFound(f"{self.name} has no blob {digest}")
            if answer.status == 416:
                raise NotProven(f"{self.name}: the blob {digest} is smaller than was said")
            if answer.status not in (200, 206):
                raise self._refused(answer.status, answer.read(_ANSWER_BYTES_MAX))
            skip = offset if answer.status == 200 else 0  # it does not know ranges
            while data := answer.read(MIB):
                if len(data) > skip:
                    yield data[skip:]
                skip = max(0, skip - len(data))
        except _BROKEN as error:
            raise Unavailable(f"{self.name} broke off: {error}") from error
        finally:
            connection.close()

    def _start(self) -> str:
        _, answer, _ = self._patiently(lambda: self._ask("POST", "/blobs/uploads/", (202,)))
        return self._next(answer, self._base)

    def _next(self, answer: HTTPMessage, before: str) -> str:
        """Where an upload goes on. Raises NotProven if that is not on this registry."""
        place = urljoin(before, answer.get("Location") or before)
        if _origin_of(urlsplit(place)) != _origin_of(urlsplit(self._origin)):
            raise NotProven(
                f"{self.name} sends the upload to another host: {urlsplit(place).netloc}",
                fix="it would get what you upload, and your login; use another registry",
            )
        return place

    def _where_it_is(self, place: str) -> tuple[str, int]:
        """Ask how much of an upload has arrived; one that is lost starts again."""
        try:
            _, answer, _ = self._ask("GET", place, (202, 204))
        except (NotFound, Misconfigured):
            return self._start(), 0
        found = _RANGE.fullmatch(answer.get("Range", ""))
        end = int(found[1]) if found else 0
        return self._next(answer, place), end + 1 if end else 0

    def _patiently(self, deed: Callable[[], _T]) -> _T:
        """Do what may meet a registry that is down or busy, a few times."""
        for number in range(1, _ATTEMPTS):
            try:
                return deed()
            except Unavailable:
                self._sleep(_WAIT_S * 2**number)
        return deed()

    def _ask(
        self,
        method: str,
        place: str,
        wanted: tuple[int, ...],
        head: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[int, HTTPMessage, bytes]:
        """One request to the registry itself: status, headers and a bounded body."""
        url = place if "://" in place else self._base + place
        try:
            for again in (False, True):
                connection, answer = self._send(method, url, head or {}, body)
                with connection:
                    data = answer.read(OCI_MANIFEST_BYTES_MAX + 1)
                if answer.status != 401 or again:
                    break
                self._log_in(answer.headers.get("WWW-Authenticate", ""))
        except _BROKEN as error:
            raise Unavailable(f"{self.name} does not answer: {error}", fix="try again") from error
        if answer.status not in wanted:
            raise self._refused(answer.status, data)
        return answer.status, answer.headers, data

    def _send(
        self, method: str, url: str, head: Mapping[str, str], body: bytes
    ) -> "tuple[_Connection, http.client.HTTPResponse]":
        parts = urlsplit(url)
        ours = _origin_of(parts) == _origin_of(urlsplit(self._origin))
        connection = _Connection(parts, self._where.context)
        given = {"Content-Length": str(len(body)), **head} if method != "GET" else dict(head)
        if ours and self._authorization is not None:
            given["Authorization"] = self._authorization
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.inner.request(method, path, body or None, given)
            return connection, connection.inner.getresponse()
        except BaseException:
            connection.close()
            raise

    def _follow(
        self, url: str, head: Mapping[str, str]
    ) -> "tuple[_Connection, http.client.HTTPResponse]":
        """Get what may be elsewhere. Raises NotProven for a redirect to where TLS is not."""
        logged_in = False
        try:
            for _ in range(_REDIRECTS):
                connection, answer = self._send("GET", url, head, b"")
                if answer.status == 401 and not logged_in:
                    connection.close()
                    self._log_in(answer.headers.get("WWW-Authenticate", ""))
                    logged_in = True
                    continue
                if answer.status not in (301, 302, 303, 307, 308):
                    return connection, answer
                connection.close()
                url = urljoin(url, answer.headers.get("Location", ""))
                if urlsplit(url).scheme != "https" and not self._where.plain:
                    raise NotProven(f"{self.name} redirects to an address without TLS")
        except _BROKEN as error:
            raise Unavailable(f"{self.name} does not answer: {error}") from error
        raise Unavailable(f"{self.name} redirects in a circle, or refuses the login")

    def _log_in(self, challenge: str) -> None:
        """Get what the registry asks for. Raises NotAllowed."""
        login, where = self._where.login, self._where
        if challenge.lower().startswith("basic") and login is not None:
            self._authorization = login.basic()
            return
        if not challenge.lower().startswith("bearer"):
            raise NotAllowed(f"{self.name} asks for a login", fix="give --login FILE")
        hosts = {where.host, where.token_host or where.host}

        def fetch(url: str, head: Mapping[str, str]) -> bytes:
            parts = urlsplit(url)
            connection = _Connection(parts, where.context)
            with connection:
                connection.inner.request("GET", f"{parts.path}?{parts.query}", headers=dict(head))
                answer = connection.inner.getresponse()
                if answer.status != 200:
                    raise NotAllowed(f"{parts.netloc} gives no token ({answer.status})")
                return answer.read(_ANSWER_BYTES_MAX)

        self._authorization = bearer_token(challenge, hosts, where.plain, login, fetch)

    def _refused(self, status: int, data: bytes) -> BastideError:
        try:
            told = "; ".join(str(row["message"]) for row in json.loads(data)["errors"])[:300]
        except (ValueError, LookupError, TypeError, RecursionError):
            told = ""
        text = f"{self.name} answered {status}{': ' + told if told else ''}"
        if status in (401, 403):
            return NotAllowed(text, fix="give --login FILE with a name that may do this")
        if status == 404:
            return NotFound(text)
        if status in (416, 429) or status >= 500:  # 416: a chunk out of order; it can be asked
            return Unavailable(text, fix="try again later")
        return Misconfigured(text)


class _Connection:
    """One connection, which is closed however it ends."""

    def __init__(self, parts: SplitResult, context: ssl.SSLContext | None) -> None:
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotProven(f"the registry names an address that is none: {parts.geturl():.100}")
        if parts.scheme == "https":
            context = context or ssl.create_default_context()
            self.inner: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_TIMEOUT_S, context=context
            )
        else:
            self.inner = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_S)

    def close(self) -> None:
        self.inner.close()

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _origin_of(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
