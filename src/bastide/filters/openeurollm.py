# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenEuroLLM: what the metadata and annotations of a collection say is not to be used.

The reader `openeurollm` notes it; this step removes it and counts why: a document with a
contamination row, one of the block list, or one that the part's budget does not draw. The draw is
by a keyed hash of the name, as that of the step `sample`: the same every time.
"""

from dataclasses import dataclass
from typing import ClassVar

from bastide.core.document import Document, Outcome
from bastide.filters.filter import removed
from bastide.filters.sample import RANKS, rank
from bastide.filters.words import Words

__all__ = ["OpenEuroLlmRules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEuroLlmRules:
    """Removes what the collection marks."""

    ident: ClassVar[str] = "openeurollm"
    rules: ClassVar[tuple[str, ...]] = ("blocked", "contaminated", "not-drawn")

    seed: str = ""  # the recipe's; another seed draws other documents

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document by the reader's notes."""
        notes = document.notes
        if "openeurollm-blocked" in notes:
            return removed(self.ident, "blocked")
        if "openeurollm-contaminated" in notes:
            return removed(self.ident, "contaminated")
        share = float(notes.get("openeurollm-share", 1.0))
        if share < 1 and rank(document.ident, self.seed) >= int(share * RANKS):
            return removed(self.ident, "not-drawn")
        return Outcome(document)
