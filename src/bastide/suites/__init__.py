# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""CATALOGUE. Suites: what models are asked. Pure: a suite is a table, asked by stages/evaluate."""

from bastide.core.embedding import embeds
from bastide.suites.foundation import DEMO_FLOORS, FOUNDATION
from bastide.suites.scoring import closest, pick, score
from bastide.suites.similarity import EMBEDDING_FLOORS, SIMILARITY
from bastide.suites.suite import Item, Method, Suite

__all__ = [
    "DEMO_FLOORS",
    "EMBEDDING_FLOORS",
    "SUITES",
    "Item",
    "Method",
    "Suite",
    "closest",
    "pick",
    "score",
    "suite_for",
]

SUITES: dict[str, Suite] = {suite.name: suite for suite in (FOUNDATION, SIMILARITY)}


def suite_for(architecture: str) -> Suite:
    """The suite that a model is asked unless somebody names another."""
    return SIMILARITY if embeds(architecture) else FOUNDATION
