# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A sealed request, as those see it who cannot open it (docs/adr, sealed mode).

`Sealed` is all that the gateway knows of it. What is bound to the ciphertext (`bound`) no one on
the way can change: opening fails then.
"""

from typing import Any, Final

import msgspec

from bastide.core.canonical import canonical

__all__ = ["SUITE", "Sealed", "bound", "padded_bytes"]

# The one suite (RFC 9180). A request that names another is refused: there is no downgrade.
SUITE: Final = "x25519-hkdf-sha256-chacha20poly1305"


class Sealed(msgspec.Struct, frozen=True):
    """What stands beside the ciphertext.

    `node` is the quoted HPKE key of the one node that can open it; it serves the replica of this
    number. The ciphertext is the request's `prompt`, in base64url.
    """

    suite: str
    node: str
    replica: int

    def __repr__(self) -> str:
        return f"Sealed({self.node})"


def bound(suite: str, node: str, replica: int, model: str, tokens_max: int) -> bytes:
    """What a ciphertext is bound to."""
    row: dict[str, Any] = {
        "type": "https://bastide.eu/sealed-request/v1",
        "suite": suite,
        "node": node,
        "replica": replica,
        "model": model,
        "tokens_max": tokens_max,
    }
    return canonical(row)


def padded_bytes(length: int, least: int) -> int:
    """The size that something of `length` bytes is padded to: 2**n or 3 * 2**n, and not less.

    So a size tells no more than one of two steps for each doubling, for at most half as much again.
    """
    size = least
    while size < length:
        size = size * 3 // 2 if size & (size - 1) == 0 else size // 3 * 4
    return size
