# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A store in a bucket of an object store that speaks S3, through obstore.

Nothing is asked of the server before the first use. What is small goes in one request; what is
large goes in parts, and becomes visible with the last request or not at all. A writer that is
killed leaves parts that nobody sees: a rule of the bucket removes them (docs/guides).

Nothing rests on the server's checksums: what is stored here is sealed, and every byte that is
opened is authenticated. A server that ignores conditions of writes costs no more than `put_over`.
"""

import contextlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import cached_property
from itertools import chain
from typing import Any, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.exceptions import BaseError as ObstoreError
from obstore.store import S3Store as ObstoreS3

from bastide.adapters.store.names import below, check_name
from bastide.core.bucket import Bucket
from bastide.core.errors import Misconfigured, NotFound, Unavailable
from bastide.core.limits import MIB

__all__ = ["PARTS_AT_ONCE", "PART_BYTES", "S3Reader", "S3Store"]

PART_BYTES: Final = 16 * MIB
PARTS_AT_ONCE: Final = 2  # with the one being filled: at most 48 MiB in flight
_PARTS_MAX: Final = 10_000  # of one object, says S3
_FIRST_BYTES: Final = 256 * 1024  # come with the opening: most objects are no larger
_BLOCK_BYTES_MAX: Final = 8 * MIB  # of a reader that goes straight on
_CONNECT_S: Final = 5.0
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_CLASH = (AlreadyExistsError, PreconditionError, NotModifiedError)
_TROUBLE = (ObstoreError, OSError, ValueError)


class S3Reader:
    """One object, or rather one version of it: once it was replaced, reading raises Unavailable."""

    def __init__(self, store: "S3Store", name: str, size: int, tag: str | None, head: bytes):
        self._store = store
        self._name = name
        self._size = size
        self._tag = tag
        self._block = (0, head)  # set at once, so threads may share a reader
        self._ahead = _FIRST_BYTES

    @property
    def size(self) -> int:
        """Bytes in the object when it was opened."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end. Raises Unavailable."""
        data = bytearray(max(0, min(length, self._size - offset)))
        return bytes(data[: self.read_into(offset, memoryview(data))])

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from `offset`; return the bytes read. Raises Unavailable."""
        wanted = max(0, min(len(buffer), self._size - offset))
        count = 0
        while count < wanted:
            begin, block = self._block
            inside = offset + count - begin
            if not 0 <= inside < len(block):
                begin, block = self._fetch(offset + count, wanted - count)
                inside = 0
            piece = memoryview(block)[inside : inside + wanted - count]
            buffer[count : count + len(piece)] = piece
            count += len(piece)
        return count

    def close(self) -> None:
        """Nothing to free."""

    def _fetch(self, offset: int, length: int) -> tuple[int, bytes]:
        begin, block = self._block
        straight = offset == begin + len(block)
        self._ahead = min(2 * self._ahead, _BLOCK_BYTES_MAX) if straight else _FIRST_BYTES // 4
        end = min(self._size, offset + max(length, self._ahead))
        fetched = offset, self._store.read_range(self._name, offset, end, self._tag)
        self._block = fetched
        return fetched


class S3Store:
    """Objects of a bucket. `account` is asked at the first use.

    Raises Unavailable, or Misconfigured for a bucket that is not there or does not let us in.
    """

    def __init__(self, account: Callable[[], Bucket]) -> None:
        self._account = account

    @cached_property
    def _bucket(self) -> Bucket:
        return self._account()

    @cached_property
    def objects(self) -> ObstoreS3:
        """The client."""
        return connect(self._bucket)

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Write one object and return its size. Until all is there nobody sees it."""
        check_name(name)
        source = iter(chunks)
        head, more = _gather(source)
        with self.naming(f"write {name}"):
            objects = self.objects
            if not more:
                obstore.put(objects, name, head, mode="overwrite", use_multipart=False)
                return len(head)
        return self._put_parts(name, chain((head,), source))

    def _put_parts(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        size = 0
        with self.naming(f"write {name}"), contextlib.ExitStack() as stack:
            # Left by an exception, it takes the parts back.
            writer = stack.enter_context(
                obstore.open_writer(
                    self.objects, name, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                )
            )
            for chunk in chunks:
                if size + len(chunk) > _PARTS_MAX * PART_BYTES:
                    most = _PARTS_MAX * PART_BYTES // (1024 * MIB)
                    raise Misconfigured(
                        f"{name} is larger than {most} GiB, the most that fits",
                        fix="divide it, as models are divided into several files",
                    )
                size += writer.write(bytes(chunk))  # a view may be reused by its owner
        return size

    def open(self, name: str) -> AbstractContextManager[S3Reader]:
        """Open an object; its beginning comes with the answer. Raises NotFound."""
        check_name(name)
        return contextlib.closing(self.open_any(name))

    def open_any(self, name: str) -> S3Reader:
        """Open what may have a name that is not ours. Raises NotFound."""
        with self.naming(f"read {name}"):
            found = self._get(name, {"range": (0, _FIRST_BYTES)})
            if found is None:
                return S3Reader(self, name, 0, None, b"")
            head = bytes(found.bytes())
            return S3Reader(self, name, found.meta["size"], found.meta["e_tag"], head)

    def attributes(self, name: str) -> dict[Any, Any]:
        """What was said of an object when it was written. Raises NotFound."""
        with self.naming(f"read {name}"):
            return dict(obstore.get(self.objects, name, options={"head": True}).attributes)

    def sizes(self, prefix: str) -> list[tuple[str, int]]:
        """Names below a prefix, or all, with bytes; sorted."""
        with self.naming("list the bucket"):
            batches = obstore.list(self.objects, prefix=prefix.rstrip("/") or None)
            return sorted((row["path"], row["size"]) for batch in batches for row in batch)

    def read_range(self, name: str, begin: int, end: int, tag: str | None) -> bytes:
        """Bytes of one version of an object. Raises Unavailable if it is another by now."""
        options: dict[str, Any] = {"range": (begin, end)}
        if tag is not None:
            options["if_match"] = tag
        try:
            with self.naming(f"read {name}"):
                found = self._get(name, options)
                data = b"" if found is None else bytes(found.bytes())
                if found is not None and found.meta["e_tag"] != tag:  # a server without conditions
                    data = b""
        except (NotFound, _Changed):
            data = b""
        if len(data) != end - begin:
            raise Unavailable(
                f"{name} was replaced or deleted while it was read", fix="open it again"
            )
        return data

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        check_name(name)
        with contextlib.suppress(NotFound), self.naming(f"delete {name}"):
            obstore.delete(self.objects, name)

    def names(self, prefix: str = "") -> list[str]:
        """All names below a prefix, sorted."""
        folder = prefix.rstrip("/")
        if folder:
            check_name(folder)
        return [name for name, _ in self.sizes(folder) if below(name, folder)]

    def read_version(self, name: str) -> tuple[bytes, str]:
        """A small object and its version; two empty ones if there is none."""
        check_name(name)
        try:
            with self.naming(f"read {name}"):
                found = obstore.get(self.objects, name)
                return bytes(found.bytes()), found.meta["e_tag"] or ""
        except NotFound:
            return b"", ""

    def put_over(self, name: str, data: bytes, version: str) -> bool:
        """Replace that version, or make an object where there was none. False if it changed."""
        check_name(name)
        try:
            with self.naming(f"write {name}"):
                mode: Any = {"e_tag": version} if version else "create"
                obstore.put(self.objects, name, data, mode=mode, use_multipart=False)
        except (_Changed, NotFound):
            return False
        return True

    def _get(self, name: str, options: Any) -> Any:
        """The answer, or None for an object without a byte."""
        try:
            return obstore.get(self.objects, name, options=options)
        except ObstoreError as error:
            if _code(error) == "InvalidRange":
                return None
            raise

    @contextlib.contextmanager
    def naming(self, deed: str) -> Generator[None]:
        """Raise what goes wrong in the block as the one clear error; `deed` says what could not."""
        try:
            yield
        except _TROUBLE as error:
            raise _trouble(error, deed, self._bucket) from error


class _Changed(Exception):
    """An object is not of the version that was asked for."""


def connect(bucket: Bucket) -> ObstoreS3:
    """A client of a bucket. Raises Misconfigured.

    Every option that says who is asked, how and with which key stands here, for obstore takes what
    is left out from the environment: where a request goes must not depend on a shell.
    """
    options: Any = {
        "allow_http": bucket.allow_http,
        "allow_invalid_certificates": False,
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "timeout": timedelta(seconds=bucket.wait_s),
        "proxy_url": "http://127.0.0.1:9",  # with the next line: no proxy, whatever a shell says
        "proxy_excludes": "*,0.0.0.0/0,::/0",
    }
    if bucket.authority:
        options["root_certificate"] = bucket.authority
    endpoint = bucket.endpoint or f"https://s3.{bucket.region}.amazonaws.com"
    key: Any = {
        "access_key_id": bucket.access_key,
        "secret_access_key": bucket.secret_key,
        "token": bucket.session_token or None,
        "expires_at": None,
    }
    config: Any = {
        "region": bucket.region or "us-east-1",
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,
        "virtual_hosted_style_request": False,
        "skip_signature": False,
        "unsigned_payload": False,
        "s3_express": False,
    }
    retry: Any = {
        "max_retries": bucket.retries,
        "retry_timeout": timedelta(seconds=bucket.wait_s),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
    try:
        return ObstoreS3(
            bucket.name,
            prefix=bucket.prefix or None,
            config=config,
            client_options=options,
            retry_config=retry,
            credential_provider=lambda: key,
        )
    except _TROUBLE as error:
        raise _trouble(error, "connect", bucket) from error


def _gather(source: Iterator[bytes | memoryview]) -> tuple[bytes, bool]:
    """What comes first, up to a part, and whether there may be more."""
    held = bytearray()
    for chunk in source:
        held += chunk
        if len(held) >= PART_BYTES:
            return bytes(held), True
    return bytes(held), False


def _code(error: Exception) -> str:
    found = _CODE.search(str(error)) or _STATUS.search(str(error))
    return found.group(1) if found else ""


def _trouble(error: Exception, deed: str, bucket: Bucket) -> Exception:
    """The one clear error. What the server or the client wrote may hold a header or a body, so only
    the code of it is shown."""
    code = _code(error)
    if code == "NoSuchBucket":
        return Misconfigured(
            f"cannot {deed}: {bucket.server} has no bucket {bucket.name}",
            fix="create it, or correct the URL",
            place="store",
        )
    if isinstance(error, _CLASH):
        return _Changed()
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{bucket.url} has no object: cannot {deed}")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or code in _DENIED:
        return Misconfigured(
            f"cannot {deed}: {bucket.server} refuses the access key for {bucket.name}"
            f" ({code or 'denied'})",
            fix="check s3_credentials, the key's rights in the bucket, and this machine's clock",
            place="s3_credentials",
        )
    if re.search("InvalidCertificate|UnknownIssuer|invalid peer certificate", str(error)):
        return Misconfigured(
            f"cannot {deed}: the certificate of {bucket.server} is not trusted",
            fix="name the PEM file of its authority in s3_ca",
            place="s3_ca",
        )
    reason = code or _REASONS.get(_kind(error), "no answer")
    return Unavailable(
        f"cannot {deed}: {bucket.server} does not answer as it should ({reason})",
        fix="try again when it does; what was finished stays, and nothing half-written is seen",
    )


_DENIED = {
    "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "RequestTimeTooSkewed", "403", "401",
}  # fmt: skip
_REASONS = {
    "Connect": "no connection",
    "Timeout": "too slow",
    "Unknown": "the request could not be made: is it https?",
    "Request": "the connection broke",
    "Interrupted": "the connection broke",
    "Decode": "the answer cannot be read",
}


def _kind(error: Exception) -> str:
    found = re.search(r"kind: (\w+)", str(error))
    return found.group(1) if found else ""
