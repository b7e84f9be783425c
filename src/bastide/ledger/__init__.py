# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Append, prove, verify: where the stages meet."""

from bastide.ledger.ledger import Ledger

__all__ = ["Ledger"]
