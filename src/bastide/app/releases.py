# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about releases: propose, look at, publish; and their model-signing bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.app.acts import acted
from bastide.app.duties import require
from bastide.app.emergencies import Span, approvals_told, entry_under, spans
from bastide.app.environment import Environment
from bastide.app.loading import bundle_name
from bastide.app.models import find_model
from bastide.app.naming import newest_named
from bastide.core.artifact import Artifact
from bastide.core.errors import NotFound
from bastide.core.evidence import Evidence, Verdict
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.crypto.dsse import Signer
from bastide.crypto.model_signing import model_signing_bundle
from bastide.crypto.p256 import public_pem
from bastide.gates.panel import refuse
from bastide.ledger.lineage import trained_on
from bastide.ledger.times import seen_ms
from bastide.stages import release

__all__ = [
    "Published",
    "bundle_key_pem",
    "export_bundle",
    "find_candidate",
    "find_published",
    "list_releases",
    "propose_release",
    "publish_release",
    "show_release",
]


@dataclass(frozen=True, slots=True)
class Published:
    """A signed release, and the statements that it rests on. trained: see `trained_on`."""

    release: Evidence
    candidate: Evidence
    admission: Evidence
    evaluation: Evidence
    approvals: tuple[Evidence, ...]
    trained: tuple[Evidence, ...]

    def rows(self) -> tuple[Evidence, ...]:
        """All of them, in the ledger's order."""
        rows = (self.release, self.candidate, self.admission, self.evaluation)
        rows = (*rows, *self.approvals, *self.trained)
        return tuple(sorted(rows, key=lambda row: row.entry or 0))


def propose_release(
    env: Environment, model: str, name: str | None, author: Signer | None
) -> Evidence:
    """State a candidate for an evaluated model; the same again returns the first."""
    require(env, "release-propose", name)
    admission = find_model(env, model)
    held = env.party_signers()
    signers = [env.signer(Purpose.EVIDENCE)]
    if author is not None:
        signers += env.party_of(author).values()
    elif held:
        # Under `solo` the firm's key is here: the candidate says openly who proposed it.
        signers.append(next(iter(held.values())))
    return release.propose(
        env.ledger, admission, name or admission.subject.name, signers, env.clock
    )


def find_candidate(env: Environment, name: str) -> Evidence:
    """The newest candidate of a name or digest. Raises NotFound."""
    return newest_named(env.ledger.find("candidate/v1"), name, "release")


def find_published(env: Environment, name: str) -> Published:
    """The newest published release of a name or digest. Raises NotFound if it is not published."""
    require(env, "read")
    candidate = find_candidate(env, name)
    known = env.ledger.find("release/v1", subject=candidate.subject.digest)
    if not known:
        raise NotFound(f"{name} is not published", fix=f"bastide release publish {name}")
    named = env.ledger.by_digest
    wanted = candidate.body["release"]
    return Published(
        release=known[-1],
        candidate=candidate,
        admission=named(Digest.parse(wanted["admission"])),
        evaluation=named(Digest.parse(wanted["evaluation"])),
        approvals=tuple(named(Digest.parse(row)) for row in known[-1].body["approvals"]),
        trained=trained_on(env.ledger, Digest.parse(wanted["model"])),
    )


def list_releases(env: Environment) -> list[dict[str, Any]]:
    """One row per candidate, with what it waits for."""
    require(env, "read")
    found, now_ms = spans(env.ledger), seen_ms(env.ledger, env.clock.now_ms())
    return [
        _row(env, candidate, found, release.judge(env.ledger, candidate, now_ms))
        for candidate in env.ledger.find("candidate/v1")
    ]


def show_release(env: Environment, name: str) -> dict[str, Any]:
    """A candidate with its evidence and every gate's verdict, judged now."""
    require(env, "read")
    candidate = find_candidate(env, name)
    wanted = candidate.body["release"]
    admission = env.ledger.by_digest(Digest.parse(wanted["admission"]))
    evaluation = env.ledger.by_digest(Digest.parse(wanted["evaluation"]))
    verdicts, found = _judged(env, candidate), spans(env.ledger)
    return {
        **_row(env, candidate, found, verdicts),
        "origin": admission.body["origin"],
        "licence": admission.body["licence"],
        "template": admission.body["template"],
        "scores": evaluation.body["scores"],
        "author": candidate.body["author"],
        "proposed_by": acted(env.ledger, candidate),
        "approvals": approvals_told(env.ledger, _approvals(env, candidate), found),
        "verdicts": [verdict.to_json() for verdict in verdicts],
    }


def publish_release(env: Environment, name: str) -> Evidence:
    """Judge every gate and sign the release. Raises Waiting or Refused with every reason."""
    require(env, "release-publish", name)
    candidate = find_candidate(env, name)
    known = env.ledger.find("release/v1", subject=candidate.subject.digest)
    if known:
        return known[-1]
    # The stage judges for itself; here so that no bundle is signed of what it would refuse.
    refuse(_judged(env, candidate), candidate.subject.name, "release")
    admission = env.ledger.by_digest(Digest.parse(candidate.body["release"]["admission"]))
    artifact = Artifact.from_manifest(admission.body["artifact"])
    signer = env.signer(Purpose.MODEL_SIGNING)
    bundle = model_signing_bundle(artifact, admission.subject.name, signer)
    # The bundle is durable before the release names it; a kill in between leaves an object that
    # the next try overwrites.
    env.store.put(bundle_name(candidate.subject.digest), [bundle])
    release_signer = env.signer(Purpose.RELEASE)
    return release.publish(env.ledger, candidate, Digest.of(bundle), release_signer, env.clock)


def export_bundle(env: Environment, name: str) -> bytes:
    """The OpenSSF model-signing bundle of a published release. Raises NotFound."""
    published = find_published(env, name)
    with env.store.open(bundle_name(published.release.subject.digest)) as reader:
        return reader.read_at(0, reader.size)


def bundle_key_pem(env: Environment, name: str) -> str:
    """The public key that signed a release's bundle, as the stock verifier reads it."""
    subject = find_candidate(env, name).subject
    published = env.ledger.find("release/v1", subject=subject.digest)[-1]
    signing = env.ledger.register().signing(published.entry or 0).values()
    (key,) = (key for key in signing if key.purpose is Purpose.MODEL_SIGNING)
    return public_pem(key).decode()


def _approvals(env: Environment, candidate: Evidence) -> list[Evidence]:
    return env.ledger.approvals(candidate.subject.digest)


def _judged(env: Environment, candidate: Evidence) -> list[Verdict]:
    return release.judge(env.ledger, candidate, seen_ms(env.ledger, env.clock.now_ms()))


def _row(
    env: Environment, candidate: Evidence, found: Sequence[Span], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    digest = candidate.subject.digest
    published = env.ledger.find("release/v1", subject=digest)
    approvals = _approvals(env, candidate)
    under = {row.body["party"] for row in approvals if entry_under(found, row) is not None}
    return {
        "release": candidate.subject.name,
        "digest": str(digest),
        "model": candidate.body["release"]["model"],
        "state": "published" if published else "proposed",
        "approved_by": [row.body["party"] for row in approvals],
        "under_break_glass": sorted(under),
        "waits_for": [reason for verdict in verdicts for reason in verdict.reasons],
        "entry": published[-1].entry if published else candidate.entry,
    }
