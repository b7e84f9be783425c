# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invariant 4: nothing unverified is loaded. Each test breaks one thing that a load relies on.

The home is made by the real use cases with a model of a few kilobytes; only its scores are stated
by hand. Broken once to prove the tests: without any one step of `load_deployment`, `load_admitted`
or `verify_entries`, or without the digest in `decrypt_to_memfd`, one of them fails.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bastide.app.deployments import deploy_release, end_deployment
from bastide.app.loading import bundle_name, load_admitted, load_deployment
from bastide.app.models import add_model, find_model
from bastide.app.releases import find_candidate, propose_release
from bastide.core.errors import BastideError, Misconfigured, NotProven, Refused
from bastide.core.subject import Digest
from bastide.stages.admit import Claim
from paths.loading_rig import (
    Served,
)
from unit.model_files import make_checkpoint, make_gguf


def test_what_was_admitted_loads(broken: Served) -> None:
    assert broken.load() == make_gguf().encode()
    loaded = load_deployment(broken.env.ledger, broken.env.store, broken.deployment)
    with pytest.raises(OSError):
        os.write(loaded.descriptor, b"x")  # the memfd is sealed
    os.close(loaded.descriptor)


@pytest.mark.parametrize("offset", [40, 100, 1_000, -1])
def test_a_flipped_bit_of_the_sealed_weights(broken: Served, offset: int) -> None:
    (row,) = find_model(broken.env, "tiny").body["objects"]
    path = broken.body(row["object"].rpartition("/")[2])
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(NotProven):
        broken.load()


def test_other_weights_sealed_to_the_same_keys(broken: Served) -> None:
    """Whoever can write to the store can seal to its recipients: only the digest tells."""
    (row,) = find_model(broken.env, "tiny").body["objects"]
    longer, twisted = make_gguf(blocks=2).encode(), bytearray(make_gguf().encode())
    twisted[-1] ^= 1
    for other in (longer, bytes(twisted)):
        broken.env.store.put(row["object"], [other])
        with pytest.raises(NotProven, match=r"admitted|digest"):
            broken.load()


def test_missing_weights(broken: Served) -> None:
    (row,) = find_model(broken.env, "tiny").body["objects"]
    broken.env.store.delete(row["object"])
    with pytest.raises(BastideError):
        broken.load()


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"{}"])
def test_another_model_signing_bundle(broken: Served, damage: Callable[[bytes], bytes]) -> None:
    name = bundle_name(find_candidate(broken.env, "tiny").subject.digest)
    with broken.env.store.open(name) as reader:
        data = reader.read_at(0, reader.size)
    broken.env.store.put(name, [damage(data)])
    with pytest.raises(NotProven, match="model-signing"):
        broken.load()


def test_an_entry_that_was_rewritten(broken: Served) -> None:
    """The admission now names other weights; its signature no longer holds."""
    entry = find_model(broken.env, "tiny").entry
    broken.sql(
        'UPDATE entry SET data = (SELECT data FROM entry WHERE "index" = 2)'
        f' WHERE "index" = {entry}'
    )
    with pytest.raises(NotProven):
        broken.load()


def test_a_deployment_that_has_ended(broken: Served) -> None:
    deployment = broken.deployment
    end_deployment(broken.env, "tiny", "a test")
    with pytest.raises(Refused, match="no active deployment"):
        load_deployment(broken.env.ledger, broken.env.store, deployment)


def test_a_deployment_that_the_ledger_lacks(broken: Served) -> None:
    with pytest.raises(Refused, match="no active deployment"):
        load_deployment(broken.env.ledger, broken.env.store, Digest.of(b"none"))


def test_an_unevaluated_model_is_neither_released_nor_deployed(broken: Served) -> None:
    with pytest.raises(Refused, match="no evaluation"):
        propose_release(broken.env, "other", None, None)
    with pytest.raises(BastideError):
        deploy_release(broken.env, "other", None)


def test_safetensors_do_not_reach_an_engine_that_cannot_read_them(
    broken: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    for name, data in make_checkpoint().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    claim = Claim("checkpoint", "made by a test", "Apache-2.0")
    admission = add_model(broken.env, folder, claim, None)
    with pytest.raises(Misconfigured, match="one GGUF file"):
        load_admitted(broken.env.ledger, broken.env.store, admission)
