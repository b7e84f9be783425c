# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE. Suites: what models are asked. Pure: a suite is a table, asked by stages/evaluate."""

from bastide.suites.foundation import DEMO_FLOORS, FOUNDATION
from bastide.suites.scoring import pick, score
from bastide.suites.suite import Item, Method, Suite

__all__ = ["DEMO_FLOORS", "SUITES", "Item", "Method", "Suite", "pick", "score"]

SUITES: dict[str, Suite] = {FOUNDATION.name: FOUNDATION}
