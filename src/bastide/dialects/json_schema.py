# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""JSON schemas that a client sends to bind an answer: bounded before an engine gets to see them.

An engine turns a schema into a grammar, and a grammar can be made to grow without end: so size,
depth and repetitions are bounded here. A reference may only point into the schema itself: nothing
is ever fetched.
"""

from typing import Any, Final

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.limits import SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX, SCHEMA_REPEATS_MAX

__all__ = ["ANY_OBJECT", "schema_text"]

ANY_OBJECT: Final = '{"type":"object"}'
_REPEATS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties")
_LITERAL: Final = ("const", "enum", "default", "examples")  # what is below them is data


def schema_text(raw: bytes | msgspec.Raw, place: str) -> str:
    """The text of a schema, checked. Raises Misconfigured, whose `place` is `place`."""
    if len(bytes(raw)) > SCHEMA_BYTES_MAX:
        raise _wrong(place, f"a schema has at most {SCHEMA_BYTES_MAX} bytes")
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _wrong(place, "it is not JSON") from error
    if not isinstance(value, dict):
        raise _wrong(place, "a schema is an object")
    _check(value, place, SCHEMA_DEPTH_MAX)
    return msgspec.json.encode(value).decode()


def _check(value: Any, place: str, depth: int) -> None:
    if depth == 0:
        raise _wrong(place, f"it is nested deeper than {SCHEMA_DEPTH_MAX} levels")
    if isinstance(value, list):
        for row in value:
            _check(row, place, depth - 1)
    if not isinstance(value, dict):
        return
    for name, row in value.items():
        if name == "$ref" and isinstance(row, str) and not row.startswith("#"):
            raise _wrong(place, "'$ref' may only point into the schema itself ('#/...')")
        if name in _REPEATS and isinstance(row, int | float) and row > SCHEMA_REPEATS_MAX:
            raise _wrong(place, f"'{name}' is at most {SCHEMA_REPEATS_MAX} here")
        if name not in _LITERAL:
            _check(row, place, depth - 1)


def _wrong(place: str, why: str) -> Misconfigured:
    return Misconfigured(f"Invalid schema for '{place}': {why}.", place=place)
