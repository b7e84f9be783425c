# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The promise of the Registry port, over the one in memory and over a real docker-registry."""

import hashlib
from collections.abc import Iterator

import pytest

from bastide.adapters.registry.memory import MemoryRegistry
from bastide.adapters.registry.oci import OciRegistry, open_registry
from bastide.adapters.store.memory import MemoryReader
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, Unavailable
from bastide.core.limits import OCI_CHUNK_BYTES
from bastide.core.subject import Digest
from bastide.formats.modelpack import MANIFEST, Description, Layer, write_config, write_manifest
from bastide.ports import Registry
from contracts.registry_server import LOGIN, RegistryServer, needs_registry, registry_server

EMPTY = Description("x", "2026-11-26T00:00:00Z", (), "gguf", "llama", "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


def opened(server: RegistryServer, login: str | None = LOGIN) -> OciRegistry:
    return open_registry(server.host, "models/one", False, server.ca, login, None)


@pytest.fixture(params=["memory", pytest.param("docker", marks=needs_registry)])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "memory":
        return MemoryRegistry()
    return opened(request.getfixturevalue("server"))


def content(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(seed.to_bytes(8)).digest(size)


@pytest.mark.parametrize("size", [0, 1, OCI_CHUNK_BYTES, OCI_CHUNK_BYTES + 1, 2 * OCI_CHUNK_BYTES])
def test_a_blob_comes_back_from_any_place_on(registry: Registry, size: int) -> None:
    data = content(size, size)
    digest = Digest.of(data)
    assert not registry.has_blob(digest)
    told: list[int] = []
    registry.put_blob(digest, MemoryReader(data), told.append)
    assert registry.has_blob(digest)
    assert told == sorted(told)
    assert not told or told[-1] == size
    for offset in {0, size // 2}:
        assert b"".join(registry.blob(digest, offset)) == data[offset:]


def test_a_blob_that_is_not_what_it_says_is_refused(registry: Registry) -> None:
    wrong = Digest.of(b"something else")
    with pytest.raises(Misconfigured):
        registry.put_blob(wrong, MemoryReader(b"what is sent"))
    assert not registry.has_blob(wrong)


def test_a_manifest_under_a_tag_and_a_digest(registry: Registry) -> None:
    data = content(64, 99)
    config = write_config(EMPTY, [layer := Layer("a", "text/plain", 64, Digest.of(data))])
    manifest = write_manifest(config, [layer])
    for blob in (data, config):
        registry.put_blob(Digest.of(blob), MemoryReader(blob))
    registry.put_manifest("v1", MANIFEST, manifest)
    assert registry.manifest("v1") == manifest
    assert registry.manifest(str(Digest.of(manifest))) == manifest
    with pytest.raises(NotFound):
        registry.manifest("v2")


def test_what_is_not_there(registry: Registry) -> None:
    with pytest.raises(NotFound):
        list(registry.blob(Digest.of(b"nowhere")))


@needs_registry
@pytest.mark.parametrize("login", [None, "firm:wrong"])
def test_without_the_password_nothing_is_there(server: RegistryServer, login: str | None) -> None:
    with pytest.raises(NotAllowed):
        opened(server, login).has_blob(Digest.of(b"x"))


@needs_registry
def test_an_authority_that_is_not_trusted(server: RegistryServer) -> None:
    stranger = open_registry(server.host, "models/one", False, None, LOGIN, None)
    stranger._sleep = lambda seconds: None  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="certificate"):
        stranger.has_blob(Digest.of(b"x"))
