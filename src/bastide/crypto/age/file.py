# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whole age files: seal to recipients, open with identities, give a file a new header.

Randomness is a function: `entropy(16)` gives sixteen unpredictable bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from bastide.core.errors import Misconfigured, NotAllowed
from bastide.core.limits import AGE_HEADER_BYTES_MAX
from bastide.crypto.age import bech32
from bastide.crypto.age.header import (
    FILE_KEY_BYTES,
    Header,
    Stanza,
    make_header,
    parse_header,
    verify_mac,
)
from bastide.crypto.age.hybrid import HybridIdentity, HybridRecipient
from bastide.crypto.age.stream import NONCE_BYTES, Payload
from bastide.crypto.age.tagged import TaggedRecipient
from bastide.crypto.age.x25519 import X25519Identity, X25519Recipient

__all__ = [
    "Identity",
    "Recipient",
    "Sealing",
    "open_stream",
    "parse_identity",
    "parse_recipient",
    "rewrap",
    "seal",
    "start_sealing",
    "unwrap",
]


class Recipient(Protocol):
    """Who can open a file. Recipients of one file are all of one family (age.md)."""

    # What may stand together in one header: classic, post-quantum or passphrase.
    family: ClassVar[str]

    def wrap(self, file_key: bytes, entropy: Callable[[int], bytes]) -> Stanza:
        """Wrap a file key for this recipient."""
        ...


class Identity(Protocol):
    """What opens a file."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, or None if no stanza is for this identity."""
        ...


@dataclass(frozen=True, slots=True)
class Sealing:
    """A file about to be sealed: its header, and the nonce that its body starts with."""

    header: Header
    nonce: bytes
    file_key: bytes = field(repr=False)

    def body(self, chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """The payload, nonce first. Call it once: a nonce seals one content."""
        yield self.nonce
        yield from Payload(self.file_key, self.nonce).seal(chunks)


def parse_recipient(text: str) -> X25519Recipient | HybridRecipient | TaggedRecipient:
    """Read ``age1...``, ``age1pq1...`` or ``age1tag1...``. Raises Misconfigured."""
    prefix, raw = bech32.decode(text.strip())
    for kind in (X25519Recipient, HybridRecipient, TaggedRecipient):
        if prefix == kind.prefix:
            return kind(raw)
    raise Misconfigured(
        f"the recipient {text.strip()[:24]!r} is of an unknown type",
        fix="use one that starts with age1, age1pq1 or age1tag1",
    )


def parse_identity(text: str) -> X25519Identity | HybridIdentity:
    """Read ``AGE-SECRET-KEY-1...`` or ``AGE-SECRET-KEY-PQ-1...``. Raises Misconfigured."""
    prefix, raw = bech32.decode(text.strip())
    for kind in (X25519Identity, HybridIdentity):
        if prefix == kind.prefix:
            return kind(raw)
    raise Misconfigured("an identity is of an unknown type", fix="use one of `age-keygen`")


def start_sealing(
    recipients: Sequence[Recipient],
    entropy: Callable[[int], bytes],
    extra: Callable[[bytes], Sequence[Stanza]] = lambda nonce: (),
) -> Sealing:
    """Draw a file key and wrap it. `extra` makes stanzas of other types from the nonce.

    Raises Misconfigured if there is no recipient, or if they are of several families.
    """
    file_key = entropy(FILE_KEY_BYTES)
    nonce = entropy(NONCE_BYTES)
    stanzas = (*_wrap(file_key, recipients, entropy), *extra(nonce))
    return Sealing(make_header(stanzas, file_key), nonce, file_key)


def seal(
    chunks: Iterable[bytes | memoryview],
    recipients: Sequence[Recipient],
    entropy: Callable[[int], bytes],
) -> Iterator[bytes]:
    """Seal a stream as one age file. Memory stays bounded."""
    sealing = start_sealing(recipients, entropy)
    yield sealing.header.encode()
    yield from sealing.body(chunks)


def unwrap(header: Header, identities: Sequence[Identity]) -> bytes:
    """The file key of a header whose MAC holds.

    Raises NotAllowed if no identity fits, NotProven if the MAC does not hold.
    """
    for identity in identities:
        file_key = identity.unwrap(header.stanzas)
        if file_key is not None:
            verify_mac(header, file_key)
            return file_key
    raise NotAllowed(
        "no identity at hand opens this age file", fix="use an identity that it was sealed to"
    )


def open_stream(
    chunks: Iterable[bytes | memoryview], identities: Sequence[Identity]
) -> Iterator[bytes]:
    """Open an age file from a stream. What it yields is authentic, but may yet be cut.

    Raises Misconfigured for a malformed header, NotAllowed, or NotProven.
    """
    source = iter(chunks)
    start = bytearray()
    for chunk in source:
        start += chunk
        if _complete(start) or len(start) > AGE_HEADER_BYTES_MAX + NONCE_BYTES:
            break
    header, length = parse_header(bytes(start[: AGE_HEADER_BYTES_MAX + 1]))
    if len(start) < length + NONCE_BYTES:
        raise Misconfigured("not a valid age header: the nonce after it is cut")
    file_key = unwrap(header, identities)
    payload = Payload(file_key, bytes(start[length : length + NONCE_BYTES]))
    rest = memoryview(bytes(start))[length + NONCE_BYTES :]
    yield from payload.open(_chain(rest, source))


def rewrap(
    header: Header,
    identities: Sequence[Identity],
    recipients: Sequence[Recipient],
    entropy: Callable[[int], bytes],
    keep: Sequence[str] = (),
) -> Header:
    """A new header for the same file key; the body stays as it is.

    Stanzas of the types in `keep` are carried over. Whoever holds the file key or an old header
    and its identity can still open the body: a leaked key needs a new file.
    """
    file_key = unwrap(header, identities)
    kept = tuple(stanza for stanza in header.stanzas if stanza.kind in keep)
    return make_header((*_wrap(file_key, recipients, entropy), *kept), file_key)


def _wrap(
    file_key: bytes, recipients: Sequence[Recipient], entropy: Callable[[int], bytes]
) -> tuple[Stanza, ...]:
    families = {recipient.family for recipient in recipients}
    if not families:
        raise Misconfigured("an age file needs a recipient", fix="name one")
    if len(families) > 1 or (families == {"passphrase"} and len(recipients) > 1):
        # One classic recipient would undo the post-quantum safety of the others.
        raise Misconfigured(
            "recipients of one age file must be of one family, and a passphrase stands alone",
            fix="use only age1... or only age1pq1... recipients",
        )
    return tuple(recipient.wrap(file_key, entropy) for recipient in recipients)


def _complete(start: bytearray) -> bool:
    mark = start.find(b"\n---")
    end = start.find(b"\n", mark + 1) if mark >= 0 else -1
    return end >= 0 and len(start) > end + NONCE_BYTES


def _chain(first: memoryview, rest: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    yield first
    yield from rest
