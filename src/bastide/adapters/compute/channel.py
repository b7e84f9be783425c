# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What passes between a build and a worker on a cluster, sealed: the cluster only carries it.

1. A worker makes an age identity (ML-KEM-768 with X25519) in its memory and says its recipient.
2. The build seals what the worker must hold to that recipient, with a fresh key for the two.
3. Every call and every answer is sealed under that key (ChaCha20-Poly1305, RFC 8439). The nonce is
   the direction and the number of the call, so none serves twice, and an answer fits one call.

Only what was authenticated is unpickled.
"""

import pickle
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from bastide.core.errors import NotProven
from bastide.crypto import age

__all__ = ["ANSWER", "CALL", "hand_over", "open_message", "seal_message", "take_over"]

CALL: Final = b"\0"
ANSWER: Final = b"\1"
_KEY_BYTES: Final = 32


def hand_over(recipient: str, held: object, entropy: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """A new key, and it with what a worker must hold, sealed to that worker."""
    key = entropy(_KEY_BYTES)
    sealed = age.seal([key, pickle.dumps(held)], [age.parse_recipient(recipient)], entropy)
    return key, b"".join(sealed)


def take_over(identity: age.Identity, sealed: bytes) -> tuple[bytes, Any]:
    """The key, and what the worker must hold. Raises NotAllowed or NotProven."""
    data = b"".join(age.open_stream([sealed], [identity]))
    return data[:_KEY_BYTES], pickle.loads(data[_KEY_BYTES:])  # noqa: S301 (sealed to us)


def seal_message(key: bytes, direction: bytes, number: int, value: object) -> bytes:
    """One call, or the answer to it. A number must not serve twice in a direction."""
    nonce = direction + number.to_bytes(11, "big")
    return ChaCha20Poly1305(key).encrypt(nonce, pickle.dumps(value), None)


def open_message(key: bytes, direction: bytes, number: int, data: bytes) -> Any:
    """What `seal_message` was given. Raises NotProven for anything else."""
    nonce = direction + number.to_bytes(11, "big")
    try:
        plain = ChaCha20Poly1305(key).decrypt(nonce, data, None)
    except InvalidTag:
        raise NotProven("what came over the cluster was changed on its way") from None
    return pickle.loads(plain)  # noqa: S301 (authenticated under a key of the two ends)
