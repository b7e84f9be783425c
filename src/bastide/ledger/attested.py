# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes that a receipt names: quotes checked again, under the guardian's reference values."""

from collections.abc import Sequence

from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.core.receipt import Receipt
from bastide.core.reference import Reference
from bastide.crypto.attestation import judge_node, said_of
from bastide.ledger.chain import AttestedNode

__all__ = ["attested_nodes"]


def attested_nodes(
    receipt: Receipt, nodes: Sequence[Evidence], references: Sequence[Evidence], batch: Evidence
) -> tuple[AttestedNode, ...]:
    """What a receipt's attestations prove; the statements' signatures were checked before.

    Raises NotProven. Whether a machine was revoked later is for an auditor of the whole ledger.
    """
    if tuple(str(row.digest) for row in nodes) != receipt.attestations:
        raise NotProven("entries.nodes: not those that receipt.attestations names")
    allowed = {str(row.digest): row for row in references}
    named = dict.fromkeys(row.body["attestation"]["reference"] for row in nodes)
    if list(named) != list(allowed):
        raise NotProven("entries.node_references: not those that the nodes name")
    return tuple(
        _attested(receipt, row, allowed[row.body["attestation"]["reference"]], batch, f"[{number}]")
        for number, row in enumerate(nodes)
    )


def _attested(
    receipt: Receipt, row: Evidence, reference: Evidence, batch: Evidence, at: str
) -> AttestedNode:
    place, body = f"entries.nodes{at}", row.body
    if body["deployment"] != receipt.deployment or body["node"] != receipt.node:
        raise NotProven(f"{place}: it is about another node, or about another deployment")
    if not body["time_ms"] <= receipt.time_ms < body["expires_ms"]:
        raise NotProven(f"{place}: its quote did not count when the answer ended")
    if not (reference.entry or 0) < (row.entry or 0) < (batch.entry or 0):
        raise NotProven(f"{place}: not between its reference values and the receipt's batch")
    if reasons := judge_node(body, reference.body):
        raise NotProven(f"{place}: it was not allowed: {'; '.join(reasons)}", reasons=reasons)
    said = said_of(Reference.from_json(reference.body))
    kind, name = body["attestation"]["kind"], reference.body["name"]
    what = (said.what, said.checked, said.unchecked)
    return AttestedNode(body["node"], kind, str(row.digest), name, *what)
