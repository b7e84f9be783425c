# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A quote proves what it is about and nothing else; each attack is refused for its own reason."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.canonical import canonical
from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.reference import Reference
from bastide.core.revocation import Revocable
from bastide.core.subject import Digest
from bastide.crypto import age, dsse, tpm
from bastide.crypto.attestation import judge_node, said_of, verify_evidence
from bastide.crypto.base64url import b64url, unb64url
from bastide.crypto.node_quote import binding
from unit.ledger_fixture import make_ledger
from unit.node_fixture import (
    EVENT,
    SOFTWARE,
    Twin,
    node_body,
    node_statement,
    reference_body,
    reference_statement,
    with_evidence,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "tpm"


def vector(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


def measured(**changes: Any) -> Twin:
    twin = Twin(**changes)
    twin.measure()
    return twin


# What a TPM made


def test_the_quote_of_a_tpm_is_read_and_its_signature_holds() -> None:
    attesting, endorsing = (tpm.read_public(vector(f"{n}.pub"), n) for n in ("ak", "ek"))
    assert attesting.name == vector("ak.name")
    endorsing.verify_endorsing()
    quote = tpm.read_quote(vector("quote.msg"))
    assert quote.qualifying == hashlib.sha256(b"y").digest()
    assert quote.registers == (0, 1, 2, 3, 4, 5, 6, 7, 14)
    assert quote.digest == hashlib.sha256(vector("quote.pcrs")).digest()
    held = vector("quote.pcrs")[-32:]
    once = tpm.extend(bytes(32), hashlib.sha256(b"x").digest())
    assert held == tpm.extend(once, hashlib.sha256(b"x").digest())
    tpm.verify_quote_signature(attesting, vector("quote.msg"), vector("quote.sig"))


def test_a_changed_quote_of_a_tpm_is_refused() -> None:
    attesting = tpm.read_public(vector("ak.pub"), "ak")
    changed = bytearray(vector("quote.msg"))
    changed[-1] ^= 1
    with pytest.raises(NotProven, match="signature is not by the attestation key"):
        tpm.verify_quote_signature(attesting, bytes(changed), vector("quote.sig"))


@pytest.mark.parametrize("name", ["ak.pub", "ek.pub", "quote.msg", "quote.sig"])
def test_a_structure_that_is_cut_anywhere_is_refused(name: str) -> None:
    whole = vector(name)
    for length in range(len(whole)):
        with pytest.raises(NotProven):
            _read(name, whole[:length])
    with pytest.raises(NotProven):
        _read(name, whole + b"\0")


def _read(name: str, data: bytes) -> object:
    if name.endswith(".pub"):
        return tpm.read_public(data, name)
    if name == "quote.msg":
        return tpm.read_quote(data)
    attesting = tpm.read_public(vector("ak.pub"), "ak")
    return tpm.verify_quote_signature(attesting, vector("quote.msg"), data)


@given(st.sampled_from(["ak.pub", "ek.pub", "quote.msg", "quote.sig"]), st.data())
def test_no_bytes_raise_anything_else(name: str, data: st.DataObject) -> None:
    mutant = bytearray(vector(name))
    for _ in range(data.draw(st.integers(1, 4))):
        mutant[data.draw(st.integers(0, len(mutant) - 1))] = data.draw(st.integers(0, 255))
    try:
        _read(name, bytes(mutant))
    except BastideError as error:
        assert isinstance(error, NotProven)


def test_a_key_that_signs_what_its_tpm_did_not_make_attests_nothing() -> None:
    # Without `restricted` a TPM signs any digest, also that of a quote that somebody wrote.
    unrestricted = measured(attributes=0x00050472 & ~(1 << 16))
    with pytest.raises(NotProven, match="not a restricted P-256 signing key"):
        verify_evidence(node_body(unrestricted))


def test_a_structure_that_no_tpm_made_is_no_quote() -> None:
    twin = measured()
    body = node_body(twin)
    quote, _, values = twin.quote(binding(body))
    forged = b"\xfeTCG" + quote[4:]
    with pytest.raises(NotProven, match="not made by a TPM"):
        verify_evidence(with_evidence(body, twin, forged, twin.sign(forged), values))


# Attacks on the evidence of a node


def test_an_honest_node_is_allowed() -> None:
    twin = measured()
    assert judge_node(node_body(twin), reference_body(twin)) == []


def test_a_replayed_quote_is_refused() -> None:
    # The attacker has an old quote of an honest node, and answers another nonce with it.
    twin = measured()
    body = node_body(twin)
    replayed = {**body, "attestation": {**body["attestation"], "nonce": "08" * 32}}
    with pytest.raises(NotProven, match="another node or another nonce"):
        verify_evidence(replayed)


@pytest.mark.attacks("C141")
@pytest.mark.parametrize("name", ["age", "hpke"])
def test_a_swapped_key_is_refused(name: str) -> None:
    # The attacker puts a key of its own into an honest node's statement.
    twin = measured()
    thief = str(age.X25519Identity(bytes(32)).recipient())
    other = {"age": thief, "hpke": b64url(bytes(32))}[name]
    body = node_body(twin)
    with pytest.raises(NotProven, match="it is about other keys"):
        verify_evidence({**body, "keys": {**body["keys"], name: other}})


def test_a_quote_of_another_attestation_key_is_refused() -> None:
    twin, thief = measured(), measured(seed=1)
    thief.attesting = Twin(seed=2).attesting
    body = node_body(twin)
    quote, _, values = twin.quote(binding(body))
    with pytest.raises(NotProven, match="signature is not by the attestation key"):
        verify_evidence(with_evidence(body, twin, quote, thief.sign(quote), values))


@pytest.mark.attacks("C146")
def test_an_extra_measurement_that_the_log_hides_is_refused() -> None:
    twin = measured()
    twin.measure({**EVENT, "software": "sha256:" + "9" * 64}, logged=False)
    with pytest.raises(NotProven, match="register 14: it holds other measurements"):
        verify_evidence(node_body(twin))


@pytest.mark.attacks("C147")
def test_an_extra_measurement_that_the_log_tells_is_refused_by_its_name() -> None:
    twin = measured()
    strange = "sha256:" + "9" * 64
    twin.measure({**EVENT, "software": strange})
    body = node_body(twin)
    assert judge_node(body, reference_body(twin)) == [f"software: {strange} is not in machines"]
    # Measuring the right software again does not heal the register.
    twin.measure()
    assert judge_node(node_body(twin), reference_body(twin)) == [
        f"software: {strange} is not in machines"
    ]


def test_values_that_were_not_quoted_are_refused() -> None:
    twin, clean = Twin(), measured()
    twin.measure({**EVENT, "software": "sha256:" + "9" * 64})
    body = node_body(clean)
    quote, signature, _ = twin.quote(binding(body))
    _, _, values = clean.quote(binding(body))
    with pytest.raises(NotProven, match="registers: not the values that were quoted"):
        verify_evidence(with_evidence(body, clean, quote, signature, values))


@pytest.mark.attacks("C148")
@pytest.mark.parametrize("register", [16, 23])
def test_a_register_that_software_can_reset_is_refused(register: int) -> None:
    with pytest.raises(NotProven, match="not of 0 to 7 and one of 8 to 15"):
        verify_evidence(node_body(measured(register=register)))


def test_a_quote_that_leaves_out_the_boot_is_refused() -> None:
    twin = measured()
    body = node_body(twin)
    quote, signature, _ = twin.quote(binding(body), registers=(0, 14))
    with pytest.raises(NotProven, match="not of 0 to 7 and one of 8 to 15"):
        verify_evidence(with_evidence(body, twin, quote, signature, bytes(64)))


@pytest.mark.parametrize("name", ["identity", "key", "measured"])
def test_a_statement_that_says_more_than_its_evidence_is_refused(name: str) -> None:
    twin = measured()
    body = node_body(twin)
    other = {"measured": {"software": [SOFTWARE]}}.get(name, "sha256:" + "0" * 64)
    with pytest.raises(NotProven, match=f"attestation.{name}: not what the evidence says"):
        verify_evidence({**body, "attestation": {**body["attestation"], name: other}})


def _event_log(change: Callable[[bytes], bytes]) -> dict[str, Any]:
    body = node_body(measured())
    evidence = dict(body["attestation"]["evidence"])
    evidence["events"] = b64url(change(unb64url(evidence["events"])))
    return {**body, "attestation": {**body["attestation"], "evidence": evidence}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda log: log + b" ", "not canonical"),
        (lambda log: b"[", "not JSON"),
        (lambda log: b"[" * 100_000, "not JSON"),
        (lambda log: b"[]", "not a list of 1"),
        (lambda log: b'[{"software":"x"}]', "not measurements"),
        (lambda log: canonical([EVENT] * 257), "not a list of 1 to 256"),
    ],
)
def test_an_event_log_that_is_none_is_refused(change: Callable[[bytes], bytes], why: str) -> None:
    with pytest.raises(NotProven, match=why):
        verify_evidence(_event_log(change))


# Reference values


def test_another_machine_is_refused() -> None:
    known, stranger = measured(), measured(seed=2)
    reasons = judge_node(node_body(stranger), reference_body(known))
    assert reasons == [f"identity: {stranger.identity} is not in machines"]


def test_every_reason_is_told_at_once() -> None:
    twin, stranger = measured(), Twin(seed=2)
    stranger.measure(dict.fromkeys(EVENT, "sha256:" + "9" * 64))
    reference = reference_body(twin, valid_s=600)
    reference["measured"]["pcr7"] = ["ab" * 32]
    reasons = judge_node(node_body(stranger), reference)
    told = {reason.partition(":")[0] for reason in reasons}
    assert told == {"identity", "software", "engine", "sandbox", "pcr7", "expires_ms"}


def test_what_was_not_measured_is_refused() -> None:
    twin = measured()
    reference = reference_body(twin)
    reference["measured"]["ima"] = ["x"]
    reference["minimum"] = {"tcb": 3}
    assert judge_node(node_body(twin), reference) == [
        "ima: not measured, and machines asks for it",
        "tcb: not measured, below 3",
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "magic"}, "kind"),
        ({"identities": []}, "identities: empty"),
        ({"measured": {}}, "no value for software, engine, sandbox"),
        ({"measured": {"software": [], "engine": ["a"], "sandbox": ["b"]}}, "for software"),
        ({"measured": {"software": ["x" * 300]}}, "not a short text"),
        ({"identities": ["x"] * 600}, "over 512"),
        ({"valid_s": 0}, "valid_s"),
        ({"valid_s": 10**9}, "valid_s"),
        ({"minimum": {"tcb": -1}}, "minimum.tcb"),
        ({"more": 1}, "unknown or missing"),
    ],
)
def test_reference_values_that_name_nothing_are_none(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        Reference.from_json(reference_body(Twin(), **changes))


def test_what_is_said_never_says_more_than_was_checked() -> None:
    said = said_of(Reference.from_json(reference_body(Twin())))
    assert "software TPM" in said.what
    assert any("may say anything" in row for row in said.unchecked)
    assert any("pcr0" in row for row in said.unchecked)
    assert "confidential" not in " ".join([said.what, *said.checked, *said.unchecked])
    with_boot = reference_body(Twin())
    with_boot["measured"] |= {f"pcr{n}": ["00" * 32] for n in range(8)}
    said = said_of(Reference.from_json(with_boot))
    assert any("pcr0, pcr1" in row for row in said.checked)
    assert not any("pcr0" in row for row in said.unchecked)


# The ledger's door


@pytest.mark.attacks("C150")
def test_only_the_guardian_signs_reference_values(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    statement = reference_statement(reference_body(Twin()))
    for signer in (world.parties[Party.OPERATOR], world.parties[Party.FIRM]):
        with pytest.raises(NotProven, match="exactly one key of the guardian"):
            world.ledger.append_statement(statement, [signer])
    with pytest.raises(NotProven, match="exactly one key of the guardian"):
        world.ledger.append_statement(statement, [world.signers[Purpose.EVIDENCE]])
    unsigned = dsse.sign(statement.payload(), [])
    with pytest.raises(NotProven):
        world.ledger.append([unsigned])
    row = world.ledger.append_statement(statement, [world.parties[Party.GUARDIAN]])
    assert world.ledger.by_digest(row.digest).body["name"] == "machines"


def test_a_node_whose_quote_does_not_hold_is_no_statement(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    twin = measured()
    body = node_body(twin)
    evidence = [world.signers[Purpose.EVIDENCE]]
    forged = {**body, "keys": {**body["keys"], "hpke": b64url(bytes(32))}}
    with pytest.raises(NotProven, match="it is about other keys"):
        world.ledger.append_statement(node_statement(forged), evidence)
    world.ledger.append_statement(node_statement(body), evidence)
    world.ledger.audit()


def test_a_party_writes_no_node(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    with pytest.raises(NotProven, match="the evidence key alone"):
        world.ledger.append_statement(
            node_statement(node_body(measured())), [world.parties[Party.OPERATOR]]
        )


def test_a_revocation_is_of_the_machine_not_of_a_key() -> None:
    twin, later = measured(), measured()
    later.attesting = Twin(seed=5).attesting
    first, second = (node_statement(node_body(row)).subjects[0].digest for row in (twin, later))
    assert first == second == Digest.of(canonical({"node": twin.identity}))
    assert Revocable.NODE == "node"


def test_a_credential_has_the_form_that_a_tpm_takes() -> None:
    endorsing = tpm.read_public(vector("ek.pub"), "ek")
    made = tpm.make_credential(endorsing, vector("ak.name"), bytes(32), os.urandom)
    assert len(made.blob) == 2 + 2 + 32 + 2 + 32
    assert len(made.secret) == 2 + 256
    with pytest.raises(NotProven, match="ek: not a restricted RSA decryption key"):
        tpm.make_credential(tpm.read_public(vector("ak.pub"), "ak"), b"", bytes(32), os.urandom)
