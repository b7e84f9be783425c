# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invariant 4: nothing unverified is loaded. Each test breaks one thing that a load relies on.

The home is made by the real use cases with a model of a few kilobytes; only its scores are stated
by hand. Broken once to prove the tests: without `verify_entries`, `_verify_bundle`, the judging
in `load_deployment` or the digest in `decrypt_to_memfd`, one of them fails each time.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from bastide.app.approvals import approve_here
from bastide.app.config import Home
from bastide.app.deployments import deploy_release, end_deployment
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.founding import Wishes, found
from bastide.app.loading import bundle_name, load_admitted, load_deployment
from bastide.app.models import add_model, find_model
from bastide.app.releases import find_candidate, propose_release, publish_release
from bastide.core.errors import BastideError, Misconfigured, NotProven, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.stages.admit import Claim
from bastide.stages.release import Approval
from bastide.suites import DEMO_FLOORS
from unit.model_files import make_checkpoint, make_gguf


def state_scores(env: Environment, admission: Evidence) -> None:
    body = {
        "admission": str(admission.digest),
        "suite": {"name": "foundation", "version": "1", "digest": str(Digest.of(b"suite"))},
        "scores": dict.fromkeys(DEMO_FLOORS, 1.0),
        "counts": dict.fromkeys(DEMO_FLOORS, 1000),
        "items_object": "evaluations/none",
        "items_digest": str(Digest.of(b"items")),
        "engine": {"name": "none", "version": "0"},
        "sandbox": "none",
        "seconds": 0.0,
        "time_ms": env.clock.now_ms(),
    }
    statement = Statement("evaluation/v1", (admission.subject,), body)
    env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which the model `tiny` is deployed, and `other` only admitted."""
    folder = tmp_path_factory.mktemp("loading")
    home = Home(folder / "home")
    found(home, Wishes("solo", "127.0.0.1:1"))
    (folder / "tiny.gguf").write_bytes(make_gguf().encode())
    (folder / "other.gguf").write_bytes(make_gguf(blocks=2).encode())
    with open_environment(home, read_passphrase(home)) as env:
        claim = Claim("tiny", "made by a test", "Apache-2.0")
        state_scores(env, add_model(env, folder / "tiny.gguf", claim, None))
        other = Claim("other", "made by a test", "Apache-2.0")
        add_model(env, folder / "other.gguf", other, None)
        candidate = propose_release(env, "tiny", None, None)
        asked = Approval("tiny", candidate.subject.digest, "release", "", "")
        approve_here(env, asked, env.party_signers())
        publish_release(env, "tiny")
        deploy_release(env, "tiny", None)
    return home


@dataclass(frozen=True)
class Served:
    """A copy of that home which a test may break."""

    env: Environment

    @property
    def deployment(self) -> Digest:
        return self.env.ledger.deployments()[0].subject.digest

    def load(self) -> bytes:
        loaded = load_deployment(self.env.ledger, self.env.store, self.deployment)
        try:
            return os.pread(loaded.descriptor, 1 << 20, 0)
        finally:
            os.close(loaded.descriptor)

    def body(self, name: str) -> Path:
        """The file that holds a sealed object's body."""
        (path,) = (self.env.home.store / "models").glob(f"{name}.*.body")
        return path

    def sql(self, statement: str) -> None:
        """What somebody with the database's key could do."""
        with self.env.ledger._records.begin() as connection:
            assert connection.execute(text(statement)).rowcount > 0


@pytest.fixture
def broken(served: Home, tmp_path: Path) -> Iterator[Served]:
    home = Home(tmp_path / "home")
    shutil.copytree(served.root, home.root)
    with open_environment(home, read_passphrase(home)) as env:
        yield Served(env)


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
