# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A client refuses what it cannot prove: each attack, and the reason that it is told.

To see these tests fail I once broke the code: inclusion, consistency, the witnesses and their time,
the chain of a release, each revocation, the quote's judgement and its end were left out alone, and
the test of each failed.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.witness.sqlite import WitnessMemory
from bastide.app import sealed_nodes
from bastide.app.cosigning import Cosigning
from bastide.app.sealed_nodes import NodeTeller
from bastide.app.witness import Witness
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven, Unavailable
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import COSIGN_AGAIN_S, SEALED_HEAD_AGE_S
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, note
from bastide.crypto.base64url import b64url
from bastide.crypto.cosignature import CosignerKey, with_cosignatures
from bastide.ledger.bundle import export_anchors
from bastide.ledger.cosigned import CosignedHeads
from bastide.ledger.node_bundle import export_nodes
from bastide.ledger.verify_nodes import Head, Nodes, Trust, trace_nodes
from unit.attested_fixture import POLICIES, Attested, make_attested
from unit.node_fixture import Twin, reference_body, reference_statement

WITNESSES = {
    party: CosignerKey.from_seeds(f"{party}.example/w1", bytes([n]) * 32, bytes([n + 8]) * 32)
    for n, party in enumerate(("firm", "guardian"), 1)
}


class Told:
    """An environment, and what its operator tells a client."""

    def __init__(self, made: Attested) -> None:
        self.made = made
        self.world = made.chain.world
        self.ledger = self.world.ledger
        self.heads = CosignedHeads(self.world.records)
        for party in WITNESSES:
            self._enrol(party)

    def _enrol(self, party: str) -> None:
        public = WITNESSES[party].public
        body = {
            "party": party, "keys": public.vkeys(),
            "time_ms": self.world.clock.now_ms(),
        }  # fmt: skip
        subject = Subject(party, Digest.of(canonical({"witness": party})))
        self.sign(Statement("witness/v1", (subject,), body), Party(party))

    def sign(self, statement: Statement, *parties: Party) -> Evidence:
        signers = [self.world.parties[party] for party in parties]
        envelope = dsse.sign(statement.payload(), signers)
        self.ledger.append([envelope])
        return self.ledger.by_digest(envelope.digest)

    def cosign(self, *parties: str, time_s: int | None = None) -> None:
        head = self.ledger.checkpoint()
        text = head.partition("\n\n")[0] + "\n"
        when = self.world.clock.now_ms() // 1000 if time_s is None else time_s
        lines = "".join(WITNESSES[party].cosign(text, when) for party in parties)
        self.heads.put(self.ledger.size, with_cosignatures(head, "", lines))

    def bundle(self, *nodes: Evidence, since: int = 0) -> dict[str, Any]:
        if not self.heads.all():
            self.cosign(*WITNESSES)
        told = export_nodes(self.ledger, nodes or (self.made.node,), self.heads.newest(), since)
        return copy.deepcopy(json.loads(json.dumps(told)))

    def verify(self, bundle: Any, seen: Head | None = None, **trust: int) -> Nodes:
        now_ms = self.world.clock.now_ms()
        return trace_nodes(bundle, export_anchors(self.ledger), Trust(**trust), seen, now_ms)

    def reasons(self, bundle: Any, **trust: int) -> str:
        found = self.verify(bundle, **trust)
        assert not found.nodes and found.refused
        return "; ".join(text for row in found.refused.values() for text in row)


@pytest.fixture(params=POLICIES)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    return Told(make_attested(tmp_path, request.param))


def test_a_node_that_holds_is_told_with_what_it_serves(told: Told) -> None:
    found = told.verify(told.bundle())
    (node,) = found.nodes
    assert not found.refused and sorted(found.witnessed) == ["firm", "guardian"]
    assert b64url(node.hpke) == told.made.node.body["keys"]["hpke"]
    assert node.deployment == str(told.made.chain.rows["deployment"].subject.digest)
    assert node.said.unchecked


@pytest.mark.attacks("C228")
def test_a_node_that_is_not_in_the_log_is_refused(told: Told) -> None:
    """The operator signs a statement with the evidence key, and shows it without appending it."""
    bundle = told.bundle()
    body = copy.deepcopy(told.made.node.body)
    body["keys"]["hpke"] = b64url(b"e" * 32)
    statement = Statement("node/v1", told.made.node.statement.subjects, body)
    forged = dsse.sign(statement.payload(), [told.world.signers[Purpose.EVIDENCE]])
    bundle["nodes"][0]["envelope"] = forged.to_json()
    with pytest.raises(NotProven, match=r"nodes\[0\].proof"):
        told.verify(bundle)


@pytest.mark.attacks("C228")
def test_a_key_that_the_hardware_did_not_quote_is_refused(told: Told) -> None:
    """The same with the ledger's help: what is logged must hold all the same."""
    body = copy.deepcopy(told.made.node.body)
    body["keys"]["hpke"] = b64url(b"e" * 32)
    statement = Statement("node/v1", told.made.node.statement.subjects, body)
    try:
        row = told.ledger.append_statement(statement, [told.world.signers[Purpose.EVIDENCE]])
    except NotProven as error:
        assert "quote" in error.message or "other keys" in error.message  # the door refuses it
    else:
        assert "other keys" in told.reasons(told.bundle(row))


@pytest.mark.attacks("C228")
def test_software_that_the_guardian_did_not_allow_is_refused(told: Told) -> None:
    """Reference values of the same name that name another software replace what allowed it."""
    other = {**reference_body(told.made.twin), "time_ms": told.world.clock.now_ms()}
    other["name"] = told.made.reference.body["name"]
    other["measured"] = {**other["measured"], "software": [f"sha256:{'d' * 64}"]}
    told.sign(reference_statement(other), Party.GUARDIAN)
    told.cosign(*WITNESSES)
    assert "software" in told.reasons(told.bundle())


def test_a_machine_that_the_guardian_did_not_list_is_refused(told: Told) -> None:
    stranger = Twin(seed=2)
    stranger.measure()
    try:
        row = told.made.state(stranger)
    except NotProven:
        return  # the ledger's own door refuses it
    told.cosign(*WITNESSES)
    assert told.reasons(told.bundle(row))


@pytest.mark.attacks("C228")
def test_an_expired_quote_is_refused(told: Told) -> None:
    bundle = told.bundle()
    told.world.clock.advance(3_600_001)
    assert "its quote has expired" in told.reasons(bundle, head_age_s=86_400)


@pytest.mark.attacks("C229")
def test_a_revoked_machine_is_refused(told: Told) -> None:
    subject = told.made.node.subject
    told.sign(_revocation(told, "node", subject), Party.GUARDIAN)
    told.cosign(*WITNESSES)
    assert "was revoked in entry" in told.reasons(told.bundle())


@pytest.mark.attacks("C229")
@pytest.mark.parametrize(("what", "row"), [("release", "release"), ("deployment", "deployment")])
def test_a_revoked_release_is_refused(told: Told, what: str, row: str) -> None:
    subject = told.made.chain.rows[row].subject
    told.sign(_revocation(told, what, subject), Party.GUARDIAN)
    told.cosign(*WITNESSES)
    assert "was revoked in entry" in told.reasons(told.bundle())


@pytest.mark.attacks("C229")
@pytest.mark.parametrize("name", ["approvals", "deployment_approvals"])
def test_a_release_that_lacks_an_approval_is_refused(told: Told, name: str) -> None:
    bundle = told.bundle()
    bundle["deployments"][0][name].pop()
    assert "not the approvals that the" in told.reasons(bundle)


def test_another_release_is_refused(told: Told) -> None:
    bundle = told.bundle()
    row = bundle["deployments"][0]
    row["release"] = row["candidate"]
    with pytest.raises(NotProven, match="release: not release/v1 but candidate/v1"):
        told.verify(bundle)


@pytest.mark.attacks("C230")
@pytest.mark.parametrize("parties", [(), ("firm",), ("guardian",)])
def test_too_few_witnesses_are_refused(told: Told, parties: tuple[str, ...]) -> None:
    if parties:
        told.cosign(*parties)
        bundle = told.bundle()
    else:
        bundle = told.bundle()
        head = bundle["checkpoint"].split("\n")
        kept = [line for line in head if not any(key.name in line for key in WITNESSES.values())]
        bundle["checkpoint"] = "\n".join(kept)
    with pytest.raises(NotProven, match=f"of {len(parties)} parties cosigned"):
        told.verify(bundle)
    assert told.verify(bundle, witnesses=len(parties)).nodes


def test_what_is_told_has_the_cosignatures_and_the_nodes_of_now(told: Told) -> None:
    """A head gets more cosignatures without growing; a revocation counts before it is under one."""
    teller = NodeTeller(told.ledger, told.heads, told.world.clock)

    def heard() -> Any:
        return json.loads(teller.tell({"since": 0}))

    told.cosign("firm")
    with pytest.raises(NotProven, match="of 1 parties cosigned"):
        told.verify(heard())
    told.cosign(*WITNESSES)
    assert told.verify(heard()).nodes
    told.sign(_revocation(told, "node", told.made.node.subject), Party.GUARDIAN)
    assert heard()["nodes"] == []


@pytest.mark.attacks("C283")
def test_what_a_client_says_that_it_saw_costs_no_new_bundle(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client chooses `since`: each number gets its own proof, under one bundle made once."""
    teller, made = NodeTeller(told.ledger, told.heads, told.world.clock), []

    def counted(*given: Any) -> dict[str, Any]:
        made.append(given)
        return export_nodes(*given)

    monkeypatch.setattr(sealed_nodes, "export_nodes", counted)
    told.cosign(*WITNESSES)
    for since in (0, 1, 2, told.ledger.size - 1, told.ledger.size, 10**9):
        heard = json.loads(teller.tell({"since": since}))
        assert heard == told.bundle(since=since)
    assert len(made) == 1
    told.cosign(*WITNESSES, time_s=told.world.clock.now_ms() // 1000 + 1)
    teller.tell({"since": 1})
    assert len(made) == 2
    for wrong in (-1, True, 1.0, "1", None):
        with pytest.raises(Misconfigured, match="since is no count"):
            teller.tell({"since": wrong})


@pytest.mark.attacks("C230")
def test_a_head_that_was_cosigned_long_ago_is_refused(told: Told) -> None:
    """A log that is held back for one client, so that it does not learn of a revocation."""
    now_s = told.world.clock.now_ms() // 1000
    told.cosign(*WITNESSES, time_s=now_s - 90_000)
    with pytest.raises(NotProven, match="of 0 parties cosigned the head within 1800 s") as error:
        told.verify(told.bundle())
    assert "cosigned it too long ago" in "".join(error.value.reasons)
    told.cosign(*WITNESSES, time_s=now_s + 9_000)
    with pytest.raises(NotProven, match="of 0 parties"):
        told.verify(told.bundle())


@pytest.mark.attacks("C247")
def test_an_operator_who_withholds_new_heads_has_half_an_hour(told: Told) -> None:
    """What it shows is true, signed and cosigned, and of before the machine was revoked."""
    withheld = told.bundle()
    told.world.clock.advance(1_000)
    told.sign(_revocation(told, "node", told.made.node.subject), Party.GUARDIAN)
    told.cosign(*WITNESSES)
    assert told.verify(withheld).nodes, "it is too young to tell"
    told.world.clock.advance(1_000 * SEALED_HEAD_AGE_S)
    with pytest.raises(NotProven, match="of 0 parties cosigned the head within 1800 s"):
        told.verify(withheld)
    # Who asks for less has less to wait, and an honest operator shows what it may no longer hide.
    told.cosign(*WITNESSES)
    assert "was revoked in entry" in told.reasons(told.bundle())
    told.world.clock.advance(61_000)
    with pytest.raises(NotProven, match="of 0 parties cosigned the head within 60 s"):
        told.verify(told.bundle(), head_age_s=60)


@pytest.mark.attacks("C247")
def test_a_log_in_which_nothing_happens_is_cosigned_again(told: Told, tmp_path: Path) -> None:
    """Else no head would be young enough for a client. Real witnesses, one of them away first."""
    clock, away, asked = told.world.clock, {"guardian"}, list[str]()
    origin = export_anchors(told.ledger)["origin"]
    vkey = note.verifier_key(origin, told.world.signers[Purpose.LEDGER].public)
    witnesses = {}
    for party, key in WITNESSES.items():
        memory = WitnessMemory(tmp_path / party)
        memory.watch(origin, [vkey])
        witnesses[party] = Witness(key, memory, clock)

    def post(url: str, body: bytes) -> tuple[int, bytes]:
        party, _, path = url.partition("/")
        asked.append(party)
        if party in away:
            raise Unavailable("it is away")
        answer = witnesses[party].answer("POST", f"/{path}", body)
        return answer.status, answer.text.encode()

    cosigning = Cosigning(told.ledger, told.heads, {name: name for name in WITNESSES}, post, clock)

    def rounds() -> list[str]:
        asked.clear()
        cosigning.round()
        return sorted(set(asked))

    assert rounds() == ["firm", "guardian"] and rounds() == ["guardian"]
    away.clear()
    assert rounds() == ["guardian"] and rounds() == [] and told.verify(told.bundle()).nodes
    for _ in range(5):
        clock.advance(round(1_000 * COSIGN_AGAIN_S))
        assert rounds() == ["firm", "guardian"] and rounds() == []
    assert set(told.verify(told.bundle(), head_age_s=60).witnessed) == set(WITNESSES)
    assert not cosigning.problems


@pytest.mark.attacks("C230")
def test_a_forked_and_a_rolled_back_log_are_refused(told: Told) -> None:
    first = told.verify(told.bundle()).head
    told.world.clock.advance(1000)
    told.sign(_revocation(told, "release", Subject("x", Digest.of(b"x"))), Party.GUARDIAN)
    told.cosign(*WITNESSES)
    grown = told.bundle(since=first.size)
    second = told.verify(grown, first).head
    assert second.size > first.size
    forked = replace(first, root="ab" * 32)
    with pytest.raises(NotProven, match="another history than before: it was forked"):
        told.verify(grown, forked)
    with pytest.raises(NotProven, match="another history than before: it was forked"):
        told.verify(grown, replace(second, root="ab" * 32))
    with pytest.raises(NotProven, match="it was rolled back"):
        told.verify(grown, replace(second, size=second.size + 1))
    with pytest.raises(NotProven, match="and this client knows"):
        told.verify(grown, replace(first, origin="else"))
    without = {**grown, "consistency": []}
    with pytest.raises(NotProven, match="it was forked"):
        told.verify(without, first)


@pytest.mark.parametrize(
    "deed",
    [
        lambda row: row.pop("revocations"),
        lambda row: row.update(more=1),
        lambda row: row.update(type="x"),
        lambda row: row["nodes"][0].update(index=0),
        lambda row: row["nodes"].append(row["charter"]),
        lambda row: row.update(checkpoint=row["checkpoint"].replace("\n", "\n\n", 1)),
        lambda row: row["charter"]["envelope"].update(payload="AAAA"),
        lambda row: row["deployments"][0].pop("admission"),
        lambda row: row.update(nodes={}),
    ],
)
def test_a_damaged_bundle_is_refused(told: Told, deed: Callable[[dict[str, Any]], None]) -> None:
    bundle = told.bundle()
    deed(bundle)
    with pytest.raises(NotProven):
        told.verify(bundle)


def test_what_is_no_bundle_is_refused(told: Told) -> None:
    for value in (None, [], {}, "x", 1):
        with pytest.raises(NotProven):
            told.verify(value)


def test_keys_of_another_environment_are_refused(told: Told, tmp_path: Path) -> None:
    anchors = export_anchors(told.ledger)
    anchors["charter"] = "sha256:" + "0" * 64
    with pytest.raises(NotProven, match="it is not the charter of"):
        trace_nodes(told.bundle(), anchors, Trust(), None, told.world.clock.now_ms())


def _revocation(told: Told, what: str, subject: Subject) -> Statement:
    body = {
        "what": what, "reason": "stolen", "party": None, "time_ms": told.world.clock.now_ms(),
    }  # fmt: skip
    return Statement("revocation/v1", (subject,), body)
