# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to Google's APIs are proto3 JSON; this reads it.

Rules of proto3 JSON:
* A field may be written in camelCase or in snake_case; errors name it in camelCase.
* null is as good as absent; a number may be a string; a list of one may be its only element.
* An unknown field is an error, so a new field of an SDK is never ignored by accident.
Rules of ours:
* A field that would change the answer and that we do not have is refused, and the refusal names
  every such field of the request (the first 32). A value that asks for nothing, as a default does,
  is not refused.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bastide.core.errors import Misconfigured

__all__ = [
    "IGNORED",
    "READ",
    "Shape",
    "decode_json",
    "fields",
    "integer",
    "number",
    "refuse",
    "rows",
    "text",
]

READ: Final = "read"
IGNORED: Final = "ignored"  # does not change the answer
# Per field: READ, IGNORED, the shape of an object, or the values that ask for nothing.
Shape = Mapping[str, Any]

_decoder = msgspec.json.Decoder()
_SNAKE = re.compile(r"_+([a-z0-9])")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?")
_SHOWN_MAX = 64
_NAMED_MAX = 32


def decode_json(body: bytes) -> Any:
    """Read a body. Raises Misconfigured."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"Invalid JSON payload received: {error}.") from error
    except RecursionError as error:
        raise Misconfigured("Invalid JSON payload received: nested too deeply.") from error


def fields(value: Any, place: str, shape: Shape, unsupported: list[str]) -> dict[str, Any]:
    """The READ fields of an object that are there, by their camelCase names.

    Adds to `unsupported` what must be refused. Raises Misconfigured for unknown fields.
    """
    if not isinstance(value, dict):
        raise _wrong(place, "an object")
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = _SNAKE.sub(_upper, key) if "_" in key else key
        at = f"{place}.{name}" if place else name
        rule = shape.get(name)
        if rule is None:
            shown = key[:_SHOWN_MAX]
            where = f" at '{place}'" if place else ""
            message = f"Invalid JSON payload received. Unknown name '{shown}'{where}."
            raise Misconfigured(message, place=f"{place}.{shown}" if place else shown)
        if name in found:
            raise Misconfigured(f"Invalid value: '{at}' is set twice.", place=at)
        found[name] = item
        if item is None or rule is READ or rule is IGNORED:
            continue
        if isinstance(rule, Mapping):
            fields(item, at, rule, unsupported)
        elif not any(type(item) is type(good) and item == good for good in rule):
            unsupported.append(at)
    return {name: item for name, item in found.items() if item is not None and shape[name] is READ}


def refuse(unsupported: list[str]) -> None:
    """Raise Misconfigured if something must be refused."""
    if unsupported:
        first = unsupported[:_NAMED_MAX]
        names = ", ".join(f"'{name}'" for name in first)
        raise Misconfigured(
            f"Unsupported: {names} is not supported with this model.",
            reasons=first,
            place=unsupported[0],
        )


def rows(value: Any) -> list[Any]:
    """A repeated field."""
    return value if isinstance(value, list) else [value]


def text(value: Any, place: str) -> str:
    """A string. Raises Misconfigured."""
    if not isinstance(value, str):
        raise _wrong(place, "a string")
    return value


def integer(value: Any, place: str, low: int, high: int) -> int:
    """An integer of a range. Raises Misconfigured."""
    readable = isinstance(value, str) and _INTEGER.fullmatch(value)
    if readable or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if type(value) is not int:
        raise _wrong(place, "an integer")
    if not low <= value <= high:
        raise _out_of_range(place, low, high)
    return value


def number(value: Any, place: str, low: float, high: float) -> float:
    """A number of a range. Raises Misconfigured."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if type(value) not in (int, float):
        raise _wrong(place, "a number")
    if not low <= value <= high:
        raise _out_of_range(place, low, high)
    return float(value)


def _upper(match: re.Match[str]) -> str:
    return match[1].upper()


def _wrong(place: str, wanted: str) -> Misconfigured:
    at = f" at '{place}'" if place else ""
    return Misconfigured(f"Invalid value{at}: expected {wanted}.", place=place)


def _out_of_range(place: str, low: float, high: float) -> Misconfigured:
    message = f"Invalid value at '{place}': expected a value from {low} to {high}."
    return Misconfigured(message, place=place)
