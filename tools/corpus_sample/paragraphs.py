# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What every extractor gives: a page of paragraphs, or nothing."""

import re
from dataclasses import dataclass

__all__ = ["Page", "page_of"]

CHARACTERS_MIN = 80  # less is a title, a redirection or a table of contents
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Page:
    """One document of a source: its text, and its place within the file it came from."""

    text: str
    part: str = ""  # of a file with several pages: the name of this one
    language: str = ""  # as the file itself declares it, a locale; empty: it does not


def page_of(paragraphs: list[str], part: str = "", language: str = "") -> list[Page]:
    """Give one page of these paragraphs, white space made plain; none if too little is left."""
    kept = [clean for text in paragraphs if (clean := _SPACES.sub(" ", text).strip())]
    text = "\n\n".join(kept)
    if len(text) < CHARACTERS_MIN or not any(character.isalpha() for character in text):
        return []
    # A lone surrogate is no text: JSON in UTF-8 could not carry it.
    return [Page(text.encode("utf-8", "replace").decode(), part, language)]
