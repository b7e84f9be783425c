# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Document: one text of a corpus on its way through the steps, and what a step made of it."""

import msgspec

__all__ = ["Document", "Outcome"]


class Document(msgspec.Struct, frozen=True):
    """One text.

    ident: the record's own name, or 64 hex digits over source and place. source: the recipe's
    name of where it is from. language: a label such as `ces_Latn` (ISO 639-3, ISO 15924), or "".
    notes: what the reader and the steps found.
    """

    ident: str
    text: str
    source: str
    url: str = ""
    language: str = ""
    notes: dict[str, str | int | float] = {}


class Outcome(msgspec.Struct, frozen=True):
    """What a step made of a document.

    document: None if it was removed. reason: then `filter-ident/rule`, of a bounded set. notes: to
    be added to those of the document.
    """

    document: Document | None
    reason: str = ""
    notes: dict[str, str | int | float] = {}
