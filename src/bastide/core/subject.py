# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Digest and Subject: what every statement is about."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bastide.core.errors import Misconfigured

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest, written ``sha256:<64 lower-case hex digits>``."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read ``sha256:<hex>``. Raises Misconfigured for any other form."""
        if not isinstance(text, str) or not _DIGEST.fullmatch(text):
            raise Misconfigured(
                f"{text!r} is not a digest", fix="write sha256: and 64 lower-case hex digits"
            )
        return cls(text[7:])

    @classmethod
    def of(cls, data: bytes | memoryview) -> "Digest":
        """Hash one buffer."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes | memoryview]) -> "Digest":
        """Hash a stream, one chunk at a time."""
        state = hashlib.sha256()
        for chunk in chunks:
            state.update(chunk)
        return cls(state.hexdigest())

    @property
    def raw(self) -> bytes:
        """The 32 bytes."""
        return bytes.fromhex(self.hex)

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A name bound to a digest (in-toto Statement v1, ResourceDescriptor)."""

    name: str
    digest: Digest


def hashed(
    chunks: Iterable[bytes | memoryview], state: "hashlib._Hash"
) -> Iterator[bytes | memoryview]:
    """Hand a stream on, one chunk at a time, and hash it on its way."""
    for chunk in chunks:
        state.update(chunk)
        yield chunk
