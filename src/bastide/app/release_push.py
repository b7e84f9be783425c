# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Push a sealed release to an OCI registry: what stands there opens for one age recipient alone.

The bodies are the store's own, byte for byte; only their headers are made anew for the recipient.
A header is kept until the push is done, so that a push that was killed finds the layers that are
there already.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from bastide.app import wiring, wiring_store
from bastide.app.config import Home
from bastide.app.environment import Environment
from bastide.app.provenance import export_provenance
from bastide.app.pushes import allow_push
from bastide.app.release_bom import release_bom_of
from bastide.app.releases import Published, export_bundle, find_published
from bastide.core.canonical import canonical
from bastide.core.limits import MIB
from bastide.core.subject import Digest
from bastide.core.utc import utc_time
from bastide.formats.modelpack import (
    DOCUMENT,
    MANIFEST,
    WEIGHT,
    WEIGHT_CONFIG,
    Description,
    Layer,
    Reference,
    write_config,
    write_manifest,
)
from bastide.ports import Reader, Registry, SealingStore

__all__ = ["ANCHORS", "BOM", "PROVENANCE", "SEALED", "SIGNATURE", "push_release"]

SEALED: Final = ".age"
SIGNATURE, PROVENANCE, BOM, ANCHORS = "model.sig", "provenance.jsonl", "bom.cdx.json", "keys.json"
_WEIGHTS: Final = (".gguf", ".safetensors")

Progress = Callable[[str, int, int], None]


def push_release(
    env: Environment,
    name: str,
    reference: Reference,
    registry: Registry,
    recipient: str,
    reason: str = "",
    signed: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Push a published release, and return where it is: repository, tag and digest.

    recipient: age1..., whom the weights are sealed to, once the firm's statement about it is in the
    ledger (`allow_push`, which `reason` and `signed` are for). Pushing the same again uploads
    nothing that is there. Raises NotFound, NotAllowed, Refused, Misconfigured, Unavailable.
    """
    allowed = allow_push(env, name, recipient, reason, signed)
    published = find_published(env, name)
    kept = _kept_headers(env.home, published, recipient)
    layers = []
    for row in published.admission.body["objects"]:
        with _sealed(env.store, row["object"], recipient, kept) as sealed:
            kind = WEIGHT if row["path"].endswith(_WEIGHTS) else WEIGHT_CONFIG
            layers.append(_put(registry, kind, row["path"] + SEALED, sealed, progress))
    for path, data in _documents(env, published).items():
        layers.append(_put(registry, DOCUMENT, path, wiring_store.reader_of_bytes(data), None))
    config = write_config(_describe(published), layers)
    _put(registry, DOCUMENT, "config.json", wiring_store.reader_of_bytes(config), None)
    manifest = write_manifest(config, layers)
    digest = Digest.of(manifest)
    registry.put_manifest(reference.tag or str(digest), MANIFEST, manifest)
    shutil.rmtree(kept)
    return {
        "release": published.release.subject.name,
        "repository": registry.name,
        "tag": reference.tag,
        "digest": str(digest),
        "recipient": recipient,
        "entry": allowed.entry,
        "layers": len(layers),
        "bytes": sum(layer.size for layer in layers),
    }


def _kept_headers(home: Home, published: Published, recipient: str) -> Path:
    what = {"release": str(published.release.digest), "recipient": recipient}
    folder = home.root / "pushes" / Digest.of(canonical(what)).hex
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _sealed(
    store: SealingStore, name: str, recipient: str, kept: Path
) -> AbstractContextManager[Reader]:
    """A stored object as an age file for the recipient.

    A header's own digest names the one that is kept for it: once the object gets another body, the
    kept one is of no use.
    """
    file = kept / Digest.of(store.header(name)).hex
    if not file.exists():
        wiring.replace_small(file, store.header_for(name, recipient))
    return store.sealed_file(name, file.read_bytes())


def _documents(env: Environment, published: Published) -> dict[str, bytes]:
    """What travels with the weights, in clear: all of it is signed, or says whose keys sign."""
    name = str(published.release.subject.digest)
    rows = (canonical(envelope.to_json()) for envelope in export_provenance(env, name))
    return {
        SIGNATURE: export_bundle(env, name),
        PROVENANCE: b"".join(row + b"\n" for row in rows),
        BOM: canonical(release_bom_of(published)),
        ANCHORS: env.home.anchors.read_bytes(),
    }


def _describe(published: Published) -> Description:
    body = published.admission.body
    return Description(
        name=published.release.subject.name,
        created=utc_time(published.release.body["time_ms"]),
        licences=(body["licence"],),
        format=body["format"],
        architecture=body["architecture"],
        revision=str(published.release.subject.digest),
    )


def _put(
    registry: Registry, kind: str, path: str, content: Reader, progress: Progress | None
) -> Layer:
    """Upload what is not there yet."""

    def told(sent: int) -> None:
        if progress is not None:
            progress(f"pushing {path}", sent, content.size)

    digest = Digest.of_chunks(_chunks(content, path, progress))
    if not registry.has_blob(digest):
        registry.put_blob(digest, content, told)
    return Layer(path, kind, content.size, digest)


def _chunks(content: Reader, path: str, progress: Progress | None) -> Iterator[bytes]:
    for offset in range(0, content.size, MIB):
        if progress is not None:
            progress(f"hashing {path}", offset, content.size)
        yield content.read_at(offset, MIB)
