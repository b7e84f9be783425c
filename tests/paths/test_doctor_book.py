# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What doctor says of the ledger holds for the receipts, too."""

from msgspec import structs

from bastide.app import wiring
from bastide.app.doctor import examine
from bastide.app.environment import read_passphrase
from paths.loading_rig import Served
from unit.chain_fixture import make_receipt


def ledger_finding(broken: Served) -> tuple[str, str]:
    home = broken.env.home
    rows = examine(home, read_passphrase(home), wiring.clock())
    (row,) = [row for row in rows if row.ident == "ledger"]
    return row.state, row.seen


def test_a_receipt_that_was_changed_is_found(broken: Served) -> None:
    env, some = broken.env, "sha256:" + "0" * 64
    receipt = make_receipt(1, some, some, some, env.clock.now_ms())
    env.book.put([receipt])
    assert env.book.seal_batch() is not None
    assert ledger_finding(broken)[0] == "ok"
    other = structs.replace(receipt, tenant="another").leaf()
    broken.sql(f"UPDATE receipt SET leaf = X'{other.hex()}'")
    state, seen = ledger_finding(broken)
    assert state == "bad"
    assert "book" in seen
