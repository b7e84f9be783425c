# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Revocation at the ledger's door: who may stop what, and that nothing lifts it.

To see these tests fail I once broke the code: with `may_revoke` giving every party, the matrix
failed; without `revoked.ended` in `Ledger.approvals`, a revoked approval went on counting; without
`_revoked` in the panel, a revoked release was judged as before.
"""

import itertools

import pytest

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.revocation import MAY_REVOKE, Revocable, key_of
from bastide.core.subject import Digest, Subject
from bastide.stages import deploy, release
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import make_ledger, make_parties

PARTIES = make_parties()
THING = Subject("thing", Digest.of(b"thing"))


def revocation(what: str, subject: Subject = THING, party: str | None = None, **changes):
    body = {"what": what, "party": party, "reason": "test", "time_ms": 1, **changes}
    return Statement("revocation/v1", (subject,), body)


@pytest.fixture
def world(tmp_path):
    made = make_ledger(tmp_path)
    yield made
    made.records.dispose()


@pytest.fixture
def chain(tmp_path):
    made = make_chain(tmp_path)
    yield made
    made.world.records.dispose()


@pytest.mark.attacks("C104")
@pytest.mark.parametrize(("what", "party"), list(itertools.product(Revocable, Party)))
def test_who_may_revoke_what(world, what: Revocable, party: Party) -> None:
    """The whole matrix; whose approval it was is tried with every party."""
    for own in Party if what is Revocable.APPROVAL else (None,):
        statement = revocation(what.value, party=own and own.value, time_ms=1 + len(own or ""))
        if party in MAY_REVOKE[what] or party is own:
            world.ledger.append_statement(statement, [PARTIES[party]])
            assert key_of(statement) in world.ledger.revocations().rows
        else:
            with pytest.raises(NotProven, match="that may revoke it"):
                world.ledger.append_statement(statement, [PARTIES[party]])


def test_no_service_and_no_two_parties_revoke(world) -> None:
    for signers in ([world.signers[Purpose.EVIDENCE]], list(PARTIES.values())[:2]):
        with pytest.raises(NotProven, match="exactly one key"):
            world.ledger.append_statement(revocation("release"), signers)


@pytest.mark.parametrize(
    "changes", [{"what": "world"}, {"what": ["release"]}, {"party": "auditor"}, {"reason": 7}]
)
def test_what_is_malformed_is_refused(world, changes) -> None:
    statement = revocation(**{"what": "release", **changes})
    with pytest.raises((NotProven, Misconfigured)):
        world.ledger.append_statement(statement, [PARTIES[Party.GUARDIAN]])


def test_it_is_of_one_thing_and_one_kind(world) -> None:
    """A firm may revoke releases, so it must not stop a deployment by calling it a release."""
    world.ledger.append_statement(revocation("release"), [PARTIES[Party.FIRM]])
    revoked = world.ledger.revocations()
    assert revoked.reasons(Revocable.RELEASE, THING.digest)
    assert not revoked.reasons(Revocable.DEPLOYMENT, THING.digest)
    assert not revoked.reasons(Revocable.RELEASE, Digest.of(b"another"))


@pytest.mark.attacks("C102")
def test_a_revoked_release_is_judged_as_such(chain: ChainWorld) -> None:
    ledger, candidate = chain.world.ledger, chain.rows["candidate"]
    plan = deploy.plan_of(chain.rows["deployment"])
    assert not [row for row in release.judge(ledger, candidate) if not row.passed]
    guardian = chain.world.parties[Party.GUARDIAN]
    ledger.append_statement(revocation("release", candidate.subject), [guardian])
    for verdicts in (
        release.judge(ledger, candidate),
        deploy.judge(ledger, plan, chain.world.clock.now_ms()),
    ):
        (failed,) = [row for row in verdicts if not row.passed]
        assert failed.gate == "revocation"
        assert "was revoked in entry" in failed.reasons[0]


@pytest.mark.attacks("C104")
def test_a_revoked_approval_counts_no_more(chain: ChainWorld) -> None:
    ledger, candidate = chain.world.ledger, chain.rows["candidate"]
    given = ledger.approvals(candidate.subject.digest)
    (firm,) = [row for row in given if row.body["party"] == "firm"]
    subject = Subject(firm.subject.name, firm.digest)
    operator = chain.world.parties[Party.OPERATOR]
    # The operator says that the approval was its own, and may then sign: it ends nothing.
    ledger.append_statement(revocation("approval", subject, "operator"), [operator])
    assert ledger.approvals(candidate.subject.digest) == given
    # Nor does it stand in the way of who may.
    signer = chain.world.parties[Party.FIRM]
    ledger.append_statement(revocation("approval", subject, "firm"), [signer])
    assert firm not in ledger.approvals(candidate.subject.digest)
    failed = [row.gate for row in release.judge(ledger, candidate) if not row.passed]
    assert failed == ["approvals"]
