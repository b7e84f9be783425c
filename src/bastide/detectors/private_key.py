# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Private keys in PEM, from their BEGIN line on, whether or not an END follows."""

import re
from typing import Final

from bastide.core.limits import GUARD_PEM_CHARS_MAX
from bastide.detectors.detector import Detector, hinted, longest, spelled

__all__ = ["DETECTOR"]

_HEAD = "-----BEGIN "
_REST = rf"[0-9A-Z ]{{0,40}}(?:-{{1,5}}[0-9A-Za-z+/=\s:,.\\-]{{0,{GUARD_PEM_CHARS_MAX}}})?"
_WHOLE = re.compile(r"-----BEGIN (?:[0-9A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----")
_FOOT = re.compile(r"-----END [0-9A-Z ]{0,40}-----")


def _end(text: str, at: int, stop: int) -> int:
    head = _WHOLE.match(text, at)
    if head is None:
        return 0
    foot = _FOOT.search(text, head.end(), stop)
    return stop if foot is None else foot.end()


DETECTOR: Final = Detector(
    "private-key",
    r"\-",
    longest(spelled((_HEAD,), _REST)),
    _end,
    begins=hinted((_HEAD,)),
    marks=(_HEAD.casefold(),),
)
