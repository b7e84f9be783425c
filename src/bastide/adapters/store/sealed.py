# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A store whose objects are age files, as a decorator of another store.

An object `x` is two objects inside: ``x.header``, an age header, and ``x.<nonce>.body``. Written
one after the other (``cat x.header x.*.body``) they are a file that stock `age` opens. The header
names its body in a stanza of our own, which age ignores and whose MAC authenticates it:

    -> bastide.eu/body <object name> <nonce, 32 hex digits>

A body is never overwritten, and a header is replaced as a whole: a kill at any moment leaves the
old pair or the new one. What it may leave besides is a body without a header; `sweep` removes it.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final

from bastide.adapters.store.filling import FillingReader
from bastide.adapters.store.names import check_name
from bastide.adapters.store.versioned import VersionedStore
from bastide.core.errors import Busy, Misconfigured, NotAllowed, NotFound, NotProven
from bastide.core.limits import AGE_HEADER_BYTES_MAX, MIB
from bastide.core.subject import Digest
from bastide.crypto import age
from bastide.ports import Entropy, KeyService, Reader, Store

__all__ = ["SealedReader", "SealedStore", "body_name", "open_age_file"]

_STANZA: Final = "bastide.eu/body"
_HEADER: Final = ".header"
_BODY = re.compile(r"(.+)\.[0-9a-f]{32}\.body")
_NONCE = re.compile(r"[0-9a-f]{32}")
_REPLACINGS: Final = 50  # other writers that one writer gives way to
_ATTEMPTS: Final = 5  # a reader that meets a replacement starts again


class SealedReader:
    """Random access to the content of one object. Every byte it returns is authentic."""

    def __init__(self, name: str, body: Reader, file_key: bytes, closing: ExitStack) -> None:
        self._name = name
        self._body = body
        self._closing = closing
        self._turn = threading.Lock()  # the buffer below serves one read at a time
        self._sealed = bytearray()
        read = self._fill if isinstance(body, FillingReader) else body.read_at
        with _naming(name):
            self._payload = age.PayloadReader(file_key, read, body.size)

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self._payload.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`. Raises NotProven for a changed body."""
        with _naming(self._name), self._turn:
            return self._payload.read_at(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from `offset` without a copy. Raises NotProven for a changed body."""
        with _naming(self._name), self._turn:
            return self._payload.read_into(offset, buffer)

    def close(self) -> None:
        """Close the body."""
        self._closing.close()

    def _fill(self, offset: int, length: int) -> memoryview:
        assert isinstance(self._body, FillingReader)
        if len(self._sealed) < length:
            self._sealed = bytearray(length)
        view = memoryview(self._sealed)[:length]
        return view[: self._body.read_into(offset, view)]


class SealedStore:
    """Seals to the store's own key and to the owner's exit recipients.

    Recipients of an age file are of one family, so the newest key of the exits' family is used.
    Raises Misconfigured if there is none.
    """

    def __init__(
        self, inner: Store, keys: KeyService, exits: Sequence[str], entropy: Entropy
    ) -> None:
        self._inner = inner
        self._entropy = entropy
        self._keys = keys
        self._recipients = _recipients(keys, exits)
        self._swap = threading.Lock()

    def put(self, name: str, chunks: Iterable[bytes | memoryview]) -> int:
        """Seal one object and return the size of its content."""
        check_name(name)
        sealing = age.start_sealing(
            self._recipients,
            self._entropy.token,
            lambda nonce: (age.Stanza((_STANZA, name, nonce.hex()), b""),),
        )
        body = _body_name(name, sealing.nonce.hex())
        stored = self._inner.put(body, sealing.body(chunks))
        if isinstance(self._inner, VersionedStore):
            with self._swap:
                self._replace(self._inner, name, body, lambda _: sealing.header.encode())
            return age.plain_size(stored)
        with self._swap:
            old = self._current_body(name)
            try:
                self._inner.put(name + _HEADER, [sealing.header.encode()])
            finally:
                # The header may have arrived even if this failed: look, then tidy up.
                unused = old if self._current_body(name) == body else body
                if unused is not None:
                    self._inner.delete(unused)
        return age.plain_size(stored)

    def open(self, name: str) -> AbstractContextManager[SealedReader]:
        """Open an object. Raises NotFound, NotAllowed for foreign keys, or NotProven."""
        header, body, closing = self._open_pair(name)
        try:
            with _naming(name):
                file_key = age.unwrap(_parse(name, header), [_Asked(self._keys, name)])
            return contextlib.closing(SealedReader(name, body, file_key, closing))
        except BaseException:
            closing.close()
            raise

    def delete(self, name: str) -> None:
        """Remove an object, if there is one: its header first, for without it nobody can read."""
        check_name(name)
        with self._swap:
            body = self._current_body(name)
            self._inner.delete(name + _HEADER)
            if body is not None:
                self._inner.delete(body)

    def names(self, prefix: str = "") -> list[str]:
        """All names below a prefix, sorted."""
        found = (name for name in self._inner.names(prefix) if name.endswith(_HEADER))
        return sorted(name.removesuffix(_HEADER) for name in found)

    def header(self, name: str) -> bytes:
        """The age header of an object. Raises NotFound."""
        check_name(name)
        try:
            with self._inner.open(name + _HEADER) as reader:
                return reader.read_at(0, AGE_HEADER_BYTES_MAX + 1)
        except NotFound as error:
            raise NotFound(f"the store has no object {name}") from error

    def digests(self, name: str) -> tuple[Digest, Digest]:
        """The digests of an object's header and of its body, as stored."""
        header, body, closing = self._open_pair(name)
        with closing:
            return Digest.of(header), Digest.of_chunks(_pieces(body))

    def export(self, name: str) -> Iterator[bytes]:
        """Header, then body: together a standard age file."""
        header, body, closing = self._open_pair(name)
        with closing:
            yield header
            yield from _pieces(body)

    def rewrap(self, name: str) -> None:
        """Give an object a new header, sealed to the present recipients. Its body stays."""
        with self._swap:
            if isinstance(self._inner, VersionedStore):
                self._replace(
                    self._inner,
                    name,
                    None,
                    lambda old: self._rewrapped(name, old, self._recipients),
                )
                return
            renewed = self._rewrapped(name, self.header(name), self._recipients)
            self._inner.put(name + _HEADER, [renewed])

    def header_for(self, name: str, recipient: str) -> bytes:
        """A header of an object for one recipient alone, in memory: nothing stored changes."""
        return self._rewrapped(name, self.header(name), [age.parse_recipient(recipient)])

    def _rewrapped(self, name: str, old: bytes, recipients: Sequence[age.Recipient]) -> bytes:
        header = _parse(name, old)
        with _naming(name):
            renewed = age.rewrap(
                header, [_Asked(self._keys, name)], recipients, self._entropy.token, keep=(_STANZA,)
            )
        return renewed.encode()

    def sealed_file(self, name: str, header: bytes) -> AbstractContextManager[Reader]:
        """The age file that a header of this object, made for somebody, and its body are."""
        with _naming(name):
            body = _body_of(name, _parse(name, header))
        closing = ExitStack()
        reader = closing.enter_context(self._inner.open(body))
        return contextlib.closing(_AgeFile(header, reader, closing))

    def _replace(
        self,
        inner: VersionedStore,
        name: str,
        body: str | None,
        renew: Callable[[bytes], bytes],
    ) -> None:
        """Put the header in the place of exactly the one that was read, or read it again.

        So a writer elsewhere is never undone, and who replaced a header knows whose body goes. If
        the store does not answer, both bodies stay: the header may still arrive. `sweep` decides.
        """
        for _ in range(_REPLACINGS):
            old, version = inner.read_version(name + _HEADER)
            if body is None and not version:
                raise NotFound(f"the store has no object {name}")
            if body is not None and _named_by(name, old) == body:
                return  # it had arrived, and only the answer was lost
            if inner.put_over(name + _HEADER, renew(old), version):
                unused = _named_by(name, old)
                if body is not None and unused is not None:
                    self._inner.delete(unused)
                return
        if body is not None:
            self._inner.delete(body)
        raise Busy(f"others keep replacing {name}", retry_after_s=1.0, fix="try again")

    def sweep(self, prefix: str = "") -> list[str]:
        """Delete bodies below a prefix that no header names, and return them.

        Nobody may be writing there meanwhile.
        """
        current = {self._current_body(name) for name in self.names(prefix)}
        unused = [name for name in self._inner.names(prefix) if _BODY.fullmatch(name)]
        unused = [name for name in unused if name not in current]
        for name in unused:
            self._inner.delete(name)
        return unused

    def _open_pair(self, name: str) -> tuple[bytes, Reader, ExitStack]:
        """A header, and the body that it names, opened; another may replace them meanwhile."""
        for _ in range(_ATTEMPTS):
            header = self.header(name)
            closing = ExitStack()
            try:
                body = _body_of(name, _parse(name, header))
                return header, closing.enter_context(self._inner.open(body)), closing
            except NotFound:
                continue
        raise NotProven(
            f"the body of {name} is missing from the store", fix="restore it from a backup"
        )

    def _current_body(self, name: str) -> str | None:
        try:
            return _named_by(name, self.header(name))
        except NotFound:
            return None


@dataclass(frozen=True, slots=True)
class _AgeFile:
    """A header and a body as the one file that they are."""

    header: bytes
    body: Reader
    closing: ExitStack

    @property
    def size(self) -> int:
        return len(self.header) + self.body.size

    def read_at(self, offset: int, length: int) -> bytes:
        first = self.header[offset : offset + length]
        rest = length - len(first)
        return first + self.body.read_at(offset + len(first) - len(self.header), rest)

    def close(self) -> None:
        self.closing.close()


@dataclass(frozen=True, slots=True)
class _Asked:
    """An identity of `crypto.age` that asks the key service in the name of one object."""

    keys: KeyService
    name: str

    def unwrap(self, stanzas: Sequence[age.Stanza]) -> bytes | None:
        return self.keys.unwrap(stanzas, self.name)


def open_age_file(file: Reader, keys: KeyService, name: str) -> Reader:
    """The content of an age file that is in no store; `file` is closed by whoever opened it.

    name: how the key service is asked. Raises NotAllowed for foreign keys, NotProven for damage.
    """
    header, length = age.parse_header(file.read_at(0, AGE_HEADER_BYTES_MAX + 1))
    file_key = age.unwrap(header, [_Asked(keys, name)])
    size = file.size - length
    return age.PayloadReader(file_key, lambda at, count: file.read_at(length + at, count), size)


def _recipients(keys: KeyService, exits: Sequence[str]) -> list[age.Recipient]:
    outside: list[age.Recipient] = [age.parse_recipient(text) for text in exits]
    own = keys.recipients()
    families = {recipient.family for recipient in outside} or {own[0].family if own else ""}
    fitting = [recipient for recipient in own if {recipient.family} == families]
    if not fitting:
        raise Misconfigured(
            "the keyring has no identity of the family of the exit recipients",
            fix="use exit recipients of one family: all age1..., or all age1pq1...",
        )
    return [fitting[0], *outside]


def _parse(name: str, header: bytes) -> age.Header:
    try:
        parsed, length = age.parse_header(header)
    except Misconfigured as error:
        raise NotProven(
            f"the stored header of {name} is damaged: {error.message}",
            fix="restore it from a backup",
        ) from error
    if length != len(header):
        raise NotProven(f"the stored header of {name} has trailing data")
    return parsed


def _named_by(name: str, header: bytes) -> str | None:
    try:
        return _body_of(name, _parse(name, header)) if header else None
    except NotProven:
        return None


def body_name(name: str, header: bytes) -> str:
    """Where the body of an object lies, as its header says. Raises NotProven."""
    return _body_of(name, _parse(name, header))


def _body_of(name: str, header: age.Header) -> str:
    for stanza in header.stanzas:
        if stanza.kind == _STANZA:
            match stanza.arguments[1:]:
                case (owner, nonce) if owner == name and _NONCE.fullmatch(nonce):
                    return _body_name(name, nonce)
            raise NotProven(f"the stored header of {name} belongs to another object")
    raise NotProven(f"the stored header of {name} names no body")


def _body_name(name: str, nonce: str) -> str:
    return f"{name}.{nonce}.body"


def _pieces(reader: Reader) -> Iterator[bytes]:
    for offset in range(0, reader.size, MIB):
        yield reader.read_at(offset, MIB)


@contextlib.contextmanager
def _naming(name: str) -> Generator[None]:
    """Say which object it was that did not open."""
    try:
        yield
    except NotAllowed as error:
        raise NotAllowed(
            f"{name} is sealed to other keys", fix="use the keyring that sealed it"
        ) from error
    except (NotProven, Misconfigured) as error:  # Misconfigured: what a key service could not read
        message = error.message if name in error.message else f"{name}: {error.message}"
        raise NotProven(message, fix="restore it from a backup") from error
