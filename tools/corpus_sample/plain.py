# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Prose of plain text, of Markdown, and of collections of sayings in the form of `fortune`."""

import re

from corpus_sample.hypertext import decoded
from corpus_sample.paragraphs import Page, page_of

__all__ = ["fortune_pages", "plain_pages"]

_PARAGRAPH = re.compile(r"\n\s*\n")
_UNDERLINE = re.compile(r"^[\W_]*$")


def plain_pages(data: bytes) -> list[Page]:
    """Give the paragraphs of a text: what stands between empty lines."""
    pieces = _PARAGRAPH.split(decoded(data).replace("\0", " "))
    return page_of([piece for piece in pieces if not _UNDERLINE.match(piece)])


def fortune_pages(data: bytes) -> list[Page]:
    """Give one page of a collection: each saying is a paragraph."""
    return page_of(re.split(r"(?m)^%.*$", decoded(data)))
