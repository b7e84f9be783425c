# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A statement that a party signed counts once, whatever bytes its signature has.

The attacker holds the services' keys and everything on the disk, and no party's key. From a P-256
signature (r, s) they compute (r, n - s), which holds as well: the same words in another envelope.
Before there was `ledger/once.py` all of this passed the door, and an approval from before a stop
opened the deployment again. Broken once more to prove the tests: without `verify_new` at the door,
and without `first_said` in each reader, they fail.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotProven, Refused
from bastide.core.evidence import Statement
from bastide.core.key import PublicKey, Purpose, is_weak
from bastide.core.party import Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.cosignature import ED25519, CosignerKey, read_cosigner
from bastide.crypto.dsse import Envelope, Signer
from bastide.crypto.webauthn import Assertion
from bastide.ledger.cosigned import enrolled
from bastide.ledger.reference_values import reference_values
from bastide.stages import deploy
from unit.authenticator import Passkey, hsm_signer
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import World, make_ledger, make_parties
from unit.node_fixture import Twin, reference_body, reference_statement
from unit.test_decided import RULED, emergency, guard, plant, put, signed
from unit.test_denials import deny, end, names
from unit.test_denials import sign as sign_denial

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def twin(envelope: Envelope) -> Envelope:
    """The same statement with another signature of the same key, made without the key."""
    ((ident, signature),) = envelope.signatures
    if signature.startswith(b"{"):
        made = Assertion.decode(signature)
        other = Assertion(made.authenticator, made.client, _other(made.signature)).encode()
    else:
        other = _other(signature)
    return Envelope(envelope.payload, ((ident, other),))


def _other(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, ORDER - s)


SIGNERS: dict[str, Callable[[Party], Signer]] = {
    "hsm": lambda party: hsm_signer(f"{party}-hsm", party),
    "passkey": lambda party: Passkey(f"{party}-passkey").signer(party),
}


@pytest.fixture(params=SIGNERS)
def parties(request: pytest.FixtureRequest) -> dict[Party, Signer]:
    return {party: SIGNERS[request.param](party) for party in Party}


@pytest.fixture
def chain(tmp_path: Path, parties: dict[Party, Signer]) -> ChainWorld:
    return make_chain(tmp_path, parties=parties)


@pytest.fixture
def world(tmp_path: Path, parties: dict[Party, Signer]) -> World:
    return make_ledger(tmp_path, given=parties)


@pytest.mark.attacks("C290")
def test_an_approval_from_before_a_stop_opens_nothing_under_another_signature(
    chain: ChainWorld,
) -> None:
    world, running = chain.world, chain.rows["deployment"]
    digest = running.subject.digest
    (given,) = world.ledger.approvals(digest)
    deploy.end(world.ledger, running, "a stop", world.signers[Purpose.EVIDENCE], world.clock)
    assert world.ledger.approvals(digest) == []
    again = twin(world.ledger.envelope(given.entry or 0))
    assert again.digest != given.digest
    dsse.verify_envelope(again, world.ledger.keys())  # it holds: that is the danger
    with pytest.raises(Refused, match=f"already, as entry {given.entry}"):
        world.ledger.append([again])
    plant(world, again)
    assert world.ledger.approvals(digest) == []
    assert world.reopen().approvals(digest) == []


@pytest.mark.attacks("C290")
def test_an_approval_that_was_revoked_does_not_count_under_another_signature(
    chain: ChainWorld,
) -> None:
    """A revocation names the envelope, and the twin is another one."""
    world, digest = chain.world, chain.rows["deployment"].subject.digest
    (given,) = world.ledger.approvals(digest)
    body = {"what": "approval", "party": "operator", "reason": "a mistake", "time_ms": 1}
    statement = Statement("revocation/v1", (Subject("demo", given.digest),), body)
    world.ledger.append_statement(statement, [world.parties[Party.OPERATOR]])
    assert world.ledger.approvals(digest) == []
    again = twin(world.ledger.envelope(given.entry or 0))
    with pytest.raises(Refused, match="already"):
        world.ledger.append([again])
    plant(world, again)
    assert world.ledger.approvals(digest) == []


def test_two_keys_of_one_party_may_say_the_same(chain: ChainWorld) -> None:
    """And one key may say it again with another time."""
    world, digest = chain.world, chain.rows["deployment"].subject.digest
    (given,) = world.ledger.approvals(digest)
    later = {**given.body, "time_ms": given.body["time_ms"] + 1}
    statement = Statement(given.kind, given.statement.subjects, later)
    world.ledger.append_statement(statement, [world.parties[Party.OPERATOR]])
    assert len(world.ledger.approvals(digest)) == 2
    for party in (Party.FIRM, Party.GUARDIAN):
        deny(world, party, "m/")


@pytest.mark.attacks("C290")
def test_old_reference_values_do_not_come_back(world: World) -> None:
    def state(time_ms: int) -> Envelope:
        statement = reference_statement(reference_body(Twin(), time_ms=time_ms))
        return dsse.sign(statement.payload(), [world.parties[Party.GUARDIAN]])

    old, new = state(1), state(2)
    world.ledger.append([old])
    world.ledger.append([new])
    with pytest.raises(Refused, match="already"):
        world.ledger.append([twin(old)])
    plant(world, twin(old))
    (row,) = reference_values(world.ledger).values()
    assert row.digest == new.digest


@pytest.mark.attacks("C290")
def test_an_old_witness_does_not_come_back(world: World) -> None:
    def state(seed: bytes, time_ms: int) -> Envelope:
        keys = CosignerKey.from_seeds("w", seed * 32, seed * 32).public.vkeys()
        body = {"party": "firm", "keys": keys, "time_ms": time_ms}
        about = Subject("firm", Digest.of(canonical({"witness": "firm"})))
        statement = Statement("witness/v1", (about,), body)
        return dsse.sign(statement.payload(), [world.parties[Party.FIRM]])

    old, new = state(b"a", 1), state(b"b", 2)
    world.ledger.append([old])
    world.ledger.append([new])
    with pytest.raises(Refused, match="already"):
        world.ledger.append([twin(old)])
    plant(world, twin(old))
    assert [row.digest for row in enrolled(world.ledger)] == [new.digest]


@pytest.mark.attacks("C290")
def test_a_denial_that_was_let_go_is_not_denied_again_by_others(world: World) -> None:
    digest = deny(world, Party.FIRM)
    said = twin(world.ledger.envelope(world.ledger.index_of(digest)))
    world.ledger.append([sign_denial(world, end(digest), Party.FIRM, Party.GUARDIAN)])
    with pytest.raises(Refused, match="already"):
        world.ledger.append([said])
    plant(world, said)
    assert names(world) == ()
    world.ledger.audit()


@pytest.mark.attacks("C290")
def test_an_emergency_that_was_ended_is_not_opened_again(
    tmp_path: Path, parties: dict[Party, Signer]
) -> None:
    world = make_ledger(tmp_path, given=parties, policy=RULED)
    opened = emergency(world)
    entry = world.ledger.index_of(Digest.parse(opened))
    over = {"about": opened, "report": "done", "time_ms": world.clock.now_ms()}
    about = Subject("incident", Digest.parse(opened))
    world.ledger.append([world.state(Statement("incident-end/v1", (about,), over))])
    again = twin(world.ledger.envelope(entry))
    with pytest.raises(Refused, match="already"):
        world.ledger.append([again])
    plant(world, again)
    incident = {"what": "break-glass", "about": str(again.digest), "time_ms": over["time_ms"]}
    subject = Subject("incident", again.digest)
    plant(world, world.state(Statement("incident/v1", (subject,), incident)))
    lax = guard(world, "observe", emergency=str(again.digest))
    with pytest.raises(NotProven, match="an emergency that is not open"):
        put(world, lax, Party.OPERATOR)
    plant(world, signed(world, lax, Party.OPERATOR))
    with pytest.raises(NotProven, match="an emergency that is not open"):
        world.ledger.audit()


# Keys under which anybody signs

WEAK = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("ec" + "ff" * 30 + "7f"),
    bytes.fromhex("ed" + "ff" * 30 + "7f"),
    bytes.fromhex("ee" + "ff" * 30 + "7f"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]


@pytest.mark.attacks("C291")
@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("raw", WEAK, ids=lambda raw: raw.hex()[:8])
def test_a_key_of_small_order_is_none(raw: bytes, sign_bit: int) -> None:
    raw = raw[:31] + bytes((raw[31] | sign_bit,))
    assert is_weak(raw)
    row = PublicKey(raw, Purpose.EVIDENCE).to_json()
    with pytest.raises(Misconfigured, match="anybody could sign"):
        PublicKey.from_json(row)
    with pytest.raises(Misconfigured, match="anybody could sign"):
        read_cosigner([_vkey("w", raw)])


def test_a_real_key_is_one() -> None:
    for signer in (hsm_signer("x", Party.FIRM).public, *_fixture_keys()):
        assert not is_weak(signer.raw)
        assert PublicKey.from_json(json.loads(json.dumps(signer.to_json()))) == signer


def _fixture_keys() -> list[PublicKey]:
    return [signer.public for signer in make_parties().values()]


def _vkey(name: str, raw: bytes) -> str:
    tagged = bytes((ED25519,)) + raw
    tag = hashlib.sha256(name.encode() + b"\n" + tagged).digest()[:4].hex()
    return f"{name}+{tag}+{base64.b64encode(tagged).decode()}"
