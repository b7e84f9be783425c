# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The receipt bundle: one self-contained JSON file that takes an answer back to its model.

It holds the receipt, its place in a batch, a signed checkpoint, and every statement that the
verifier needs, each with its inclusion proof under that checkpoint. With the anchors
(`keys.json`) it verifies on a machine that has nothing else (`ledger/verify.py`,
`tools/verify_receipt.py`; docs/reference/receipts.md describes the fields).
"""

from collections.abc import Mapping
from typing import Any

from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence
from bastide.core.register import KEY_KINDS
from bastide.core.subject import Digest
from bastide.ledger.cosigned import CosignedHeads, enrolled
from bastide.ledger.heads import open_head
from bastide.ledger.ledger import Ledger
from bastide.ledger.receipts import ReceiptBook

__all__ = ["ANCHORS_TYPE", "BUNDLE_TYPE", "export_anchors", "export_bundle"]

BUNDLE_TYPE = "https://bastide.eu/receipt-bundle/v1"
ANCHORS_TYPE = "https://bastide.eu/keys/v1"


def export_anchors(ledger: Ledger) -> dict[str, Any]:
    """What an auditor must get from the parties beforehand: keys, and the charter's digest."""
    charter = ledger.charter()
    return {
        "type": ANCHORS_TYPE,
        "environment": charter.body["environment"],
        "origin": charter.body["origin"],
        "charter": str(charter.digest),
        "keys": [dict(row) for row in charter.body["keys"]],
    }


def export_bundle(
    ledger: Ledger, book: ReceiptBook, ident: str, heads: CosignedHeads | None = None
) -> dict[str, Any]:
    """The bundle of a receipt, under the newest head that witnesses cosigned, or the newest one.

    heads: the cosigned ones; a bundle under one of them also holds the witnesses' enrolments.

    Raises NotFound, Unavailable while the receipt is not sealed yet, NotProven if the ledger
    lacks what the receipt names.
    """
    receipt = book.find(ident)
    place = book.inclusion(ident)
    (batch,) = [row for row in ledger.find("receipts/v1") if row.entry == place.batch_index]
    deployment = _newest(ledger, "deployment/v1", receipt.deployment, place.batch_index)
    release = _newest(ledger, "release/v1", receipt.release, place.batch_index)
    candidate = _named(ledger, release.body["candidate"])
    rows: dict[str, Evidence | list[Evidence]] = {
        "charter": ledger.charter(),
        "admission": _named(ledger, candidate.body["release"]["admission"]),
        "evaluation": _named(ledger, candidate.body["release"]["evaluation"]),
        "candidate": candidate,
        "approvals": [_named(ledger, digest) for digest in release.body["approvals"]],
        "release": release,
        "deployment": deployment,
        "deployment_approvals": [_named(ledger, digest) for digest in deployment.body["approvals"]],
        "batch": batch,
    }
    if receipt.attestations:
        nodes = [_named(ledger, digest) for digest in receipt.attestations]
        named = dict.fromkeys(row.body["attestation"]["reference"] for row in nodes)
        rows |= {"nodes": nodes, "node_references": [_named(ledger, digest) for digest in named]}
    checkpoint = ledger.checkpoint()
    size = _size(ledger, checkpoint)
    cosigned = None if heads is None else heads.newest()
    if cosigned is not None and place.batch_index < cosigned[0]:
        size, checkpoint = cosigned
        rows["witnesses"] = enrolled(ledger, size)
    if changes := _key_statements(ledger, size):
        rows["keys"] = changes
    return {
        "type": BUNDLE_TYPE,
        "receipt": receipt.to_json(),
        "inclusion": {
            "index": place.leaf_index,
            "size": place.size,
            "proof": [node.hex() for node in place.proof],
        },
        "checkpoint": checkpoint,
        "entries": {
            name: [_entry(ledger, item, size) for item in row]
            if isinstance(row, list)
            else _entry(ledger, row, size)
            for name, row in rows.items()
        },
    }


def _entry(ledger: Ledger, row: Evidence, size: int) -> Mapping[str, Any]:
    assert row.entry is not None
    return {
        "index": row.entry,
        "envelope": ledger.envelope(row.entry).to_json(),
        "proof": [node.hex() for node in ledger.prove_inclusion(row.entry, size)],
    }


def _key_statements(ledger: Ledger, size: int) -> list[Evidence]:
    """All that changed who may sign, up to a size, in the ledger's order."""
    rows = [row for kind in KEY_KINDS for row in ledger.find(kind) if _before(row, size)]
    return sorted(rows, key=lambda row: row.entry or 0)


def _before(row: Evidence, size: int) -> bool:
    return row.entry is not None and row.entry < size


def _newest(ledger: Ledger, kind: str, digest: str, before: int) -> Evidence:
    """The statement in force when the batch was sealed."""
    rows = ledger.find(kind, subject=Digest.parse(digest))
    standing = [row for row in rows if _before(row, before)]
    if not standing:
        raise NotProven(f"the receipt names a {kind} that the ledger lacks: {digest}")
    return standing[-1]


def _named(ledger: Ledger, digest: str) -> Evidence:
    return ledger.by_digest(Digest.parse(digest))


def _size(ledger: Ledger, checkpoint: str) -> int:
    return open_head(checkpoint, ledger.charter().body["origin"], ledger.register()).size
