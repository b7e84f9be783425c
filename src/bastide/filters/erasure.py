# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Erasure: a document about somebody who was erased from the datasets never comes back.

The standing list holds hashes only. It is the environment's and no recipe's: every build has this
step before all others, as soon as anybody was erased.
"""

from typing import ClassVar, Final

from bastide.core.document import Document, Outcome
from bastide.core.erasure import ErasureList
from bastide.detectors.erasure import ErasureSearch
from bastide.filters.filter import removed
from bastide.filters.words import Words

__all__ = ["ERASURE", "ERASURE_REASON", "Erasure", "names_subject"]

ERASURE: Final = "erasure"
ERASURE_REASON: Final = f"{ERASURE}/subject"


class Erasure:
    """Removes what a list names, in the text or in what is kept beside it."""

    ident: ClassVar[str] = ERASURE
    rules: ClassVar[tuple[str, ...]] = ("subject",)

    def __init__(self, listed: ErasureList) -> None:
        self.search = ErasureSearch(listed)

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document."""
        fields = (document.text, document.ident, document.url)
        if names_subject(self.search, fields, document.notes):
            return removed(self.ident, "subject")
        return Outcome(document)


def names_subject(
    search: ErasureSearch, fields: tuple[str, ...], notes: dict[str, str | int | float]
) -> bool:
    """Whether somebody is named in one of some fields, or in a note."""
    return any(map(search.finds, fields)) or any(
        isinstance(note, str) and search.finds(note) for note in notes.values()
    )
