# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens of GitHub: ``ghp_`` and its kin with a CRC-32 of 30 characters in the last 6, and the
fine-grained ``github_pat_``.
"""

import zlib
from typing import Final

from bastide.detectors.token import token_detector

__all__ = ["FINE", "TOKEN"]

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _holds(token: str) -> bool:
    body, check = token[4:-6], token[-6:]
    value = 0
    for letter in check:
        value = value * 62 + _BASE62.index(letter)
    return value == zlib.crc32(body.encode())


TOKEN: Final = token_detector(
    "github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), "0-9A-Za-z", (36, 36), _holds
)
FINE: Final = token_detector("github-token", ("github_pat_",), "0-9A-Za-z_", (82, 82))
