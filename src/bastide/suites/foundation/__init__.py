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

__all__ = ["FOUNDATION"]

FOUNDATION = Suite(
    name="foundation",
    version=1,
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
