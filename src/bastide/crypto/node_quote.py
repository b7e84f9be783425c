# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a node's quote is bound to: 32 bytes that stand for its keys and for control's nonce.

``SHA-256(JCS({"type", "nonce", "node", "deployment", "replica", "keys"}))``. They are a TPM quote's
qualifying data, or the first half of the report data of SEV-SNP and TDX, whose second half is zero.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.crypto.base64url import unb64url

__all__ = ["QUOTE_TYPE", "binding", "opened"]

QUOTE_TYPE: Final = "https://bastide.eu/node-quote/v1"
_BOUND: Final = ("node", "deployment", "replica", "keys")


def binding(body: Mapping[str, Any]) -> bytes:
    """The 32 bytes of the body of a `node/v1`, or of what becomes one."""
    bound = {name: body[name] for name in _BOUND}
    nonce = body["attestation"]["nonce"]
    return hashlib.sha256(canonical({"type": QUOTE_TYPE, "nonce": nonce, **bound})).digest()


def opened(body: Mapping[str, Any], *names: str) -> list[bytes]:
    """The parts of a node's evidence, which are exactly these. Raises NotProven."""
    evidence = body["attestation"]["evidence"]
    if set(evidence) != set(names):
        raise NotProven(f"evidence: {sorted(evidence)} are not {sorted(names)}")
    try:
        return [unb64url(evidence[name]) for name in names]
    except ValueError as error:
        raise NotProven(f"evidence: not base64url: {error}") from error
