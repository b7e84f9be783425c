# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Neutral texts: one mark for each kind in place of pseudonyms, whatever key made them.

Which of the documents stay must not depend on the key of the pseudonyms: each dataset has another,
and once it is destroyed nobody could make the same choice again.
"""

import hashlib
import re
from typing import Final

from bastide.core.document import Document
from bastide.detectors.erasure import PSEUDONYM

__all__ = ["neutral", "neutral_order", "order_key"]

_LETTERS: Final = 18  # of a pseudonym behind its kind: a colon, sixteen consonants, a bracket
_HALF: Final = 8


def neutral(text: str) -> str:
    """A text with `<EMAIL>` where it has `<EMAIL:bcdfghjklmnpqrst>`."""
    return PSEUDONYM.sub(_mark, text) if "<" in text else text


def neutral_order(text: str, digest: bytes) -> bytes:
    """What texts are sorted by: the same 16 bytes for equal texts and for no others.

    Texts that differ in their pseudonyms alone stand together, and no key moves them. digest: the
    SHA-256 of the text, of which a text without pseudonyms is sorted by the beginning.
    """
    plain = neutral(text)
    if plain == text:
        return digest[: 2 * _HALF]
    return hashlib.sha256(plain.encode()).digest()[:_HALF] + digest[:_HALF]


def order_key(document: Document, key: bytes) -> bytes:
    """By what a document is preferred to its duplicates, and drawn: its key.

    A name with a pseudonym has another key under another key of the pseudonyms, so such a document
    is ordered by what is neutral of its name and of its text. text: as all steps left it.
    """
    name = neutral(document.ident)
    if name == document.ident:
        return key
    text = hashlib.sha256(neutral(document.text).encode()).digest()
    return hashlib.sha256(f"{document.source}\0{name}\0".encode() + text).digest()


def _mark(found: re.Match[str]) -> str:
    return f"{found[0][:-_LETTERS]}>"
