# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The bundle of nodes: one JSON file by which a client knows to whom it may seal a request.

It holds the attested nodes in force, and for each what it serves: deployment, release, and all
that the release stands on; what was revoked and denied; with inclusion proofs under one head that
witnesses cosigned, and the proof that this head continues the one that the client saw before
(`ledger/verify_nodes.py`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bastide.core.evidence import Evidence
from bastide.core.limits import SEALED_NODES_MAX
from bastide.core.register import KEY_KINDS
from bastide.core.subject import Digest
from bastide.ledger.cosigned import enrolled
from bastide.ledger.denials import DENIAL_KINDS
from bastide.ledger.heads import open_head
from bastide.ledger.ledger import Ledger
from bastide.ledger.reference_values import reference_values

__all__ = ["NODES_TYPE", "continues", "export_nodes"]

NODES_TYPE: Final = "https://bastide.eu/sealed-nodes/v2"  # v1 had no denials


def export_nodes(
    ledger: Ledger, nodes: Iterable[Evidence], cosigned: tuple[int, str] | None, since: int
) -> dict[str, Any]:
    """The bundle of these nodes, as far as the head has them. Raises NotFound.

    cosigned: size and note of the newest head that witnesses cosigned; None for the ledger's own.
    """
    size, checkpoint = cosigned if cosigned is not None else _own_head(ledger)
    told = [row for row in nodes if _before(row, size)][:SEALED_NODES_MAX]
    named = dict.fromkeys(row.body["attestation"]["reference"] for row in told)
    references = {digest: ledger.by_digest(Digest.parse(digest)) for digest in named}
    references |= {str(row.digest): row for row in reference_values(ledger).values()}
    deployments = dict.fromkeys(row.body["deployment"] for row in told)

    def entry(row: Evidence) -> Mapping[str, Any]:
        index = row.entry or 0
        proof = [node.hex() for node in ledger.prove_inclusion(index, size)]
        return {"index": index, "envelope": ledger.envelope(index).to_json(), "proof": proof}

    def entries(rows: Iterable[Evidence]) -> list[Mapping[str, Any]]:
        return [entry(row) for row in rows if _before(row, size)]

    def of(kinds: Iterable[str]) -> list[Mapping[str, Any]]:
        rows = [row for kind in kinds for row in ledger.find(kind)]
        return entries(sorted(rows, key=lambda row: row.entry or 0))

    return {
        "type": NODES_TYPE,
        "checkpoint": checkpoint,
        "consistency": continues(ledger, checkpoint, since),
        "charter": entry(ledger.charter()),
        "keys": of(KEY_KINDS),
        "witnesses": entries(enrolled(ledger, size)),
        "references": entries(references.values()),
        "revocations": entries(ledger.find("revocation/v1")),
        "denials": of(DENIAL_KINDS),
        "deployments": [
            {
                name: entry(row) if isinstance(row, Evidence) else entries(row)
                for name, row in _served(ledger, digest, size).items()
            }
            for digest in deployments
        ],
        "nodes": entries(told),
    }


def continues(ledger: Ledger, checkpoint: str, since: int) -> list[str]:
    """The proof that a head continues that of another size, in hex; empty if it is no later one."""
    size = int(checkpoint.splitlines()[1])  # C2SP tlog-checkpoint: the second line
    proof = ledger.prove_consistency(since, size) if 0 < since < size else []
    return [node.hex() for node in proof]


def _own_head(ledger: Ledger) -> tuple[int, str]:
    checkpoint = ledger.checkpoint()
    origin = ledger.charter().body["origin"]
    return open_head(checkpoint, origin, ledger.register()).size, checkpoint


def _served(ledger: Ledger, digest: str, size: int) -> dict[str, Evidence | list[Evidence]]:
    """A deployment, and what it stands on."""

    def named(text: str) -> Evidence:
        return ledger.by_digest(Digest.parse(text))

    deployment = _newest(ledger, "deployment/v1", digest, size)
    release = _newest(ledger, "release/v1", deployment.body["deployment"]["release"], size)
    candidate = named(release.body["candidate"])
    return {
        "admission": named(candidate.body["release"]["admission"]),
        "evaluation": named(candidate.body["release"]["evaluation"]),
        "candidate": candidate,
        "approvals": [named(row) for row in release.body["approvals"]],
        "release": release,
        "deployment": deployment,
        "deployment_approvals": [named(row) for row in deployment.body["approvals"]],
    }


def _newest(ledger: Ledger, kind: str, digest: str, size: int) -> Evidence:
    rows = ledger.find(kind, subject=Digest.parse(digest))
    return [row for row in rows if _before(row, size)][-1]


def _before(row: Evidence, size: int) -> bool:
    return row.entry is not None and row.entry < size
