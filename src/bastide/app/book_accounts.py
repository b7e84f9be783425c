# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What budgets have spent, by the receipts of the book.

From the book and not from what came in: the order of the book decides which attempt at a call
counts, and after a restart the same receipts are counted again.
"""

from bastide.core.billing import Accounts
from bastide.core.budget import Per, period
from bastide.core.limits import RETRY_MS
from bastide.ledger.receipts import ReceiptBook

__all__ = ["BookAccounts"]


class BookAccounts:
    """The accounts of this month, which follow a book."""

    def __init__(self, book: ReceiptBook) -> None:
        self._book = book
        self._accounts = Accounts()
        self._taken = -1  # the number up to which the accounts have the book's receipts

    def at(self, now_ms: int) -> Accounts:
        """The accounts with all that the book has now."""
        month_ms, _ = period(Per.MONTH, now_ms)
        if self._taken < 0:
            # No budget asks for an earlier month, and no retry replaces an attempt before that.
            self._taken = self._book.since(month_ms - RETRY_MS)
        for receipt in self._book.receipts(self._taken):
            self._accounts.take(receipt)
            self._taken += 1
        self._accounts.forget_before(month_ms)
        return self._accounts
