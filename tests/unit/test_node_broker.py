# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control gives weights' keys to nodes that are allowed now, for their own quoted key.

To see these tests fail I once broke the code: with `_asked.pop` replaced by a look the replayed
nonce joined; without the comparison of the answer any TPM's keys did; without `in_force` in
`headers` an expired, a revoked and a disallowed node went on getting headers.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.given_headers import GivenHeaders
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.app.loading import bundle_name
from bastide.app.node_broker import NodeBroker
from bastide.app.nodes import in_force, verify_attested
from bastide.app.revocations import stopped
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Refused
from bastide.core.evidence import Statement
from bastide.core.key import Purpose, Scheme
from bastide.core.party import Party
from bastide.core.revocation import Revocable
from bastide.crypto import age, dsse
from bastide.crypto.base64url import b64url, unb64url
from bastide.crypto.dsse import Signer
from bastide.crypto.node_quote import binding
from bastide.crypto.note import Checkpoint, sign_checkpoint
from bastide.ledger import statements
from bastide.ledger.commit import Batch, Committer
from bastide.ledger.projections import project
from bastide.ledger.reference_values import reference_values
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import make_signer
from unit.node_fixture import EVENT, Twin, reference_body, reference_statement

NODE = age.X25519Identity(bytes(range(1, 33)))
THIEF = age.X25519Identity(bytes(range(2, 34)))
STORE = age.X25519Identity(bytes(range(3, 35)))
WEIGHTS = b"weights" * 1000


@dataclasses.dataclass
class Rig:
    """A ledger with a deployment, its objects, and control's broker."""

    chain: ChainWorld
    broker: NodeBroker
    inner: MemoryStore
    twin: Twin

    def allow(self, signed_by: Party = Party.GUARDIAN, **changes: Any) -> None:
        body = reference_body(self.twin, **changes)
        self.chain.world.ledger.append_statement(
            reference_statement(body), [self.chain.world.parties[signed_by]]
        )

    def quoted(
        self, change: Callable[[dict[str, Any]], None] | None = None, **told: Any
    ) -> dict[str, Any]:
        """What a node sends to join; `change` comes after the quote."""
        keys = {"age": str(NODE.recipient()), "hpke": b64url(bytes(range(32)))}
        asked = self.broker.challenge({"ek": b64url(self.twin.ek), "ak": b64url(self.twin.ak)})
        body: dict[str, Any] = {
            "node": "node-1",
            "deployment": str(self.chain.rows["deployment"].subject.digest),
            "replica": 1,
            "keys": keys,
            **told,
        }
        bound = {**body, "attestation": {"nonce": asked["nonce"]}}
        quote, signature, registers = self.twin.quote(binding(bound))
        parts = {
            "quote": quote, "signature": signature, "registers": registers,
            "ak": self.twin.ak, "ek": self.twin.ek, "events": self.log(),
        }  # fmt: skip
        answer = self.twin.activate(unb64url(asked["blob"]), unb64url(asked["secret"]))
        body |= {
            "nonce": asked["nonce"],
            "answer": b64url(answer),
            "evidence": {name: b64url(part) for name, part in parts.items()},
        }
        if change is not None:
            change(body)
        return body

    def log(self) -> bytes:
        return canonical(self.twin.events)

    def join(self) -> str:
        return self.broker.join(self.quoted())["statement"]

    def open(self, headers: dict[str, str], identity: age.Identity) -> bytes:
        """Read the weights as a node with an identity does."""
        given = {name: unb64url(header) for name, header in headers.items()}
        keys = IdentityKeys((identity.secret(),))  # type: ignore[attr-defined]
        store = SealedStore(GivenHeaders(self.inner, given), keys, (), SystemEntropy())
        with store.open("models/1") as reader:
            return reader.read_at(0, reader.size)

    def revoke(self, **changes: Any) -> None:
        world = self.chain.world
        (row,) = in_force(world.ledger, world.clock.now_ms()).values()
        body = {"what": Revocable.NODE.value, "party": None, "reason": "stolen", **changes}
        body["time_ms"] = world.clock.now_ms()
        statement = Statement("revocation/v1", (row.subject,), body)
        world.ledger.append_statement(statement, [world.parties[Party.GUARDIAN]])


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    chain = make_chain(tmp_path)
    inner = MemoryStore()
    store = SealedStore(inner, IdentityKeys((STORE.secret(),)), (), SystemEntropy())
    for name in ("models/1", bundle_name(chain.rows["release"].subject.digest)):
        store.put(name, [WEIGHTS])
    signer = chain.world.signers[Purpose.EVIDENCE]
    broker = NodeBroker(
        chain.world.ledger, store, lambda: signer, chain.world.clock, SystemEntropy()
    )
    twin = Twin()
    twin.measure()
    return Rig(chain, broker, inner, twin)


@pytest.mark.attacks("C151")
def test_an_allowed_node_opens_its_weights_and_nobody_else_does(rig: Rig) -> None:
    rig.allow()
    headers = rig.broker.headers({"statement": rig.join()})
    assert set(headers) == {
        "models/1",
        bundle_name(rig.chain.rows["release"].subject.digest),
    }
    assert rig.open(headers, NODE) == WEIGHTS
    for stranger in (THIEF, STORE):
        with pytest.raises(NotAllowed, match="sealed to other keys"):
            rig.open(headers, stranger)
    # What was stored is as it was.
    keys = IdentityKeys((STORE.secret(),))
    with SealedStore(rig.inner, keys, (), SystemEntropy()).open("models/1") as reader:
        assert reader.read_at(0, 7) == b"weights"


@pytest.mark.attacks("C149")
def test_without_reference_values_nobody_joins(rig: Rig) -> None:
    with pytest.raises(Refused) as refused:
        rig.join()
    assert refused.value.reasons == ("the guardian has signed no reference values",)


def test_reference_values_of_another_party_let_nobody_in(rig: Rig) -> None:
    for party in (Party.OPERATOR, Party.FIRM):
        with pytest.raises(NotProven, match="exactly one key of the guardian"):
            rig.allow(signed_by=party)
    with pytest.raises(Refused):
        rig.join()


@pytest.mark.attacks("C174")
def test_reference_values_that_somebody_planted_in_the_database_allow_nobody(rig: Rig) -> None:
    # Who holds the services' keys and the database goes past the door: another signs in the
    # guardian's name, and the ledger's key signs the head.
    world = rig.chain.world
    thief = make_signer("thief", Purpose.PARTY, Scheme.SSHSIG, Party.GUARDIAN)
    posing = Signer(world.parties[Party.GUARDIAN].public, thief.sign)
    envelope = dsse.sign(reference_statement(reference_body(rig.twin)).payload(), [posing])
    _, planted = statements.decode(envelope.encode(), world.ledger.size)

    def seal(size: int, root: bytes) -> str:
        head = Checkpoint(world.ledger.charter().body["origin"], size, root)
        return sign_checkpoint(head, world.signers[Purpose.LEDGER])

    committer = Committer(
        world.records, seal, project=lambda connection, _: project(connection, [planted])
    )
    committer.append(Batch([envelope.encode()], [planted]))
    assert "machines" in reference_values(world.ledger), "it is there"
    with pytest.raises(NotProven):
        rig.join()


@pytest.mark.attacks("C142")
def test_an_answer_to_a_nonce_counts_once(rig: Rig) -> None:
    rig.allow()
    body = rig.quoted()
    rig.broker.join(body)
    with pytest.raises(NotProven, match="the quote is replayed or stale"):
        rig.broker.join(body)


@pytest.mark.attacks("C143")
def test_a_quote_over_an_old_nonce_is_stale(rig: Rig) -> None:
    rig.allow()
    body = rig.quoted()
    rig.chain.world.clock.advance(60_001)
    with pytest.raises(NotProven, match="the quote is replayed or stale"):
        rig.broker.join(body)


@pytest.mark.attacks("C144")
def test_an_old_quote_with_a_fresh_nonce_is_refused(rig: Rig) -> None:
    rig.allow()
    old, fresh = rig.quoted(), rig.quoted()
    with pytest.raises(NotProven, match="another node or another nonce"):
        rig.broker.join({**fresh, "evidence": old["evidence"]})


@pytest.mark.attacks("C145")
def test_a_key_that_is_not_in_the_listed_tpm_is_refused(rig: Rig) -> None:
    # The attacker signs with a key of its own, and names the endorsement key of an honest machine:
    # it cannot open the credential.
    rig.allow()
    body = rig.quoted(lambda told: told.update(answer=b64url(bytes(32))))
    with pytest.raises(NotProven, match="ak: it is not in the TPM"):
        rig.broker.join(body)


def test_evidence_of_other_keys_than_were_asked_is_refused(rig: Rig) -> None:
    rig.allow()
    other = Twin(seed=2)

    def swap(told: dict[str, Any]) -> None:
        told["evidence"]["ak"] = b64url(other.ak)

    with pytest.raises(NotProven, match="of other keys than the nonce was given for"):
        rig.broker.join(rig.quoted(swap))


@pytest.mark.parametrize("name", ["node", "deployment", "replica", "keys"])
def test_what_the_quote_binds_cannot_be_swapped_on_the_way(rig: Rig, name: str) -> None:
    rig.allow()
    other = {
        "node": "node-2",
        "deployment": "sha256:" + "0" * 64,
        "replica": 2,
        "keys": {"age": str(THIEF.recipient()), "hpke": b64url(bytes(32))},
    }[name]
    with pytest.raises((NotProven, Refused, Misconfigured)) as refused:
        rig.broker.join(rig.quoted(lambda told: told.update({name: other})))
    if name in ("node", "keys"):
        assert "other keys, another node or another nonce" in refused.value.message


def test_an_extra_measurement_gets_no_weights(rig: Rig) -> None:
    rig.allow()
    strange = "sha256:" + "9" * 64
    rig.twin.measure({**EVENT, "engine": strange})
    with pytest.raises(Refused) as refused:
        rig.join()
    assert refused.value.reasons == (f"engine: {strange} is not in machines",)


@pytest.mark.attacks("C153")
def test_a_revoked_node_gets_no_headers_and_cannot_join(rig: Rig) -> None:
    rig.allow()
    statement = rig.join()
    deployment = rig.chain.rows["deployment"]
    assert stopped(rig.chain.world.ledger, deployment) == []
    rig.revoke()
    with pytest.raises(Refused, match="is not in force"):
        rig.broker.headers({"statement": statement})
    with pytest.raises(Refused) as refused:
        rig.join()
    assert "was revoked in entry" in refused.value.reasons[0]
    # Another attestation key on the same machine does not help.
    rig.twin.attesting = Twin(seed=7).attesting
    with pytest.raises(Refused):
        rig.join()
    # What it served is out of service.
    (reason,) = stopped(rig.chain.world.ledger, deployment)
    assert "the node sha256:" in reason
    assert "stolen" in reason


def test_the_firm_revokes_no_node(rig: Rig) -> None:
    rig.allow()
    rig.join()
    world = rig.chain.world
    (row,) = in_force(world.ledger, world.clock.now_ms()).values()
    body = {"what": "node", "party": None, "reason": "no", "time_ms": 0}
    statement = Statement("revocation/v1", (row.subject,), body)
    with pytest.raises(NotProven, match="a party that may revoke it"):
        world.ledger.append_statement(statement, [world.parties[Party.FIRM]])


def test_a_quote_ends_by_itself(rig: Rig) -> None:
    rig.allow(valid_s=600)
    statement = rig.join()
    rig.broker.headers({"statement": statement})
    rig.chain.world.clock.advance(600_000)
    with pytest.raises(Refused, match="is not in force"):
        rig.broker.headers({"statement": statement})


@pytest.mark.attacks("C155")
def test_newer_reference_values_end_what_older_ones_allowed(rig: Rig) -> None:
    rig.allow()
    statement = rig.join()
    rig.allow(identities=["sha256:" + "1" * 64])
    with pytest.raises(Refused, match="is not in force"):
        rig.broker.headers({"statement": statement})
    with pytest.raises(Refused):
        rig.join()


def test_the_statement_of_an_earlier_life_gets_nothing(rig: Rig) -> None:
    rig.allow()
    first = rig.join()
    second = rig.join()
    with pytest.raises(Refused, match="is not in force"):
        rig.broker.headers({"statement": first})
    assert rig.broker.headers({"statement": second})


def test_a_load_names_a_node_in_force_and_of_its_own_deployment(rig: Rig) -> None:
    rig.allow()
    statement = rig.join()
    ledger, now = rig.chain.world.ledger, rig.chain.world.clock.now_ms()
    deployment = str(rig.chain.rows["deployment"].subject.digest)
    verify_attested(ledger, {"deployment": deployment, "attestation": statement}, now)
    for wrong in (
        {"deployment": deployment},
        {"deployment": deployment, "attestation": "sha256:" + "0" * 64},
        {"deployment": "sha256:" + "0" * 64, "attestation": statement},
    ):
        with pytest.raises(NotProven, match="is not in force"):
            verify_attested(ledger, wrong, now)


def test_a_deployment_that_is_stopped_opens_for_no_node(rig: Rig) -> None:
    rig.allow()
    statement = rig.join()
    world = rig.chain.world
    body = {"what": "release", "party": None, "reason": "poisoned", "time_ms": 0}
    about = rig.chain.rows["candidate"].subject
    world.ledger.append_statement(
        Statement("revocation/v1", (about,), body), [world.parties[Party.GUARDIAN]]
    )
    with pytest.raises(Refused, match="may not be served"):
        rig.broker.headers({"statement": statement})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("node-challenge", {}),
        ("node-challenge", {"ek": 1, "ak": 2}),
        ("node-challenge", {"ek": "!", "ak": "!"}),
        ("node-challenge", {"ek": "AAAA", "ak": "AAAA"}),
        ("node-join", {}),
        ("node-join", {"nonce": "x", "evidence": []}),
        ("node-headers", {}),
    ],
)
def test_nonsense_is_refused_with_an_error_of_the_tree(rig: Rig, kind: str, body: Any) -> None:
    with pytest.raises((Misconfigured, NotProven, Refused)):
        rig.broker.answers[kind](body)


@pytest.mark.parametrize("broken", [None, {}, {"age": 1, "hpke": 2}, {"age": "x", "hpke": "x"}])
def test_keys_that_are_none_are_refused(rig: Rig, broken: Any) -> None:
    rig.allow()
    with pytest.raises(NotProven, match="keys"):
        rig.broker.join(rig.quoted(lambda told: told.update(keys=broken)))


def test_a_node_reads_only_what_it_was_given(rig: Rig) -> None:
    rig.allow()
    headers = rig.broker.headers({"statement": rig.join()})
    given = {name: unb64url(header) for name, header in headers.items()}
    store = GivenHeaders(rig.inner, given)
    assert store.names() == sorted(f"{name}.header" for name in given)
    with pytest.raises(NotFound, match="gave this node no key"), store.open("keys/cli.header"):
        pass
    for deed in (lambda: store.put("models/1.header", [b""]), lambda: store.delete("models/1")):
        with pytest.raises(NotAllowed, match="a node"):
            deed()
