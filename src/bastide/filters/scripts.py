# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The script that most letters of a text are in, as ISO 15924 names it.

By the blocks of Unicode in which a script's letters stand; what is rarer than these is Zyyy. Han
is Hani, and Japanese and Korean are known by their own letters, as corpora label them.
"""

import functools
import re
from collections import Counter
from typing import Final

__all__ = ["SAME_SCRIPT", "SCRIPTS", "script"]

# Names that corpora give to what is one script here.
SAME_SCRIPT: Final = {"Hans": "Hani", "Hant": "Hani", "Kore": "Hang"}

_LETTERS: Final = {
    "Latn": "A-Za-z\xaa\xba\xc0-\xd6\xd8-\xf6\xf8-\u02af\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff",
    "Grek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrl": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "Armn": "\u0530-\u058f",
    "Hebr": "\u0590-\u05ff",
    "Arab": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc",
    "Deva": "\u0900-\u097f",
    "Beng": "\u0980-\u09ff",
    "Guru": "\u0a00-\u0a7f",
    "Gujr": "\u0a80-\u0aff",
    "Orya": "\u0b00-\u0b7f",
    "Taml": "\u0b80-\u0bff",
    "Telu": "\u0c00-\u0c7f",
    "Knda": "\u0c80-\u0cff",
    "Mlym": "\u0d00-\u0d7f",
    "Sinh": "\u0d80-\u0dff",
    "Thai": "\u0e00-\u0e7f",
    "Laoo": "\u0e80-\u0eff",
    "Mymr": "\u1000-\u109f",
    "Geor": "\u10a0-\u10ff",
    "Ethi": "\u1200-\u139f",
    "Khmr": "\u1780-\u17ff",
    "Hang": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Jpan": "\u3040-\u30ff",
    "Hani": "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f",
}
SCRIPTS: Final = frozenset(_LETTERS)
_ONE: Final = {name: re.compile(f"[{letters}]") for name, letters in _LETTERS.items()}
_LATIN: Final = _ONE["Latn"]
_OTHER: Final = re.compile(f"[^\0-\xa9\xab-\xb9\xbb-\xbf\xd7\xf7\u2000-\u2bff{_LETTERS['Latn']}]")


def script(text: str) -> str:
    """The script of most letters; Zyyy if there is none that we know."""
    # Most texts are in Latin letters from end to end; then one look is enough.
    if _OTHER.search(text) is None:
        return "Latn" if _LATIN.search(text) else "Zyyy"
    counts = dict.fromkeys(_ONE, 0)
    for letter, count in Counter(text).items():
        if name := _script_of(letter):
            counts[name] += count
    # Japanese is mostly Han with some kana, Korean never is.
    if counts["Jpan"] and counts["Jpan"] * 10 >= counts["Hani"]:
        counts["Jpan"] += counts["Hani"]
        counts["Hani"] = 0
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else "Zyyy"


@functools.cache
def _script_of(letter: str) -> str:
    """The script of one letter; "" if it is none that we know."""
    return next((name for name, one in _ONE.items() if one.match(letter)), "")
