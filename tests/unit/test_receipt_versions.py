# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Receipts of the older form stay verifiable, by both verifiers."""

from pathlib import Path

from msgspec.structs import replace

from bastide.core.receipt import Receipt
from bastide.ledger.bundle import export_bundle
from bastide.ledger.verify import trace_bundle
from unit.chain_fixture import make_chain, make_receipt
from unit.two_verifiers import read_as_tool, tool


def test_a_receipt_of_the_first_form_is_verified(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, receipts=1)
    first = chain.receipts[0]
    now_ms = chain.world.clock.now_ms()
    new = make_receipt(40, first.deployment, first.release, first.policy, now_ms)
    old = replace(
        new, version=1, project="default", cached_tokens=0, cost_picoeur=0, delivered=True,
        fingerprint="", retry=False,
    )  # fmt: skip
    chain.book.put([old])
    chain.book.seal_batch()
    bundle = export_bundle(chain.world.ledger, chain.book, old.ident)
    assert bundle["receipt"]["type"].endswith("receipt/v1") and "project" not in bundle["receipt"]
    assert trace_bundle(bundle, chain.anchors).receipt == old
    tool.verify(*read_as_tool(bundle, chain.anchors))
    assert Receipt.from_json(old.to_json()) == old
