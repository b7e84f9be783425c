# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Chain: some filters over one document, in the recipe's order."""

from collections.abc import Callable, Sequence
from typing import Any

from bastide.core.document import Document, Outcome
from bastide.filters.filter import Filter, words_of
from bastide.filters.pseudonym import pseudonym
from bastide.filters.words import Words

__all__ = ["hidden", "masked_name", "run_filters"]


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


def hidden(filters: Sequence[Any], text: str) -> str:
    """A text without what some filter masks or removes, wherever it stands in it."""
    for one in filters:
        if hasattr(one, "hidden"):
            text = one.hidden(text)
    return text


def masked_name(filters: Sequence[Any], key: bytes, ident: str) -> str:
    """The name that a record has in the dataset with this key.

    One that cannot be masked piece by piece is masked as a whole.
    """
    return hidden(filters, ident) or pseudonym(key, "id", ident)
