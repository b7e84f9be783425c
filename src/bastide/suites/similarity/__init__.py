# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The built-in suite `similarity`: does an embedding model put near what belongs together?

Two short benchmarks, written for Bastide, CC0-1.0. It is a smoke test that a model works, loads
undamaged and pools rightly; not a ranking.
"""

from bastide.suites.similarity.paraphrase import PARAPHRASE
from bastide.suites.similarity.retrieval import RETRIEVAL
from bastide.suites.suite import Suite

__all__ = ["EMBEDDING_FLOORS", "SIMILARITY"]

# What the demo's policy asks of all-MiniLM-L6-v2: far above chance (0.25), and more than two
# standard errors below what was measured.
EMBEDDING_FLOORS: dict[str, float] = {"paraphrase": 0.75, "retrieval": 0.75}

SIMILARITY = Suite(name="similarity", version="1", items=(*PARAPHRASE, *RETRIEVAL))
