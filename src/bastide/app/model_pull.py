# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Pull a sealed model from an OCI registry, and admit it as any other that comes from outside.

1. The manifest has the digest that was asked for, and every layer the digest that it says.
2. The signature verifies under the key that the person got from the signer, not from the registry.
3. Layers are kept sealed until the admission is over; a pull that was killed goes on.
4. Each opens with the keys of this store, or with an identity that is given, and only in memory:
   recorded and denied as the object that it becomes.
5. `admit` compares the files with those that were signed, seals them anew and judges the gates.
"""

import functools
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bastide.app import wiring, wiring_store
from bastide.app.alone import alone
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.release_push import SEALED, SIGNATURE, Progress
from bastide.app.remedies import outside
from bastide.core.errors import NotAllowed, NotProven, Unavailable
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.limits import MIB, OCI_SMALL_BLOB_BYTES_MAX
from bastide.core.subject import Digest
from bastide.crypto.signed_model import SignedModel, read_signed_model
from bastide.formats.modelpack import (
    WEIGHT,
    WEIGHT_CONFIG,
    Layer,
    Reference,
    read_config,
    read_manifest,
)
from bastide.ports import KeyService, Reader, Registry
from bastide.stages.admit import Claim, SourceFile, admit

__all__ = ["pull_model"]

_ATTEMPTS: Final = 6  # in a row that bring no byte


def pull_model(
    env: Environment,
    reference: Reference,
    registry: Registry,
    signer_pem: bytes,
    name: str | None = None,
    identities: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evidence:
    """Pull and admit. name: in this environment, else the one that the artifact says.

    identities: age identities that open the layers, or none: the store's own keys do. Raises
    NotProven for what is not what was asked for or signed, NotAllowed for what is sealed to others,
    Refused by a gate or for what is denied, Unavailable.
    """
    require(env, "model-admit")
    raw = registry.manifest(reference.wanted)  # 1.
    digest = Digest.of(raw)
    if reference.digest not in (None, digest):
        raise NotProven(f"{registry.name} gave another manifest than {reference.digest}")
    pack = read_manifest(raw)
    told = read_config(_small(registry, pack.config), pack.layers)
    bundle = _small(registry, pack.find(SIGNATURE))  # 2.
    signed = read_signed_model(bundle, signer_pem)
    origin = f"oci://{registry.name}@{digest}"
    claim = Claim(name or told.name, origin, " AND ".join(told.licences), signed)
    opener = identities or env.keyring.identities()
    keys = wiring.watched_keys(env.home, opener, SignedDenials(env.ledger))
    folder = env.home.root / "pulls" / digest.hex
    with ExitStack() as stack:
        stack.enter_context(alone(env.home.store, lambda: None))
        env.store.sweep("models")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sources = []
        for layer in pack.layers:
            if layer.media_type not in (WEIGHT, WEIGHT_CONFIG):
                continue
            file = _fetch(registry, _checked(layer), folder, progress)  # 3.
            inner = stack.enter_context(wiring.open_source(file))
            opened = _open(inner, keys, layer.path, _object(layer, signed))  # 4.
            sources.append(SourceFile(layer.path.removesuffix(SEALED), opened))
        evidence = env.signer(Purpose.EVIDENCE)
        row = admit(env.ledger, env.store, sources, claim, evidence, env.clock, progress)  # 5.
    shutil.rmtree(folder)
    return row


def _checked(layer: Layer) -> Layer:
    if not layer.path.endswith(SEALED):
        raise NotProven(
            f"{layer.path} is not sealed, and would lie in clear on this disk",
            fix="fetch it with a tool of your own, then `bastide model add`",
        )
    return layer


def _small(registry: Registry, layer: Layer) -> bytes:
    """A blob that is read whole. Raises NotProven."""
    if layer.size > OCI_SMALL_BLOB_BYTES_MAX:
        raise NotProven(f"{layer.path} is larger than {OCI_SMALL_BLOB_BYTES_MAX} bytes")
    data = bytearray()
    for chunk in registry.blob(layer.digest):
        data += chunk
        if len(data) > layer.size:
            break
    if len(data) != layer.size or Digest.of(bytes(data)) != layer.digest:
        raise NotProven(f"{registry.name}: {layer.path} is not what the manifest says")
    return bytes(data)


def _fetch(registry: Registry, layer: Layer, folder: Path, progress: Progress | None) -> Path:
    """A layer as a file. What a broken pull has left is gone on with, and proven at the end."""
    done, partial = folder / layer.digest.hex, folder / f"{layer.digest.hex}.partial"
    if done.exists():
        return done
    try:
        with partial.open("ab") as file:
            tries = 0
            while (have := file.tell()) < layer.size:
                try:
                    for chunk in registry.blob(layer.digest, have):
                        file.write(chunk[: layer.size - file.tell()])
                        if progress is not None:
                            progress(f"pulling {layer.path}", file.tell(), layer.size)
                        if file.tell() == layer.size:
                            break
                except Unavailable:
                    pass
                tries = 0 if file.tell() > have else tries + 1
                if tries == _ATTEMPTS:
                    raise Unavailable(
                        f"{registry.name} stops in the middle of {layer.path}",
                        fix="run the same command again: it goes on where it stopped",
                    )
            os.fsync(file.fileno())
        with partial.open("rb") as file:
            read = iter(functools.partial(file.read, MIB), b"")
            if Digest.of_chunks(read) != layer.digest:
                partial.unlink()
                raise NotProven(
                    f"{registry.name}: {layer.path} is not what the manifest says",
                    fix="pull again; if it stays so, the registry's copy is damaged",
                )
        partial.rename(done)
    except OSError as error:
        raise outside(error, f"{folder} cannot be written") from error
    return done


def _object(layer: Layer, signed: SignedModel) -> str:
    """The sealed object that a layer's file becomes: as that it is recorded, and denied."""
    files = signed.files
    only = next(iter(files.values())) if len(files) == 1 else layer.digest
    return f"models/{files.get(layer.path.removesuffix(SEALED), only).hex}"


def _open(file: Reader, keys: KeyService, name: str, named: str) -> Reader:
    """Raises NotAllowed if it is sealed to others, Refused if denied, NotProven if damaged."""
    try:
        return wiring_store.open_age_file(file, keys, named)
    except NotAllowed as error:
        raise NotAllowed(
            f"{name} is sealed to somebody else",
            fix="have it pushed to the recipient that `bastide store where` shows, "
            "or give --identity FILE",
        ) from error
