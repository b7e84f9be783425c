# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invariant 4 against whoever holds the services' keys and the database: each test takes the road
that `smuggle` opens, beside the gates or beside the door, and a load closes it for one reason.
"""

import pytest

from bastide.app.approvals import approve_here
from bastide.app.deployments import end_deployment
from bastide.app.loading import load_admitted
from bastide.app.models import evaluate_model, find_model
from bastide.app.releases import find_candidate
from bastide.core.artifact import Artifact, Part
from bastide.core.errors import NotProven, Refused, Waiting
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.share import Share
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.model_signing import model_signing_bundle
from bastide.stages import deploy
from bastide.stages.release import Approval, approval_statement, publish, sign_approval
from paths.loading_rig import (
    Served,
    insert,
    load_of,
    other_candidate,
    posing_as,
    smuggle,
    state_scores,
    stranger,
)
from unit.model_files import make_gguf


def test_what_is_smuggled_loads_if_nothing_is_wrong_with_it(broken: Served) -> None:
    """The road that the next tests take is open: each closes for its own reason."""
    load_of(broken.env, smuggle(broken.env, "tiny", find_candidate(broken.env, "tiny")))


@pytest.mark.attacks("C65")
def test_a_release_that_nobody_approved(broken: Served) -> None:
    env = broken.env
    deployment = smuggle(env, "other", other_candidate(env))
    with pytest.raises(Refused) as caught:
        load_of(env, deployment)
    assert [reason for reason in caught.value.reasons if "approvals by the firm" in reason]
    assert [reason for reason in caught.value.reasons if "approvals by the guardian" in reason]


def test_a_release_below_the_floors(broken: Served) -> None:
    env = broken.env
    state_scores(env, find_model(env, "other"), 0.0)
    candidate = other_candidate(env)
    approve_here(
        env,
        Approval("other", candidate.subject.digest, "release", "", ""),
        env.party_signers(),
    )
    with pytest.raises(Refused) as caught:
        load_of(env, smuggle(env, "other", candidate))
    assert all("eval-floor" in reason for reason in caught.value.reasons)


@pytest.mark.attacks("C65")
def test_approvals_that_the_parties_did_not_sign(broken: Served) -> None:
    env = broken.env
    candidate = other_candidate(env)
    for party in (Party.FIRM, Party.GUARDIAN):
        asked = Approval("other", candidate.subject.digest, "release", party.value, "")
        statement = approval_statement(asked, env.clock)
        insert(env, sign_approval(statement, posing_as(env, party)))
    with pytest.raises(NotProven, match="signature"):
        load_of(env, smuggle(env, "other", candidate))


@pytest.mark.attacks("C65")
def test_a_deployment_that_the_operator_did_not_approve(broken: Served) -> None:
    env = broken.env
    (released,) = env.ledger.find("release/v1")
    plan = deploy.plan(released, "tiny-more", Share(2, 512), "llamacpp", "1")
    with pytest.raises(Waiting):
        deploy.deploy(env.ledger, plan, env.signer(Purpose.EVIDENCE), env.clock)
    body = {"deployment": plan.to_json(), "approvals": [], "time_ms": env.clock.now_ms()}
    forged = Statement("deployment/v1", (Subject(plan.name, plan.digest),), body)
    env.ledger.append_statement(forged, [env.signer(Purpose.EVIDENCE)])
    with pytest.raises(Refused) as caught:
        load_of(env, plan.digest)
    assert caught.value.reasons == ("approvals: 0 of 1 approvals by the operator",)


def test_a_deployment_that_is_not_signed_by_us(broken: Served) -> None:
    env = broken.env
    (running,) = env.ledger.deployments()
    end_deployment(env, "tiny", "a test")
    body = {**running.body, "time_ms": env.clock.now_ms()}
    forged = Statement("deployment/v1", running.statement.subjects, body)
    insert(env, dsse.sign(forged.payload(), [stranger(Purpose.EVIDENCE)]))
    with pytest.raises(NotProven, match="not enrolled"):
        load_of(env, running.subject.digest)


def test_a_release_that_names_another_candidate(broken: Served) -> None:
    """`tiny` is released in name, and `other`, which was approved for itself, would be loaded."""
    env = broken.env
    other = other_candidate(env)
    approve_here(
        env, Approval("other", other.subject.digest, "release", "", ""), env.party_signers()
    )
    tiny = find_candidate(env, "tiny")
    deployment = smuggle(env, "other", tiny, candidate=str(other.digest))
    with pytest.raises(NotProven, match="differs from its candidate"):
        load_of(env, deployment)


def test_a_bundle_by_another_key(broken: Served) -> None:
    env = broken.env
    artifact = Artifact.from_manifest(find_model(env, "tiny").body["artifact"])
    bundle = model_signing_bundle(artifact, "tiny", stranger(Purpose.MODEL_SIGNING))
    deployment = smuggle(env, "tiny", find_candidate(env, "tiny"), bundle=bundle)
    with pytest.raises(NotProven, match="another key"):
        load_of(env, deployment)


@pytest.mark.attacks("C66")
def test_a_file_that_the_validator_never_let_in(broken: Served) -> None:
    """The admission is signed by the right key, over a file that only claims to be well formed."""
    env = broken.env
    admission = find_model(env, "tiny")
    twisted = bytearray(make_gguf().encode())
    twisted += b"trailing"
    part = Part("model.gguf", len(twisted), Digest.of(bytes(twisted)))
    artifact, name = Artifact.of([part]), f"models/{part.digest.hex}"
    env.store.put(name, [bytes(twisted)])
    header, sealed = env.store.digests(name)
    row = {"path": part.path, "object": name, "header": str(header), "body": str(sealed)}
    body = {**admission.body, "artifact": artifact.manifest(), "objects": [row]}
    statement = Statement("admission/v1", (Subject("tiny", artifact.digest),), body)
    made = env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    with pytest.raises(Refused):
        load_admitted(env.ledger, env.store, made)


def test_the_stage_itself_publishes_nothing_that_nobody_approved(broken: Served) -> None:
    env = broken.env
    candidate, signer = other_candidate(env), env.signer(Purpose.RELEASE)
    with pytest.raises(Waiting) as caught:
        publish(env.ledger, candidate, Digest.of(b"a bundle"), signer, env.clock)
    assert len(caught.value.reasons) == 2
    assert not env.ledger.find("release/v1", subject=candidate.subject.digest)


def test_a_model_that_was_not_found_clean_is_not_evaluated(broken: Served) -> None:
    """Its admission was signed beside the gates; no engine is started over it."""
    env = broken.env
    admission = find_model(env, "tiny")
    scan = {**admission.body["scan"], "findings": ["model.gguf: it is code"]}
    body = {**admission.body, "scan": scan}
    statement = Statement("admission/v1", admission.statement.subjects, body)
    env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    with pytest.raises(Refused) as caught:
        evaluate_model(env, "tiny", "foundation", None)
    assert caught.value.reasons == ("scan-clean: model.gguf: it is code",)
    assert not env.home.run.exists(), "an engine was started over it"
