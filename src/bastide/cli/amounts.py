# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How amounts are written for people; JSON has plain numbers of bytes, things and seconds."""

__all__ = ["many", "size", "span"]

_UNITS = ("kB", "MB", "GB", "TB", "PB")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def many(count: int, one: str, more: str = "") -> str:
    """``1 shard``, ``12,461 documents``. more: the plural, if it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def size(count: int) -> str:
    """Bytes: ``512 B``, ``469.3 kB``, ``78.7 GB``."""
    value, unit = float(count), "B"
    for larger in _UNITS:
        if round(value, 1) < 1_000:
            break
        value, unit = value / 1_000, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def span(seconds: float) -> str:
    """``31 s``, ``12 min``, ``3 h 25 min``, ``2 d 4 h``."""
    whole = round(seconds)
    if whole < 2 * _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{round(whole / _MINUTE_S)} min"
    if whole < _DAY_S:
        hours, left = divmod(round(whole / _MINUTE_S), 60)
        return f"{hours} h {left} min"
    days, left = divmod(round(whole / _HOUR_S), 24)
    return f"{days} d {left} h"
