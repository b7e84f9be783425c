# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Pseudonyms: what stands in a text for a value that may not, the same one throughout a dataset.

`<EMAIL:bcdfghjklmnpqrst>`: HMAC-SHA256 of the kind and the value under the key of the dataset, 64
bits of it in sixteen consonants. Whoever destroys the key can link nothing any more.
"""

import hmac
from typing import Final

__all__ = ["pseudonym"]

_LETTERS: Final = "bcdfghjklmnpqrst"  # no digit and no vowel: never a number, seldom a word
_PSEUDONYM_BYTES: Final = 8


def pseudonym(key: bytes, kind: str, value: str) -> str:
    """The pseudonym of a value of a kind under a key of at least 32 bytes."""
    digest = hmac.digest(key, f"{kind}\0{value}".encode(), "sha256")[:_PSEUDONYM_BYTES]
    letters = "".join(_LETTERS[byte >> 4] + _LETTERS[byte & 15] for byte in digest)
    return f"<{kind.upper()}:{letters}>"
