# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about revocation: a party stops a release, a deployment, a node and the like.

A party signs here, or on a machine of its own, and the signed file is carried over. Services take
it up by themselves: the next snapshot (within POLL_S of control) serves what is stopped no more,
gateways cut the answers that run, and the supervisor ends the runner.
"""

from bastide.app import denials
from bastide.app.duties import require
from bastide.app.enrolment import read_draft
from bastide.app.environment import Environment
from bastide.app.machines import Machines
from bastide.app.nodes import find_node, revoked
from bastide.app.releases import find_candidate
from bastide.core.errors import NotAllowed, NotFound, Refused
from bastide.core.evidence import Evidence, Statement, refusals
from bastide.core.revocation import Revocable, key_of, may_revoke
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, x509
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger import Ledger, statements
from bastide.ports import Clock
from bastide.stages import deploy, release

__all__ = [
    "certificate_digest",
    "find_revocable",
    "import_revocation",
    "revocation",
    "revoke_here",
    "sign",
    "stopped",
]


_CERTIFICATE = "certificate"


def stopped(ledger: Ledger, running: Evidence) -> list[str]:
    """Why a deployment in service may serve no more: its gates, and its release's, judged anew.

    Empty if it may. So what is revoked, or rests on an approval or a key that counts no more, is
    out of service as soon as somebody asks.
    """
    wanted = deploy.plan_of(running)
    released = deploy.find_release(ledger, wanted.release)
    if released is None:
        return [f"no release has the digest {wanted.release}"]
    try:
        candidate = ledger.by_digest(Digest.parse(released.body["candidate"]))
    except NotFound as error:
        return [error.message]
    verdicts = [
        *release.judge(ledger, candidate),
        *deploy.judge(ledger, wanted, running.body["time_ms"]),
    ]
    # Both gates name a revoked release, and every replica its machine.
    gone = Machines(ledger).reasons_against(wanted.machine) if wanted.machine else []
    denied = denials.reasons_against(ledger, running.subject.digest)
    reasons = [*refusals(verdicts), *_revoked_nodes(ledger, running), *gone, *denied]
    return list(dict.fromkeys(reasons))


def recalled(ledger: Ledger, ended: Evidence) -> list[str]:
    """Why answers of a deployment that has ended must not come to their end.

    It was revoked, what it opened is denied, or its release's gates refuse. Its own approval counts
    no more since it has ended, and is not asked for.
    """
    revoked = ledger.revocations().reasons(Revocable.DEPLOYMENT, ended.subject.digest)
    if revoked or (revoked := denials.reasons_against(ledger, ended.subject.digest)):
        return revoked
    released = deploy.find_release(ledger, deploy.plan_of(ended).release)
    if released is None:
        return ["there is no such release"]
    candidate = ledger.by_digest(Digest.parse(released.body["candidate"]))
    return list(refusals(release.judge(ledger, candidate)))


def _revoked_nodes(ledger: Ledger, running: Evidence) -> list[str]:
    """Why machines that serve a deployment may not; those from before it was deployed are past."""
    digest, since = str(running.subject.digest), running.entry or 0
    rows = [row for row in ledger.find("node/v1") if row.body["deployment"] == digest]
    newest = {row.body["replica"]: row.body for row in rows if (row.entry or 0) > since}
    return [reason for body in newest.values() for reason in revoked(ledger, body)]


def find_revocable(env: Environment, what: Revocable, name: str) -> tuple[Subject, str | None]:
    """The thing of a name or digest; for an approval, also the party that gave it.

    A certificate has no name in the ledger: it could be a person's. Raises NotFound.
    """
    require(env, "read")
    match what:
        case Revocable.RELEASE:
            return find_candidate(env, name).subject, None
        case Revocable.DEPLOYMENT:
            rows = env.ledger.deployments(active=False)
        case Revocable.DATASET:
            rows = env.ledger.find("dataset-release/v1")
        case Revocable.APPROVAL:
            row = env.ledger.by_digest(Digest.parse(name))
            if row.kind != "approval/v1":
                raise NotFound(f"{name} is a {row.kind}, not an approval")
            return Subject(row.subject.name, row.digest), row.body["party"]
        case Revocable.NODE:
            return find_node(env.ledger, name).subject, None
        case Revocable.CERTIFICATE:
            return Subject(_CERTIFICATE, Digest.parse(name)), None
    for row in reversed(rows):
        if name in (row.subject.name, str(row.subject.digest)):
            return row.subject, None
    raise NotFound(f"there is no {what} {name!r}")


def certificate_digest(pem: str) -> Digest:
    """What a client's certificate, or one authority's, is revoked by. Raises Misconfigured."""
    return x509.only_certificate(pem)


def revocation(
    what: Revocable, subject: Subject, party: str | None, reason: str, clock: Clock
) -> Statement:
    """The statement whose signature is the revocation. `party`: whose approval it was, or None."""
    body = {"what": what.value, "party": party, "reason": reason, "time_ms": clock.now_ms()}
    return Statement("revocation/v1", (subject,), body)


def sign(statement: Statement, signer: Signer) -> Envelope:
    """Sign a revocation with a party's key. Raises NotAllowed if that party may not revoke it."""
    may = may_revoke(statement.body)
    if signer.public.party is not None and signer.public.party not in may:
        raise NotAllowed(
            f"a {statement.body['what']} is revoked by {' or '.join(sorted(may))},"
            f" not by {signer.public.party}"
        )
    return dsse.sign(statement.payload(), [signer])


def revoke_here(env: Environment, statement: Statement, signer: Signer | None) -> Evidence:
    """Sign with the given key, or under `solo` with one that is held, and append.

    Raises NotAllowed if no key of a party that may revoke it is at hand.
    """
    require(env, "revoke")
    held = env.parties_at_hand(signer)
    may = may_revoke(statement.body)
    for party, one in held.items():
        if party.value in may or signer is not None:
            return _append(env.ledger, sign(statement, one))
    raise NotAllowed(
        f"a {statement.body['what']} is revoked by {' or '.join(sorted(may))}",
        fix="give the key of one of them: --key FILE",
    )


def import_revocation(env: Environment, text: str) -> Evidence:
    """Append a revocation that was signed elsewhere. Raises Misconfigured or NotProven."""
    require(env, "revoke")
    return _append(env.ledger, read_draft(text)[0])


def _append(ledger: Ledger, envelope: Envelope) -> Evidence:
    """The same thing revoked twice is one revocation: the first, whoever signed it."""
    signed = statements.read_signed(envelope, ledger.keys()).evidence
    if signed.kind != "revocation/v1":
        raise Refused(f"not a revocation but {signed.kind}")
    known = ledger.revocations().rows.get(key_of(signed.statement))
    if known is not None:
        return known
    ledger.append([envelope])
    return ledger.by_digest(envelope.digest)
