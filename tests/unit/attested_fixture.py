# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A node that the guardian allowed, as one more part of an admissible chain."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace as change_receipt

from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.policy import ATTESTED
from bastide.ledger.bundle import export_bundle
from unit.chain_fixture import ChainWorld, chain_policy, make_chain, make_receipt
from unit.node_fixture import (
    Twin,
    node_body,
    node_statement,
    reference_body,
    reference_statement,
)

POLICIES: Final = ("free", "strict")  # strict: only attested nodes may serve


@dataclass
class Attested:
    """A chain with a node that the guardian allowed."""

    chain: ChainWorld
    twin: Twin
    reference: Evidence
    node: Evidence

    def state(self, twin: Twin, **changes: Any) -> Evidence:
        """Another `node/v1`, as whoever holds the evidence key could state it."""
        world = self.chain.world
        now = world.clock.now_ms()
        about = {
            "deployment": str(self.chain.rows["deployment"].subject.digest),
            "attestation": {
                "kind": "tpm2", "reference": str(self.reference.digest), "nonce": "07" * 32,
            },
            "time_ms": now,
            "expires_ms": now + 3_600_000,
        }  # fmt: skip
        statement = node_statement(node_body(twin, **{**about, **changes}))
        return world.ledger.append_statement(statement, [world.signers[Purpose.EVIDENCE]])

    def bundle(self, *nodes: Evidence, later_ms: int = 1000, **changes: Any) -> dict[str, Any]:
        """The bundle of an answer that these nodes stand behind."""
        world = self.chain.world
        world.clock.advance(later_ms)
        first = self.chain.receipts[0]
        number = len(world.ledger.find("receipts/v1")) + 50
        made = make_receipt(
            number, first.deployment, first.release, first.policy, world.clock.now_ms()
        )
        named = tuple(str(row.digest) for row in nodes or (self.node,))
        made = change_receipt(made, attestations=named, version=3, **changes)
        self.chain.book.put([made])
        self.chain.book.seal_batch()
        return copy.deepcopy(export_bundle(world.ledger, self.chain.book, made.ident))


def strict_policy() -> dict[str, Any]:
    """A policy that lets only attested nodes serve."""
    policy = chain_policy()
    policy["rules"]["deploy"]["gates"][ATTESTED] = {}
    return policy


def make_attested(folder: Path, policy: str) -> Attested:
    """A chain under one of POLICIES, and its node."""
    given = strict_policy() if policy == "strict" else None
    chain, twin = make_chain(folder, receipts=1, policy=given), Twin()
    twin.measure()
    world = chain.world
    statement = reference_statement(reference_body(twin, time_ms=world.clock.now_ms()))
    reference = world.ledger.append_statement(statement, [world.parties[Party.GUARDIAN]])
    made = Attested(chain, twin, reference, reference)
    made.node = made.state(twin)
    return made
