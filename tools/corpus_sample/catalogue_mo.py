# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Translated sentences of a gettext catalogue in binary form (`.mo`)."""

import re
import struct

from corpus_sample.paragraphs import Page, page_of

__all__ = ["mo_pages"]

_MAGIC = 0x950412DE
_MESSAGES_MAX = 100_000
_MARKUP = re.compile(r"<[^<>]{1,200}>")
_ACCELERATOR = re.compile(r"[&_](?=\w)")
WORDS_MIN = 4  # less is the name of a button


def mo_pages(data: bytes) -> list[Page]:
    """Give one page of a catalogue: each translation that is a sentence is a paragraph of it.

    A message without translation, and one that is the same as its original, is left out.

    Raises:
        ValueError: The file is no catalogue, or a string of it lies outside.
    """
    if len(data) < 28:
        raise ValueError("too short for a catalogue")
    order = next((o for o in "<>" if struct.unpack(o + "I", data[:4])[0] == _MAGIC), None)
    if order is None:
        raise ValueError("no catalogue of gettext: the magic number is another")
    count, originals, translations = struct.unpack(order + "III", data[8:20])
    if count > _MESSAGES_MAX or max(originals, translations) + 8 * count > len(data):
        raise ValueError(f"{count} messages do not fit into the file")

    def string(table: int, index: int) -> str:
        length, offset = struct.unpack_from(order + "II", data, table + 8 * index)
        if offset + length > len(data):
            raise ValueError(f"message {index} lies outside of the file")
        return data[offset : offset + length].decode("utf-8")

    paragraphs: dict[str, None] = {}  # each once, in the order of the catalogue
    for index in range(count):
        original = string(originals, index).rpartition("\4")[2]
        if original:
            sources = original.split("\0")
            for form in string(translations, index).split("\0"):
                clean = " ".join(_ACCELERATOR.sub("", _MARKUP.sub("", form)).split())
                if form not in sources and _is_sentence(clean):
                    paragraphs.setdefault(clean)
    return page_of(list(paragraphs))


def _is_sentence(text: str) -> bool:
    spaced = len(text.split()) >= WORDS_MIN
    return spaced or (len(text) >= 12 and ord(max(text)) >= 0x2E80)  # scripts without spaces
