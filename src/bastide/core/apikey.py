# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""API keys: ``bst_``, 30 random base62 characters, 6 base62 characters of checksum.

The checksum is CRC-32 of the random part, as in GitHub's tokens: a mistyped key is refused without
a look-up, and a scanner finds leaked keys without false alarms. 30 characters of base62 hold 178
bits, so a keyed hash is enough at rest: the server keeps `mac`, never the key.
"""

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable

from bastide.core.errors import Misconfigured

__all__ = ["ident_of", "is_key", "mac", "make", "parse", "sigv4_ident", "sigv4_pair"]

_PREFIX = "bst_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 30
_CHECK = 6
_SHAPE = re.compile(rf"{_PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECK}}}", re.ASCII)


def make(token: Callable[[int], bytes]) -> str:
    """Make a key from a source of random bytes, such as `Entropy.token`."""
    letters: list[str] = []
    while len(letters) < _RANDOM:
        # 248 is the largest multiple of 62 in a byte; with more, some letters were likelier.
        letters += [_ALPHABET[byte % 62] for byte in token(_RANDOM + _CHECK) if byte < 248]
    body = "".join(letters[:_RANDOM])
    return _PREFIX + body + _checksum(body)


def parse(text: str) -> str:
    """The random part of a key. Raises Misconfigured if `text` is no key; never repeats it."""
    if not _SHAPE.fullmatch(text):
        raise Misconfigured("not an API key", fix=f"a key is {_PREFIX} and 36 letters and digits")
    body, check = text[len(_PREFIX) : -_CHECK], text[-_CHECK:]
    if check != _checksum(body):
        raise Misconfigured("an API key is mistyped: its checksum does not hold")
    return body


def is_key(text: str) -> bool:
    """True if `text` has the form and the checksum of a key."""
    try:
        parse(text)
    except Misconfigured:
        return False
    return True


def ident_of(key: str) -> str:
    """The public id of a key: ``k_`` and 12 hex digits. Raises Misconfigured."""
    digest = hashlib.sha256(b"bastide/key-id/v1" + parse(key).encode())
    return "k_" + digest.hexdigest()[:12]


def mac(pepper: bytes, key: str) -> str:
    """What the server keeps instead of the key: hex HMAC-SHA256 under the pepper."""
    return hmac.digest(pepper, key.encode(), "sha256").hex()


def sigv4_ident(key_id: str) -> str:
    """The AWS access key id that stands for a key: ``BST`` and its id's hex digits in capitals."""
    return "BST" + key_id.removeprefix("k_").upper()


def sigv4_pair(pepper: bytes, key_id: str) -> tuple[str, str]:
    """The AWS access key id and secret that stand for a key: derived, so never kept.

    The secret is 40 characters of base64 of an HMAC-SHA256 of the id under the pepper, which cannot
    collide with a `mac`: no key begins with ``sigv4``.
    """
    secret = hmac.digest(pepper, b"sigv4" + key_id.encode(), "sha256")
    return sigv4_ident(key_id), base64.b64encode(secret).decode()[:40]


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    letters = ""
    for _ in range(_CHECK):
        value, rest = divmod(value, 62)
        letters = _ALPHABET[rest] + letters
    return letters
