# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A receipt names the nodes of its deployment, and both verifiers check their quotes again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as change_receipt

from bastide.app.revocations import stopped
from bastide.core.errors import Down, Misconfigured
from bastide.core.evidence import refusals
from bastide.core.party import Party
from bastide.core.receipt import Receipt
from bastide.core.snapshot import Served, Snapshot
from bastide.crypto import dsse
from bastide.crypto.base64url import b64url, unb64url
from bastide.ledger.verify import trace_bundle
from bastide.stages import deploy
from unit.attested_fixture import POLICIES, Attested, make_attested, strict_policy
from unit.chain_fixture import make_chain, make_receipt
from unit.node_fixture import (
    EVENT,
    Twin,
    node_body,
    reference_body,
    reference_statement,
)
from unit.two_verifiers import entry_of, read_as_tool, refuse, tool

import verify_node  # isort: skip  (two_verifiers puts tools/ into the path)


@pytest.fixture(params=POLICIES)
def attested(request: pytest.FixtureRequest, tmp_path: Path) -> Attested:
    return make_attested(tmp_path, request.param)


@pytest.mark.attacks("C157")
def test_both_verifiers_say_what_it_proves_and_what_not(attested: Attested) -> None:
    bundle = attested.bundle()
    (node,) = trace_bundle(bundle, attested.chain.anchors).attested
    assert (node.node, node.kind, node.reference) == ("node-1", "tpm2", "machines")
    assert node.what.startswith("software TPM")
    assert any("may say anything" in row for row in node.unchecked)
    (told,) = tool.verify(*read_as_tool(bundle, attested.chain.anchors))["attested"]
    assert told.startswith("node-1: software TPM")
    assert "not checked: who made the TPM" in told
    assert "confidential" not in f"{node}{told}"
    assert Receipt.from_json(bundle["receipt"]).to_json() == bundle["receipt"]


def test_a_receipt_without_nodes_proves_nothing_about_machines(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, receipts=1)
    bundle = chain.bundle(0)
    assert trace_bundle(bundle, chain.anchors).attested == ()
    assert tool.verify(*read_as_tool(bundle, chain.anchors))["attested"] == []


@pytest.mark.attacks("C172")
def test_a_receipt_without_nodes_is_refused_where_the_policy_asks_for_them(tmp_path: Path) -> None:
    # What an operator gets who switches attestation off.
    chain = make_chain(tmp_path, receipts=1, policy=strict_policy())
    refuse(chain.bundle(0), chain.anchors, "entries.deployment: its gates refuse: attested-node")


def test_nothing_is_deployed_before_the_guardian_says_what_a_node_is(tmp_path: Path) -> None:
    chain, twin = make_chain(tmp_path, receipts=1, policy=strict_policy()), Twin()
    world, plan = chain.world, deploy.plan_of(chain.rows["deployment"])
    assert refusals(deploy.judge(world.ledger, plan, world.clock.now_ms())) == (
        "attested-node: the guardian has signed no reference values for nodes",
    )
    assert stopped(world.ledger, chain.rows["deployment"]) != []
    statement = reference_statement(reference_body(twin))
    world.ledger.append_statement(statement, [world.parties[Party.GUARDIAN]])
    assert refusals(deploy.judge(world.ledger, plan, world.clock.now_ms())) == ()


def test_the_nodes_of_all_replicas_stand_behind_an_answer(attested: Attested) -> None:
    other = attested.state(attested.twin, replica=2)
    bundle = attested.bundle(attested.node, other)
    assert len(trace_bundle(bundle, attested.chain.anchors).attested) == 2
    tool.verify(*read_as_tool(bundle, attested.chain.anchors))


def without_nodes(bundle: dict[str, Any]) -> None:
    del bundle["entries"]["nodes"], bundle["entries"]["node_references"]


def without_references(bundle: dict[str, Any]) -> None:
    bundle["entries"]["node_references"] = []


def twice(bundle: dict[str, Any]) -> None:
    bundle["entries"]["nodes"] *= 2


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (without_nodes, "entries.nodes"),
        (without_references, "entries.node_references"),
        (twice, "entries.nodes"),
    ],
)
def test_a_bundle_that_hides_or_adds_nodes_is_refused(
    attested: Attested, change: Callable[[dict[str, Any]], None], place: str
) -> None:
    bundle = attested.bundle()
    change(bundle)
    refuse(bundle, attested.chain.anchors, place)


def test_another_node_in_its_place_is_refused(attested: Attested) -> None:
    other = attested.state(attested.twin)
    bundle = attested.bundle()
    bundle["entries"]["nodes"] = [entry_of(attested.chain, other)]
    refuse(bundle, attested.chain.anchors, "entries.nodes")


# What an operator who holds the services' keys could state.


def test_a_node_that_measured_something_else_is_refused(attested: Attested) -> None:
    attested.twin.measure({**EVENT, "software": "sha256:" + "9" * 64})
    forged = attested.state(attested.twin)
    refuse(attested.bundle(forged), attested.chain.anchors, "entries.nodes[0]: it was not allowed")


@pytest.mark.attacks("C156")
def test_a_machine_that_the_guardian_did_not_list_is_refused(attested: Attested) -> None:
    stranger = Twin(seed=2)
    stranger.measure()
    forged = attested.state(stranger)
    refuse(attested.bundle(forged), attested.chain.anchors, "entries.nodes[0]: it was not allowed")


def test_a_node_of_another_deployment_or_name_is_refused(attested: Attested) -> None:
    for changes in ({"deployment": "sha256:" + "0" * 64}, {"node": "node-2"}):
        forged = attested.state(attested.twin, **changes)
        refuse(attested.bundle(forged), attested.chain.anchors, "entries.nodes[0]: it is about")


def test_a_quote_that_had_expired_is_refused(attested: Attested) -> None:
    bundle = attested.bundle(later_ms=3_600_001)
    refuse(bundle, attested.chain.anchors, "entries.nodes[0]: its quote did not count")


def test_a_quote_for_too_long_is_refused(attested: Attested) -> None:
    now = attested.chain.world.clock.now_ms()
    forged = attested.state(attested.twin, expires_ms=now + 10**9)
    refuse(attested.bundle(forged), attested.chain.anchors, "entries.nodes[0]: it was not allowed")


def test_reference_values_that_came_later_allow_nothing_before(attested: Attested) -> None:
    world = attested.chain.world
    world.clock.advance(1)
    later = reference_statement(reference_body(attested.twin, time_ms=world.clock.now_ms()))
    # Its digest is known before it is appended, so a node can name it too early.
    envelope = dsse.sign(later.payload(), [world.parties[Party.GUARDIAN]])
    early = attested.state(
        attested.twin,
        attestation={"kind": "tpm2", "reference": str(envelope.digest), "nonce": "07" * 32},
    )
    world.ledger.append([envelope])
    refuse(attested.bundle(early), attested.chain.anchors, "entries.nodes[0]: not between")


# The tool reads quotes with code of its own: our door would not let these into a ledger.


def nonce(body: dict[str, Any], twin: Twin) -> None:
    body["attestation"]["nonce"] = "08" * 32


def key(body: dict[str, Any], twin: Twin) -> None:
    body["keys"]["hpke"] = b64url(bytes(32))


def signature(body: dict[str, Any], twin: Twin) -> None:
    quote = unb64url(body["attestation"]["evidence"]["quote"])
    thief = Twin(seed=twin.seed)
    thief.attesting = Twin(seed=9).attesting
    body["attestation"]["evidence"]["signature"] = b64url(thief.sign(quote))


def hidden(body: dict[str, Any], twin: Twin) -> None:
    twin.measure(EVENT, logged=False)
    body.update(node_body(twin))


def resettable(body: dict[str, Any], twin: Twin) -> None:
    other = Twin(register=16)
    other.measure()
    body.update(node_body(other))


def unrestricted(body: dict[str, Any], twin: Twin) -> None:
    other = Twin(attributes=0x00040472)
    other.measure()
    body.update(node_body(other))


def clean(body: dict[str, Any], twin: Twin) -> None:
    body["attestation"]["measured"]["software"] = ["sha256:" + "0" * 64]


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (nonce, "other keys or another nonce"),
        (key, "other keys or another nonce"),
        (signature, "signature does not hold"),
        (hidden, "something else was measured"),
        (resettable, "other registers"),
        (unrestricted, "it signs anything"),
        (clean, "it measured something else"),
    ],
)
def test_the_tool_refuses_a_quote_that_does_not_hold(
    attack: Callable[[dict[str, Any], Twin], None], why: str
) -> None:
    twin = Twin()
    twin.measure()
    body = node_body(twin)
    verify_node.check_quote(body, "here")
    attack(body, twin)
    with pytest.raises(tool.NotProvenError, match=why):
        verify_node.check_quote(body, "here")


@pytest.mark.attacks("C161")
def test_a_model_without_an_attested_node_is_down_where_nodes_must_be() -> None:
    served = Served("demo", "r", "d", "s", "n", "bubblewrap", 1, 64, 0)
    for attested, up in ((None, True), (("sha256:" + "0" * 64,), True), ((), False)):
        snapshot = Snapshot(1, 0, "e", "p", served={"demo": replace(served, attested=attested)})
        if up:
            assert snapshot.serving("demo", "demo").attested == attested
        else:
            with pytest.raises(Down, match="No attested node serves"):
                snapshot.serving("demo", "demo")


def test_a_receipt_of_the_third_form_names_a_node() -> None:
    made = make_receipt(1, "d", "r", "p", 1)
    value = change_receipt(made, attestations=("sha256:" + "0" * 64,), version=3).to_json()
    assert Receipt.from_json(value).attestations == ("sha256:" + "0" * 64,)
    with pytest.raises(Misconfigured, match="attestations: empty"):
        Receipt.from_json({**value, "attestations": []})
    with pytest.raises(Misconfigured, match="attestations: not a list"):
        Receipt.from_json({**value, "attestations": [1]})
    with pytest.raises(Misconfigured, match="unknown or missing"):
        Receipt.from_json({**value, "type": "https://bastide.eu/receipt/v2"})
