# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Base64url without padding (RFC 4648, section 5), as JOSE and WebAuthn write it."""

import base64
import binascii

__all__ = ["b64url", "unb64url"]


def b64url(data: bytes) -> str:
    """Write bytes."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64url(text: str) -> bytes:
    """Read what `b64url` wrote, in its one form. Raises ValueError."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if b64url(data) != text:
        raise binascii.Error("stray bits")
    return data
