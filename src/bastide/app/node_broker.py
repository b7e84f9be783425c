# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Control's side of attestation: asks a node for a quote, judges it, and hands out headers.

1. `node-challenge`: the node names its hardware. Control gives a nonce, and a secret that only a
   TPM that holds both of its keys can open.
2. `node-join`: the secret, the node's keys, and a quote about them and the nonce. Control checks
   the quote, looks for reference values that allow it, and states `node/v1`.
3. `node-headers`: the headers of what the deployment serves, rewrapped to the node's quoted key.

A nonce counts once and for NODE_CHALLENGE_S. Nothing secret is in any answer: whoever else reads
the headers has not the key that opens them.
"""

import hmac
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.denials import SignedDenials
from bastide.app.frame_bodies import read_bytes, read_text
from bastide.app.loading import bundle_name, verify_entries
from bastide.app.nodes import in_force, node_subject, reasons_against
from bastide.app.revocations import stopped
from bastide.core.errors import (
    Misconfigured,
    NotProven,
    Refused,
    Unavailable,
)
from bastide.core.evidence import Evidence, Statement
from bastide.core.limits import NODE_CHALLENGE_S, NODE_CHALLENGES_MAX
from bastide.core.reference import Reference
from bastide.core.subject import Digest
from bastide.crypto import tpm
from bastide.crypto.attestation import prove
from bastide.crypto.base64url import b64url
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ledger.reference_values import reference_values
from bastide.ports import Clock, Entropy, Keyring, SealingStore
from bastide.stages import deploy

__all__ = ["NodeBroker", "active_deployment", "objects_of", "open_broker"]

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Challenge:
    """What control asked, and when (monotonic)."""

    asked_at: float
    parts: Mapping[str, str]
    secret: bytes


class NodeBroker:
    """Answers nodes. Its methods may be called from several threads; bodies are plain JSON values.

    `signer` gives the evidence key in force; the store opens with the keys that control holds.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: SealingStore,
        signer: Callable[[], Signer],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._ledger, self._store, self._signer = ledger, store, signer
        self._clock, self._entropy = clock, entropy
        self._asked: dict[str, _Challenge] = {}
        self._turn = threading.Lock()

    @property
    def answers(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        """What each kind of frame asks for."""
        return {
            "node-challenge": self.challenge,
            "node-join": self.join,
            "node-headers": self.headers,
        }

    def challenge(self, body: Mapping[str, Any]) -> dict[str, str]:
        """A nonce, and a credential for the TPM that a node says it has. Raises NotProven."""
        parts = {name: read_text(body, name) for name in ("ek", "ak")}
        endorsing, attesting = (tpm.read_public(read_bytes(parts, name), name) for name in parts)
        secret, nonce = self._entropy.token(_SECRET_BYTES), self._entropy.token(32).hex()
        made = tpm.make_credential(endorsing, attesting.name, secret, self._entropy.token)
        now = self._clock.monotonic()
        with self._turn:
            for old, asked in list(self._asked.items()):
                if now - asked.asked_at > NODE_CHALLENGE_S:
                    del self._asked[old]
            if len(self._asked) >= NODE_CHALLENGES_MAX:
                raise Unavailable("too many nodes ask at once", fix="try again in a minute")
            self._asked[nonce] = _Challenge(now, parts, secret)
        return {"nonce": nonce, "blob": b64url(made.blob), "secret": b64url(made.secret)}

    def join(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Judge a quote and state `node/v1`. Raises NotProven or Refused, with every reason."""
        deployment = active_deployment(self._ledger, read_text(body, "deployment"))
        replica = body.get("replica")
        if type(replica) is not int or not 1 <= replica <= deploy.plan_of(deployment).replicas:
            raise Misconfigured(f"node-join: the deployment has no replica {replica!r}")
        stated = self.judge(body)
        row = self._ledger.append_statement(
            Statement("node/v1", (node_subject(stated),), stated), [self._signer()]
        )
        return {"statement": str(row.digest), "expires_ms": stated["expires_ms"]}

    def judge(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What `join` would state, stating nothing. Raises NotProven or Refused."""
        nonce, evidence = read_text(body, "nonce"), body.get("evidence")
        if not isinstance(evidence, dict):
            raise Misconfigured("node-join: no evidence")
        self._verify_asked(nonce, evidence, read_bytes(body, "answer"))
        return self._allowed(
            {
                **{name: body.get(name) for name in ("node", "deployment", "replica", "keys")},
                "attestation": {"kind": "tpm2", "nonce": nonce, "evidence": evidence},
                "time_ms": self._clock.now_ms(),
            }
        )

    def headers(self, body: Mapping[str, Any]) -> dict[str, str]:
        """Headers for a node whose statement is in force, by object, of what its deployment serves.

        Raises Refused if the deployment or the node may not be served any more.
        """
        digest = read_text(body, "statement")
        standing = in_force(self._ledger, self._clock.now_ms()).values()
        mine = [row for row in standing if str(row.digest) == digest]
        if not mine:
            raise Refused(f"the node's statement {digest} is not in force", fix="join again")
        deployment = active_deployment(self._ledger, mine[0].body["deployment"])
        verify_entries(
            self._ledger, (mine[0], deployment, *reference_values(self._ledger).values())
        )
        if reasons := stopped(self._ledger, deployment):
            raise Refused(f"{deployment.subject.name} may not be served", reasons=reasons)
        recipient = mine[0].body["keys"]["age"]
        return {
            name: b64url(self._store.header_for(name, recipient))
            for name in objects_of(self._ledger, deployment)
        }

    def _verify_asked(self, nonce: str, evidence: Mapping[str, Any], answer: bytes) -> None:
        with self._turn:
            asked = self._asked.pop(nonce, None)
        if asked is None or self._clock.monotonic() - asked.asked_at > NODE_CHALLENGE_S:
            raise NotProven(
                f"nonce: control did not give it, it was used, or it is over {NODE_CHALLENGE_S:g} s"
                " old: the quote is replayed or stale"
            )
        if any(evidence.get(name) != part for name, part in asked.parts.items()):
            raise NotProven("evidence: of other keys than the nonce was given for")
        if not hmac.compare_digest(answer, asked.secret):
            raise NotProven("ak: it is not in the TPM that holds the endorsement key")

    def _allowed(self, body: dict[str, Any]) -> dict[str, Any]:
        """The whole body under the first reference values that allow it. Raises Refused."""
        proven = prove(body)
        proof = {"identity": proven.identity, "key": proven.key, "measured": proven.measured}
        reasons = []
        for row in reference_values(self._ledger).values():
            verify_entries(self._ledger, (row,))  # who planted it in the database allows nobody
            values = Reference.from_json(row.body)
            stated = {
                **body,
                "attestation": {**body["attestation"], **proof, "reference": str(row.digest)},
                "expires_ms": body["time_ms"] + values.valid_s * 1000,
            }
            found = reasons_against(self._ledger, stated, row)
            if not found:
                return stated
            reasons += found
        raise Refused(
            f"the node {body['node']} is not allowed",
            reasons=reasons or ["the guardian has signed no reference values"],
            fix="the guardian signs what it allows: bastide node reference FILE",
        )


def active_deployment(ledger: Ledger, digest: str) -> Evidence:
    """The deployment of a digest. Raises Refused if it is not in service."""
    for row in deploy.active(ledger):
        if str(row.subject.digest) == digest:
            return row
    raise Refused(f"no active deployment has the digest {digest}")


def objects_of(ledger: Ledger, deployment: Evidence) -> list[str]:
    """The names of the sealed objects that a deployment needs. Raises NotProven, NotFound."""
    released = deploy.find_release(ledger, deploy.plan_of(deployment).release)
    if released is None:
        raise NotProven(f"the deployment {deployment.subject.name} names no release")
    candidate = ledger.by_digest(Digest.parse(released.body["candidate"]))
    admitted = Digest.parse(candidate.body["release"]["admission"])
    rows = ledger.by_digest(admitted).body["objects"]
    return [bundle_name(released.subject.digest), *(row["object"] for row in rows)]


def open_broker(
    home: Home, keyring: Keyring, ledger: Ledger, signer: Callable[[], Signer], clock: Clock
) -> NodeBroker:
    """The broker of a home, over the keys that control holds."""
    exits, entropy = ledger.charter().body["exit_recipients"], wiring.entropy()
    denied = SignedDenials(ledger)
    store = wiring.open_store(home.store, keyring.identities(), exits, entropy, denied)
    return NodeBroker(ledger, store, signer, clock, entropy)
