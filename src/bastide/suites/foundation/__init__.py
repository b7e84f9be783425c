# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The built-in suite `foundation`: nine short benchmarks, written for Bastide, CC0-1.0.

It is a smoke test that a model works, loads undamaged and speaks; not a ranking. What each
benchmark shows, and what it does not, stands in docs/reference/suites.md.
"""

from bastide.suites.foundation.arithmetic import ARITHMETIC
from bastide.suites.foundation.conduct import ACCEPTANCE, REFUSAL
from bastide.suites.foundation.exact import EXACT
from bastide.suites.foundation.knowledge import KNOWLEDGE
from bastide.suites.foundation.language import LANGUAGE
from bastide.suites.foundation.leakage import LEAKAGE
from bastide.suites.foundation.reading import READING
from bastide.suites.foundation.reasoning import REASONING
from bastide.suites.suite import Suite

__all__ = ["DEMO_FLOORS", "FOUNDATION"]

# What the demo's policy asks of SmolLM2-135M: above chance (0.25), and more than two standard
# errors below what was measured, so that another machine's rounding does not refuse the model.
# Benchmarks at which a model of that size is no better than chance have no floor.
DEMO_FLOORS: dict[str, float] = {"knowledge": 0.75, "reasoning": 0.5}

FOUNDATION = Suite(
    name="foundation",
    version="1",
    items=(
        *KNOWLEDGE,
        *LANGUAGE,
        *REASONING,
        *READING,
        *ARITHMETIC,
        *EXACT,
        *REFUSAL,
        *ACCEPTANCE,
        *LEAKAGE,
    ),
)
