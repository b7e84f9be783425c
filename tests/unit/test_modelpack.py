# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ModelPack manifests and configs, and the names of artifacts: read back, or refused by field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.limits import OCI_MANIFEST_BYTES_MAX
from bastide.core.subject import Digest
from bastide.formats.modelpack import (
    DOCUMENT,
    WEIGHT,
    Description,
    Layer,
    Reference,
    read_config,
    read_manifest,
    write_config,
    write_manifest,
)

LAYERS = (
    Layer("model.gguf.age", WEIGHT, 7, Digest.of(b"weights")),
    Layer("model.sig", DOCUMENT, 3, Digest.of(b"sig")),
)
TOLD = Description("tiny", "2026-11-26T10:00:00.000Z", ("MIT",), "gguf", "llama", "sha256:...")
CONFIG = write_config(TOLD, LAYERS)
MANIFEST = write_manifest(CONFIG, LAYERS)


def test_what_is_written_reads_back() -> None:
    pack = read_manifest(MANIFEST)
    assert pack.layers == LAYERS
    assert (pack.config.digest, pack.config.size) == (Digest.of(CONFIG), len(CONFIG))
    assert read_config(CONFIG, pack.layers) == TOLD
    assert pack.find("model.sig") == LAYERS[1]


def test_the_documents_are_those_of_the_specification() -> None:
    """The required properties of model-spec's docs/spec.md and docs/config.md."""
    manifest, config = json.loads(MANIFEST), json.loads(CONFIG)
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert manifest["layers"][0]["mediaType"] == "application/vnd.cncf.model.weight.v1.raw"
    assert set(config) == {"descriptor", "config", "modelfs"}
    assert config["modelfs"]["type"] == "layers"


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(MANIFEST), **fields}).encode()


def with_layer(**fields: Any) -> bytes:
    row = json.loads(MANIFEST)["layers"][0]
    return changed(layers=[{**row, **fields}])


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"{", "JSON"),
        (b"[]", "the manifest"),
        (b"[" * 100_000, "JSON"),
        (b" " * (OCI_MANIFEST_BYTES_MAX + 1), "larger"),
        (changed(artifactType="application/vnd.oci.image"), "ModelPack"),
        (changed(config=None), "config"),
        (changed(layers=[]), "layers"),
        (changed(layers=[json.loads(MANIFEST)["layers"][0]] * 2), "one path"),
        (with_layer(digest="sha256:00"), "digest"),
        (with_layer(digest=None), "digest"),
        (with_layer(size=-1), "size"),
        (with_layer(size=True), "size"),
        (with_layer(annotations={}), "filepath"),
        (with_layer(annotations={"org.cncf.model.filepath": "../up"}), "filepath"),
        (with_layer(annotations={"org.cncf.model.filepath": "a/b"}), "filepath"),
        (with_layer(annotations=[]), "annotations"),
    ],
)
def test_a_manifest_that_is_none_is_refused_by_field(data: bytes, named: str) -> None:
    with pytest.raises(NotProven, match=named):
        read_manifest(data)


def test_a_config_of_other_layers_is_refused() -> None:
    with pytest.raises(NotProven, match="diffIds"):
        read_config(CONFIG, LAYERS[:1])
    wrong = json.loads(CONFIG)
    wrong["descriptor"]["name"] = ["x"]
    with pytest.raises(NotProven, match="name"):
        read_config(json.dumps(wrong).encode(), LAYERS)


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(NotProven, match=r"provenance\.jsonl"):
        read_manifest(MANIFEST).find("provenance.jsonl")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_manifest, lambda raw: read_config(raw, LAYERS)):
        with pytest.raises(BastideError):
            read(data)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("host/a", ("host", "a", None, None)),
        ("h.example:5000/a/b-c__d.e:v1", ("h.example:5000", "a/b-c__d.e", "v1", None)),
        ("[::1]:80/a:1", ("[::1]:80", "a", "1", None)),
        (f"h/a:1@sha256:{'0' * 64}", ("h", "a", "1", f"sha256:{'0' * 64}")),
    ],
)
def test_names_of_artifacts(text: str, parts: tuple[str, str, str | None, str | None]) -> None:
    found = Reference.parse(text)
    digest = str(found.digest) if found.digest else None
    assert (found.host, found.repository, found.tag, digest) == parts
    assert found.wanted == (parts[3] or parts[2] or "latest")


@pytest.mark.parametrize(
    "text",
    ["", "a", "https://h/a", "h/A", "h/a:", "h/../a", "h/a@sha256:0", "u@h/a", "h/a b", "h/a?x"],
)
def test_what_names_no_artifact(text: str) -> None:
    with pytest.raises(Misconfigured, match="names no artifact"):
        Reference.parse(text)
