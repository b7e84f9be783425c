# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Chain: some filters over one document, in the recipe's order."""

from collections.abc import Callable, Sequence

from bastide.core.document import Document, Outcome
from bastide.filters.filter import Filter, words_of
from bastide.filters.words import Words

__all__ = ["run_filters"]


def run_filters(
    filters: Sequence[Filter],
    document: Document,
    watch: Callable[[int, Document], None] | None = None,
) -> Outcome:
    """The first removal, or the document as the last filter left it, with the notes of all.

    The words of a text are split once, however many filters count them. `watch` is told the number
    of each filter and what it gets, before it runs. An exception passes through: the caller refuses
    the build.
    """
    notes: dict[str, str | int | float] = {}
    words: Words | None = None
    for number, one in enumerate(filters):
        if watch is not None:
            watch(number, document)
        words = words_of(document, words)
        outcome = one.apply(document, words)
        notes.update(outcome.notes)
        if outcome.document is None:
            return Outcome(document=None, reason=outcome.reason, notes=notes)
        document = outcome.document
    return Outcome(document=document, notes=notes)
