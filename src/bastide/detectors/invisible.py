# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Characters that nobody sees and that carry text or turn it around.

Tag characters and runs of variation selectors smuggle whole messages; bidirectional controls
show another order than they have; zero-width characters break words apart for every filter;
control characters drive terminals. Where a script or an emoji needs such a character it is let
through: joiners after letters that are not Latin, one selector after a symbol, three flags.
"""

import re
from typing import Final

from bastide.detectors.detector import Detector

__all__ = ["CLASS", "DETECTOR"]

_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ZERO = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"
_OTHER = "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\U0001d173-\U0001d17a"
CLASS: Final = _CONTROL + _BIDI + _ZERO + _OTHER

_HIDDEN = re.compile(f"[{CLASS}]")
_LATIN_END = 0x2FF  # what comes behind it needs joiners, or is a symbol
_FLAGS = tuple(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in name) + "\U000e007f"
    for name in ("gbeng", "gbsct", "gbwls")
)


def _run(text: str, at: int) -> int:
    return at + 1


def _end(text: str, at: int, stop: int) -> int:
    sign, before = text[at], text[at - 1] if at else ""
    plain = bool(before) and not _HIDDEN.match(before)
    if sign in "\u200b\u200c\u200d\u200e\u200f\u061c":
        # An emoji may have a selector between itself and the joiner.
        if before == "\ufe0f" and sign == "\u200d":
            plain, before = at > 1, text[at - 2 : at - 1]
        allowed = plain and ord(before) > _LATIN_END
    elif sign in "\ufe0e\ufe0f":
        allowed = plain and (before in "0123456789#*©®" or ord(before) > _LATIN_END)
    elif "\ufe00" <= sign <= "\ufe0d" or "\U000e0100" <= sign <= "\U000e01ef":
        allowed = plain and ord(before) > _LATIN_END
    elif "\U000e0000" <= sign <= "\U000e007f":
        black = text.rfind("\U0001f3f4", max(0, at - 7), at)
        allowed = black >= 0 and any(flag.startswith(text[black:stop]) for flag in _FLAGS)
    else:
        allowed = "\u180b" <= sign <= "\u180f" and plain and ord(before) > _LATIN_END
    return 0 if allowed else at + 1


DETECTOR: Final = Detector("invisible", CLASS, _run, _end, mask="")
