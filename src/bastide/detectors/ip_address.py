# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses of hosts on the public internet: IPv4 in four numbers, IPv6 of the 2000::/3 block.

Private, loopback and documentation addresses belong to nobody and are let through; so are the
four-part versions that name themselves ("version 1.2.3.4").
"""

import ipaddress
import re
from typing import Final

from bastide.detectors.detector import DIGITS, Detector, after_word, longest

__all__ = ["DETECTOR"]

_BEGINS = r"(?<![0-9A-Za-z.:_-])[0-9]"
_RUN = _BEGINS + r"[0-9A-Fa-f.:]{0,44}"
_VERSION = after_word(r"version|versions|release|section|chapter|build|v", 16)


def _end(text: str, at: int, stop: int) -> int:
    end = stop
    while end > at and text[end - 1] in ".:":
        end -= 1
    shown = text[at:end]
    following = text[end : end + 2]
    if not re.match(r"(?![0-9A-Za-z_])(?!\.[0-9])", following):
        return 0
    if "." in shown and _VERSION(text, at):
        return 0
    try:
        address = ipaddress.ip_address(shown)
    except ValueError:
        return 0
    return end if address.is_global and not address.is_multicast else 0


DETECTOR: Final = Detector("ip-address", "0-9", longest(_RUN), _end, begins=_BEGINS, marks=DIGITS)
