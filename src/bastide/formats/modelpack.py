# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ModelPack: a model as an OCI artifact (CNCF model-spec v0.0.7, OCI image-spec 1.1).

A sealed file is a layer of the raw media type whose path ends in `.age`: the specification has no
word for encryption, and every OCI client carries the layer as it is. Signature, provenance and bill
of materials are layers of the documents' media type, so that whoever pulls has them, too.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.limits import CHECKPOINT_FILES_MAX, OCI_MANIFEST_BYTES_MAX
from bastide.core.subject import Digest

__all__ = [
    "DOCUMENT",
    "MANIFEST",
    "WEIGHT",
    "WEIGHT_CONFIG",
    "Description",
    "Layer",
    "Pack",
    "Reference",
    "read_config",
    "read_manifest",
    "write_config",
    "write_manifest",
]

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
WEIGHT: Final = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG: Final = "application/vnd.cncf.model.weight.config.v1.raw"
DOCUMENT: Final = "application/vnd.cncf.model.doc.v1.raw"
_PATH_KEY: Final = "org.cncf.model.filepath"
_LAYERS_MAX: Final = CHECKPOINT_FILES_MAX + 64

# distribution-spec 1.1, "Pulling manifests".
_REPOSITORY: Final = (
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_REFERENCE: Final = re.compile(
    r"(?P<host>(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)"
    rf"/(?P<repository>{_REPOSITORY})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +=@-]{0,199}")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an artifact is: host with port, repository, and a tag, a digest or both."""

    host: str
    repository: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read HOST[:PORT]/REPOSITORY[:TAG][@sha256:...]. Raises Misconfigured."""
        found = _REFERENCE.fullmatch(text)
        if found is None or len(found["repository"]) > 255:
            raise Misconfigured(
                f"{text!r} names no artifact in a registry",
                fix="HOST[:PORT]/REPOSITORY:TAG, or ...@sha256:...",
            )
        digest = Digest.parse(found["digest"]) if found["digest"] else None
        return cls(found["host"], found["repository"], found["tag"], digest)

    @property
    def wanted(self) -> str:
        """What the registry is asked for: the digest if there is one."""
        return str(self.digest) if self.digest else self.tag or "latest"


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of an artifact: its path (a plain name), media type, size in bytes, and digest."""

    path: str
    media_type: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Pack:
    """What a manifest says: where its config is, and its layers."""

    config: Layer
    layers: tuple[Layer, ...]

    def find(self, path: str) -> Layer:
        """The layer of a path. Raises NotProven."""
        for layer in self.layers:
            if layer.path == path:
                return layer
        raise NotProven(
            f"the artifact has no {path}",
            fix="only artifacts that `bastide release push` made can be pulled; "
            "fetch others with a tool of your own, then `bastide model add`",
        )


@dataclass(frozen=True, slots=True)
class Description:
    """What a config says of a model, for people and for the admission's claim.

    created: RFC 3339. licences: SPDX expressions. Anything may be empty.
    """

    name: str
    created: str
    licences: tuple[str, ...]
    format: str
    architecture: str
    revision: str


def write_config(description: Description, layers: Sequence[Layer]) -> bytes:
    """The config object; equal inputs give equal bytes."""
    return canonical(
        {
            "descriptor": {
                "createdAt": description.created,
                "name": description.name,
                "licenses": list(description.licences),
                "revision": description.revision,
            },
            "config": {"architecture": description.architecture, "format": description.format},
            "modelfs": {"type": "layers", "diffIds": [str(layer.digest) for layer in layers]},
        }
    )


def write_manifest(config: bytes, layers: Sequence[Layer]) -> bytes:
    """The manifest over a config and its layers; equal inputs give equal bytes."""
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": _descriptor(CONFIG, len(config), Digest.of(config)),
            "layers": [
                {
                    **_descriptor(layer.media_type, layer.size, layer.digest),
                    "annotations": {_PATH_KEY: layer.path},
                }
                for layer in layers
            ],
        }
    )


def read_manifest(data: bytes) -> Pack:
    """Read a manifest. Raises NotProven, naming the field, for any other document."""
    value = _object(_json(data), "the manifest")
    if (value.get("mediaType"), value.get("artifactType")) != (MANIFEST, ARTIFACT):
        raise NotProven(
            "the artifact is no ModelPack model", fix="name the repository and tag of a model"
        )
    rows = value.get("layers")
    if not isinstance(rows, list) or not 0 < len(rows) <= _LAYERS_MAX:
        raise NotProven(f"the manifest has no layers, or over {_LAYERS_MAX}")
    config = _layer(_object(value.get("config"), "config"), "config", "config.json")
    if config.media_type != CONFIG:
        raise NotProven(f"config is of the media type {config.media_type!r}, not {CONFIG}")
    layers = []
    for number, row in enumerate(rows):
        place = f"layers[{number}]"
        notes = _object(_object(row, place).get("annotations", {}), f"{place}.annotations")
        layers.append(_layer(row, place, notes.get(_PATH_KEY)))
    paths = [layer.path for layer in layers]
    if len(set(paths)) != len(paths):
        raise NotProven("two layers of the manifest have one path")
    return Pack(config, tuple(layers))


def read_config(data: bytes, layers: Sequence[Layer]) -> Description:
    """Read a config. Raises NotProven for another document, or if it is of other layers."""
    value = _object(_json(data), "the config")
    files = _object(value.get("modelfs"), "modelfs")
    if files.get("diffIds") != [str(layer.digest) for layer in layers]:
        raise NotProven("the config's modelfs.diffIds are not the manifest's layers")
    told = _object(value.get("descriptor"), "descriptor")
    facts = _object(value.get("config"), "config")
    licences = told.get("licenses", [])
    texts = {
        "name": told.get("name", ""),
        "created": told.get("createdAt", ""),
        "format": facts.get("format", ""),
        "architecture": facts.get("architecture", ""),
        "revision": told.get("revision", ""),
    }
    wrong = [name for name, text in texts.items() if not isinstance(text, str)]
    if wrong or not isinstance(licences, list) or not all(isinstance(x, str) for x in licences):
        raise NotProven(f"the config's {', '.join(wrong) or 'licenses'} is not text")
    return Description(licences=tuple(licences), **texts)


def _descriptor(media_type: str, size: int, digest: Digest) -> dict[str, Any]:
    return {"mediaType": media_type, "size": size, "digest": str(digest)}


def _layer(row: Mapping[str, Any], place: str, path: object) -> Layer:
    if not isinstance(path, str) or not _FILE.fullmatch(path):
        raise NotProven(f"{place} has no plain file name in {_PATH_KEY}: {path!r:.80}")
    kind, size = row.get("mediaType"), row.get("size")
    if not isinstance(kind, str) or type(size) is not int or size < 0:
        raise NotProven(f"{place} has no media type or size")
    try:
        return Layer(path, kind, size, Digest.parse(str(row.get("digest"))))
    except BastideError as error:
        raise NotProven(f"{place}.digest: {error.message}") from error


def _json(data: bytes) -> object:
    if len(data) > OCI_MANIFEST_BYTES_MAX:
        raise NotProven(f"the registry's document is larger than {OCI_MANIFEST_BYTES_MAX} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotProven(f"the registry's document is not JSON: {error!r:.80}") from error


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotProven(f"{place} is not a JSON object")
    return value
