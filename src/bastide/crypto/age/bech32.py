# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Bech32 (BIP 173) without a length limit, as C2SP age.md uses it for keys."""

from collections.abc import Iterable

from bastide.core.errors import Misconfigured

__all__ = ["decode", "encode"]

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6
_TEXT_MAX = 4_096  # the longest key, age1pq, has 1,959 characters


def encode(prefix: str, data: bytes) -> str:
    """Encode bytes under a human-readable prefix. An upper-case prefix gives an upper-case text."""
    lower = prefix.lower()
    values = _regroup(data, 8, 5, pad=True)
    checksum = _polymod([*_expand(lower), *values, *[0] * _CHECKSUM_LENGTH]) ^ 1
    values += [(checksum >> 5 * (5 - place)) & 31 for place in range(_CHECKSUM_LENGTH)]
    text = lower + "1" + "".join(_ALPHABET[value] for value in values)
    return text.upper() if prefix != lower else text


def decode(text: str) -> tuple[str, bytes]:
    """Return the prefix (in its own case) and the bytes. Raises Misconfigured.

    The message never holds the text: it may be a secret key.
    """
    lower = text.lower()
    place = lower.rfind("1")
    mixed = text not in (lower, text.upper())
    if mixed or len(text) > _TEXT_MAX or place < 1 or place + 1 + _CHECKSUM_LENGTH > len(text):
        raise Misconfigured("not a Bech32 text", fix="copy the whole key again")
    prefix, rest = lower[:place], lower[place + 1 :]
    if any(not 33 <= ord(character) <= 126 for character in prefix):
        raise Misconfigured("not a Bech32 text: bad prefix", fix="copy the whole key again")
    try:
        values = [_VALUES[character] for character in rest]
    except KeyError:
        raise Misconfigured(
            "not a Bech32 text: bad character", fix="copy the whole key again"
        ) from None
    if _polymod([*_expand(prefix), *values]) != 1:
        raise Misconfigured("the Bech32 checksum is wrong", fix="copy the whole key again")
    data = bytes(_regroup(values[:-_CHECKSUM_LENGTH], 5, 8, pad=False))
    return text[:place], data


def _polymod(values: Iterable[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, word in enumerate(_GENERATOR):
            if top >> bit & 1:
                state ^= word
    return state


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _regroup(values: Iterable[int], width: int, to: int, *, pad: bool) -> list[int]:
    accumulator = bits = 0
    out = []
    for value in values:
        accumulator = (accumulator << width | value) & ((1 << (width + to)) - 1)
        bits += width
        while bits >= to:
            bits -= to
            out.append(accumulator >> bits & ((1 << to) - 1))
    rest = accumulator & ((1 << bits) - 1)
    if pad and bits:
        out.append(rest << (to - bits))
    elif not pad and (bits >= width or rest):
        raise Misconfigured("not a Bech32 text: bad padding", fix="copy the whole key again")
    return out
