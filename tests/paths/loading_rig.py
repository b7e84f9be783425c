# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A home with a model of a few kilobytes in service, and what a dishonest operator could do to it.

The home is made by the real use cases; only the scores are stated by hand. The fixtures are known
to every test of this folder (conftest.py).
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.app.approvals import approve_here
from bastide.app.config import Home
from bastide.app.deployments import deploy_release
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.founding import Wishes, found
from bastide.app.loading import bundle_name, load_deployment
from bastide.app.models import add_model, find_model
from bastide.app.releases import propose_release, publish_release
from bastide.core.artifact import Artifact
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.share import Share
from bastide.core.subject import Digest, Subject
from bastide.crypto.dsse import Envelope, Signer
from bastide.crypto.model_signing import model_signing_bundle
from bastide.crypto.note import Checkpoint, sign_checkpoint
from bastide.ledger import statements
from bastide.ledger.commit import Batch, Committer
from bastide.ledger.projections import project
from bastide.stages import deploy
from bastide.stages.admit import Claim
from bastide.stages.release import Approval
from bastide.suites import DEMO_FLOORS
from unit.model_files import make_gguf


def state_scores(env: Environment, admission: Evidence, score: float = 1.0) -> None:
    body = {
        "admission": str(admission.digest),
        "suite": {"name": "foundation", "version": "1", "digest": str(Digest.of(b"suite"))},
        "scores": dict.fromkeys(DEMO_FLOORS, score),
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


# What somebody with the keyring and the database could do, but the parties did not


def insert(env: Environment, envelope: Envelope) -> None:
    """Write an entry beside the rule book of the door, under a tree and checkpoint that fit."""
    ledger = env.ledger
    index = ledger.size
    _, evidence = statements.decode(envelope.encode(), index)

    def seal(size: int, root: bytes) -> str:
        checkpoint = Checkpoint(ledger.charter().body["origin"], size, root)
        return sign_checkpoint(checkpoint, env.signer(Purpose.LEDGER))

    committer = Committer(
        ledger._records, seal, project=lambda connection, _: project(connection, [evidence])
    )
    committer.append(Batch([envelope.encode()], [evidence]))


def stranger(purpose: Purpose, party: Party | None = None) -> Signer:
    entropy = SeededEntropy(b"a stranger")
    return MemoryKeyring.generate(tuple(Party), entropy).signer(purpose, party)


def posing_as(env: Environment, party: Party) -> Signer:
    """The enrolled key of a party by name, with a signature that it did not make."""
    enrolled = env.party_signers()[party].public
    return Signer(enrolled, lambda message: stranger(Purpose.PARTY, party).sign(message))


def smuggle(
    env: Environment,
    name: str,
    released: Evidence,
    *,
    bundle: bytes | None = None,
    **changes: Any,
) -> Digest:
    """Sign a release and deploy it with the services' own keys, without asking a gate."""
    admission = find_model(env, name)
    if bundle is None:
        artifact = Artifact.from_manifest(admission.body["artifact"])
        signer = env.signer(Purpose.MODEL_SIGNING)
        bundle = model_signing_bundle(artifact, admission.subject.name, signer)
    env.store.put(bundle_name(released.subject.digest), [bundle])
    body = {
        "release": released.body["release"],
        "candidate": str(released.digest),
        "approvals": [],
        "verdicts": [],
        "model_signing": str(Digest.of(bundle)),
        "time_ms": env.clock.now_ms() + 1,
        **changes,
    }
    model = Digest.parse(released.body["release"]["model"])
    subjects = (released.subject, Subject(find_model(env, str(model)).subject.name, model))
    made = env.ledger.append_statement(
        Statement("release/v1", subjects, body), [env.signer(Purpose.RELEASE)]
    )
    plan = deploy.plan(made, f"{name}-smuggled", Share(1, 512), "llamacpp", "1")
    asked = Approval(plan.name, plan.digest, "deploy", "", "")
    approve_here(env, asked, env.party_signers())
    return deploy.deploy(env.ledger, plan, env.signer(Purpose.EVIDENCE), env.clock).subject.digest


def load_of(env: Environment, deployment: Digest) -> None:
    loaded = load_deployment(env.ledger, env.store, deployment)
    os.close(loaded.descriptor)


def other_candidate(env: Environment) -> Evidence:
    if not env.ledger.find("evaluation/v1", subject=find_model(env, "other").subject.digest):
        state_scores(env, find_model(env, "other"))
    return propose_release(env, "other", None, None)
