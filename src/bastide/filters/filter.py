# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Filter: one rule set with its settings. A frozen dataclass: its fields are its settings.

Rules:
* A filter knows nothing but the document: no disk, no clock, no chance, no other document.
* A removal has one reason, `ident/rule`, of the bounded set that `rules` lists.
* An exception is a fault of ours or of the settings. Nobody catches it to let a document pass.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Protocol

from bastide.core.document import Document, Outcome
from bastide.filters.words import Words

__all__ = ["Filter", "removed", "words_of"]


class Filter(Protocol):
    """A filter.

    ident: its name in recipes and reasons. rules: every rule by which it may remove a document.
    """

    ident: ClassVar[str]
    rules: ClassVar[tuple[str, ...]]

    def apply(self, document: Document, words: Words | None = None) -> Outcome:
        """Judge one document. words: the split of its text, if the caller has it already."""
        ...


def removed(
    ident: str, rule: str, notes: Mapping[str, str | int | float] = MappingProxyType({})
) -> Outcome:
    """The outcome of a document that a rule removes."""
    return Outcome(document=None, reason=f"{ident}/{rule}", notes=dict(notes))


def words_of(document: Document, words: Words | None) -> Words:
    """The split of a document's text: the given one if it is of this text, else a new one."""
    return words if words is not None and words.text is document.text else Words(document.text)
