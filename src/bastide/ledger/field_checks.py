# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a field of a statement may hold: functions that say yes or no, and makers of such."""

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "Check",
    "amount",
    "base64url",
    "beginning",
    "count",
    "digest",
    "fields",
    "hex64",
    "list_of",
    "long_text",
    "map_of",
    "number",
    "one_of",
    "or_null",
    "share",
    "text",
]

Check = Callable[[Any], bool]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Whatever else looks like the name of an object is none, and denies nothing.
_BEGINNING = re.compile(r"\*|[a-z0-9_-][a-z0-9._/-]{0,999}")
_HEX = re.compile(r"[0-9a-f]{64}")


def text(value: Any) -> bool:
    """Text of at most 4,096 characters."""
    return isinstance(value, str) and len(value) <= 4_096


def long_text(value: Any) -> bool:
    """Text of at most 32,768 characters: access policies."""
    return isinstance(value, str) and len(value) <= 32_768


def base64url(value: Any) -> bool:
    """Base64url of a quote, a key or a certificate."""
    return isinstance(value, str) and len(value) <= 32_768


def beginning(value: Any) -> bool:
    """The name of a sealed object, or the beginning of one; ``*`` is all."""
    return isinstance(value, str) and _BEGINNING.fullmatch(value) is not None


def digest(value: Any) -> bool:
    """``sha256:`` and 64 hex digits."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def hex64(value: Any) -> bool:
    """64 hex digits."""
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def count(value: Any) -> bool:
    """A whole number from 0 on."""
    return type(value) is int and value >= 0


def amount(value: Any) -> bool:
    """A whole number that every reader of JSON takes exactly."""
    return count(value) and value < 2**53


def number(value: Any) -> bool:
    """A number from 0 on."""
    return type(value) in {int, float} and value >= 0


def share(value: Any) -> bool:
    """A number from 0 to 1."""
    return number(value) and value <= 1


def one_of(*allowed: str) -> Check:
    """One of these words."""
    return lambda value: isinstance(value, str) and value in allowed


def or_null(check: Check) -> Check:
    """That, or null."""
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    """A list of that."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def map_of(check: Check) -> Check:
    """An object whose every value is that."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def fields(fields: Mapping[str, Check], optional: frozenset[str] = frozenset()) -> Check:
    """An object with these fields, of which some may be missing, and no other."""
    return lambda value: (
        isinstance(value, dict)
        and fields.keys() - optional <= value.keys() <= fields.keys()
        and all(check(value[name]) for name, check in fields.items() if name in value)
    )
