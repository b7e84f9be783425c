# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens (RFC 7519): three parts of base64url, the first an object with ``alg``."""

import base64
import binascii
import re
from typing import Final

from bastide.core.limits import GUARD_JWT_CHARS_MAX
from bastide.detectors.detector import ALONE, Detector, hinted, longest, spelled

__all__ = ["DETECTOR"]

_RUN = r"(?<![0-9A-Za-z_-])" + spelled(("eyJ",), rf"[0-9A-Za-z_.-]{{0,{GUARD_JWT_CHARS_MAX}}}")
_WHOLE = re.compile(r"(eyJ[0-9A-Za-z_-]{10,})\.[0-9A-Za-z_-]{2,}\.[0-9A-Za-z_-]*")


def _end(text: str, at: int, stop: int) -> int:
    found = _WHOLE.match(text, at, stop)
    if found is None:
        return 0
    head = found.group(1)
    try:
        shown = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return 0
    return found.end() if b'"alg"' in shown else 0


DETECTOR: Final = Detector(
    "jwt", "e", longest(_RUN), _end, begins=ALONE + hinted(("eyJ",)), marks=("eyj",)
)
