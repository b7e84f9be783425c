# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The operating system's generator."""

import os

__all__ = ["SystemEntropy"]


class SystemEntropy:
    """Draws from getrandom(2)."""

    def token(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return os.urandom(count)
