# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Artifact: a manifest of parts under one digest.

The digest of an artifact is the digest of the canonical JSON (RFC 8785) of its manifest, so
any tool that can sort and hash JSON can recompute it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured
from bastide.core.subject import Digest


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One file of an artifact: its relative path, its size in bytes, its digest."""

    path: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Artifact:
    """A sorted tuple of parts. Build it with `of`, which sorts and refuses doubles."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, parts: Iterable[Part]) -> "Artifact":
        """Sort the parts. Raises Misconfigured for no part, a doubled or an absolute path."""
        ordered = tuple(sorted(parts))
        paths = [part.path for part in ordered]
        if not ordered or len(set(paths)) != len(paths):
            raise Misconfigured("an artifact needs parts with distinct paths")
        for path in paths:
            if path.startswith("/") or ".." in path.split("/") or not path:
                raise Misconfigured(f"the part path {path!r} leaves the artifact")
        return cls(ordered)

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Artifact":
        """Read what `manifest` wrote."""
        return cls.of(
            Part(row["path"], row["size"], Digest.parse(row["digest"])) for row in manifest["parts"]
        )

    def manifest(self) -> dict[str, Any]:
        """The manifest as plain JSON values."""
        return {
            "parts": [
                {"path": part.path, "size": part.size, "digest": str(part.digest)}
                for part in self.parts
            ]
        }

    @property
    def digest(self) -> Digest:
        """The digest that names this artifact everywhere."""
        return Digest.of(canonical(self.manifest()))

    @property
    def size(self) -> int:
        """Bytes in all parts together."""
        return sum(part.size for part in self.parts)
