# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A repeatable stream of bytes. For tests only: everybody can predict it."""

import hashlib

__all__ = ["SeededEntropy"]


class SeededEntropy:
    """SHA-256 in counter mode over a seed."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def token(self, count: int) -> bytes:
        """`count` bytes that depend on the seed and on what was drawn before."""
        out = b""
        while len(out) < count:
            self._count += 1
            out += hashlib.sha256(self._seed + self._count.to_bytes(8)).digest()
        return out[:count]
