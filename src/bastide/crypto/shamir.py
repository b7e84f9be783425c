# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Shamir's secret sharing over GF(256), byte by byte, in the form of HashiCorp Vault.

A share is one byte of each polynomial, and the x at which it was taken as the last byte. The field
is that of AES (x^8 + x^4 + x^3 + x + 1). Shares carry no check: whoever combines must have one.
Nothing branches or looks up by secret values. Vectors: tests/unit/test_quorum.py.
"""

from collections.abc import Callable, Iterable, Sequence

from bastide.core.errors import Misconfigured

__all__ = ["combine", "split"]

_SHARES_MAX = 255


def split(secret: bytes, count: int, threshold: int, token: Callable[[int], bytes]) -> list[bytes]:
    """Split a secret so that any `threshold` of `count` shares give it, and fewer tell nothing.

    `token` gives random bytes. Raises Misconfigured for numbers that make no quorum.
    """
    if not secret or not 2 <= threshold <= count <= _SHARES_MAX:
        raise Misconfigured(f"no quorum: {threshold} of {count} shares")
    rows = [(byte, *token(threshold - 1)) for byte in secret]
    return [bytes(_value(row, x) for row in rows) + bytes([x]) for x in range(1, count + 1)]


def combine(shares: Sequence[bytes]) -> bytes:
    """The secret of shares. Of too few, or of those of another secret, it is noise.

    Raises Misconfigured for shares that cannot be of one secret.
    """
    places = [share[-1] for share in shares if share]
    if len(shares) < 2 or len({len(share) for share in shares}) != 1 or len(shares[0]) < 2:
        raise Misconfigured("shares are two or more, of one length")
    if len(set(places)) != len(places) or 0 in places:
        raise Misconfigured("a share is there twice, or is damaged")
    weights = [_weight(places, x) for x in places]
    return bytes(
        _sum(_times(share[at], weight) for share, weight in zip(shares, weights, strict=True))
        for at in range(len(shares[0]) - 1)
    )


def _value(row: Sequence[int], x: int) -> int:
    """A polynomial at x; its first number is that at 0."""
    value = 0
    for number in reversed(row):
        value = _times(value, x) ^ number
    return value


def _weight(places: Sequence[int], x: int) -> int:
    """What the share at x counts at 0 (Lagrange)."""
    weight = 1
    for other in places:
        if other != x:
            weight = _times(weight, _times(other, _inverse(other ^ x)))
    return weight


def _sum(numbers: Iterable[int]) -> int:
    total = 0
    for number in numbers:
        total ^= number
    return total


def _times(left: int, right: int) -> int:
    product = 0
    for _ in range(8):
        product ^= -(right & 1) & left
        left = (left << 1) ^ (-(left >> 7) & 0x11B)
        right >>= 1
    return product


def _inverse(number: int) -> int:
    """number^254 (Fermat)."""
    result = 1
    for _ in range(7):
        number = _times(number, number)
        result = _times(result, number)
    return result
