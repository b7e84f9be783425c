# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A registry in memory, for tests and as the measure of the others."""

from collections.abc import Callable, Iterator

from bastide.core.errors import Misconfigured, NotFound
from bastide.core.subject import Digest
from bastide.ports import Reader

__all__ = ["MemoryRegistry"]


class MemoryRegistry:
    """Keeps everything until it is thrown away."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.manifests: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """Where it is."""
        return "memory.example/models"

    def has_blob(self, digest: Digest) -> bool:
        """Whether the blob is there already."""
        return digest in self.blobs

    def put_blob(
        self, digest: Digest, content: Reader, progress: Callable[[int], None] | None = None
    ) -> None:
        """Keep a blob. Raises Misconfigured if it has another digest."""
        data = content.read_at(0, content.size)
        if Digest.of(data) != digest:
            raise Misconfigured(f"the registry refused a blob: it is not {digest}")
        self.blobs[digest] = data
        if progress is not None:
            progress(len(data))

    def put_manifest(self, reference: str, media_type: str, data: bytes) -> None:
        """Keep a manifest under a tag, and under its digest."""
        del media_type
        self.manifests[reference] = self.manifests[str(Digest.of(data))] = data

    def manifest(self, reference: str) -> bytes:
        """The manifest under a tag or digest. Raises NotFound."""
        if reference not in self.manifests:
            raise NotFound(f"{self.name} has no {reference}")
        return self.manifests[reference]

    def blob(self, digest: Digest, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `offset` on. Raises NotFound."""
        if digest not in self.blobs:
            raise NotFound(f"{self.name} has no blob {digest}")
        yield self.blobs[digest][offset:]
