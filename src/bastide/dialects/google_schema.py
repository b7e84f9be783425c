# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Google's ``Schema`` (that of OpenAPI 3.0, with types in upper case) made a JSON schema."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.limits import SCHEMA_DEPTH_MAX
from bastide.dialects.google_fields import (
    IGNORED,
    READ,
    Shape,
    fields,
    integer,
    number,
    rows,
    text,
)
from bastide.dialects.json_schema import schema_text

__all__ = ["google_schema", "json_schema", "words_schema"]

_TYPES: Final = ("", "string", "number", "integer", "boolean", "array", "object", "null")
_FORMATS: Final = ("date", "time", "date-time", "uuid")  # those that bind a text
_TEXTS: Final = ("title", "description", "pattern")
_COUNTS: Final = (
    *("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"),
)
_SHAPE: Final[Shape] = {
    "$defs": READ,
    "$ref": READ,
    "additionalProperties": READ,
    "anyOf": READ,
    "default": READ,
    "defs": READ,
    "enum": READ,
    "example": IGNORED,
    "format": READ,
    "items": READ,
    "maximum": READ,
    "minimum": READ,
    "nullable": READ,
    "properties": READ,
    "propertyOrdering": READ,
    "ref": READ,
    "required": READ,
    "type": READ,
    **dict.fromkeys((*_TEXTS, *_COUNTS), READ),
}


def google_schema(value: Any, place: str) -> str:
    """The text of a JSON schema that asks for the same. Raises Misconfigured."""
    return schema_text(_encoded(_Reader(place).read(value, SCHEMA_DEPTH_MAX), place), place)


def json_schema(value: Any, place: str) -> str:
    """The text of what is a JSON schema already. Raises Misconfigured."""
    return schema_text(_encoded(value, place), place)


def words_schema(value: Any, place: str) -> str:
    """The text of a schema of one of some words. Raises Misconfigured for any other schema."""
    read = _Reader(place).read(value, SCHEMA_DEPTH_MAX)
    if read.get("type", "string") != "string" or not read.get("enum"):
        raise Misconfigured(
            f"Invalid value at '{place}': expected an enum of strings.", place=place
        )
    return schema_text(_encoded({"type": "string", "enum": read["enum"]}, place), place)


class _Reader:
    """Reads one schema. Whatever is wrong in it, `place` is where the schema lies."""

    def __init__(self, place: str) -> None:
        self._place = place

    def read(self, value: Any, depth: int) -> dict[str, Any]:
        if depth == 0:
            raise self._wrong(f"it is nested deeper than {SCHEMA_DEPTH_MAX} levels")
        given = fields(value, self._place, _SHAPE, [])
        out: dict[str, Any] = {}
        kind = self._type(given.get("type"))
        if kind:
            out["type"] = kind
        for name, item in given.items():
            if name in _TEXTS:
                out[name] = text(item, self._place)
            elif name in _COUNTS:
                out[name] = integer(item, self._place, 0, 2**31 - 1)
            elif name in ("minimum", "maximum"):
                bound = number(item, self._place, -(2.0**63), 2.0**63)
                out[name] = int(bound) if bound.is_integer() and abs(bound) < 2**53 else bound
        if given.get("format") in _FORMATS:
            out["format"] = given["format"]
        if "default" in given:
            out["default"] = given["default"]
        if "enum" in given:
            out["enum"] = [self._word(word, kind) for word in rows(given["enum"])]
        self._inner(given, out, depth - 1)
        return _or_null(out) if self._flag(given.get("nullable")) else out

    def _inner(self, given: Mapping[str, Any], out: dict[str, Any], depth: int) -> None:
        """What has schemas in it, or names what has."""
        if "items" in given:
            out["items"] = self.read(given["items"], depth)
        if "anyOf" in given:
            out["anyOf"] = [self.read(row, depth) for row in rows(given["anyOf"])]
        more = given.get("additionalProperties")
        if more is not None:
            out["additionalProperties"] = more if isinstance(more, bool) else self.read(more, depth)
        if "properties" in given:
            read = self._each(given["properties"], depth)
            order = [text(name, self._place) for name in rows(given.get("propertyOrdering", []))]
            # A value is made in the order in which its schema names its properties.
            first = {name: read[name] for name in order if name in read}
            out["properties"] = first | read
        if "required" in given:
            out["required"] = [text(name, self._place) for name in rows(given["required"])]
        for name in ("defs", "$defs"):
            if name in given:
                out["$defs"] = self._each(given[name], depth)
        for name in ("ref", "$ref"):
            if name in given:
                out["$ref"] = text(given[name], self._place).replace("#/defs/", "#/$defs/")

    def _each(self, value: Any, depth: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong("expected an object of schemas")
        return {name: self.read(row, depth) for name, row in value.items()}

    def _type(self, value: Any) -> str:
        if value is None or value == "TYPE_UNSPECIFIED":
            return ""
        if type(value) is int and 0 <= value < len(_TYPES):
            return _TYPES[value]
        kind = value.lower() if isinstance(value, str) else ""
        if kind not in _TYPES[1:]:
            raise self._wrong("its type is unknown")
        return kind

    def _word(self, value: Any, kind: str) -> Any:
        """A word of an enum; Google writes those of numbers as strings, too."""
        read: Callable[..., Any] | None = {"integer": integer, "number": number}.get(kind)
        if read is not None:
            return read(value, self._place, -(2**53), 2**53)
        return text(value, self._place)

    def _flag(self, value: Any) -> bool:
        if value is not None and not isinstance(value, bool):
            raise self._wrong("'nullable' is true or false")
        return bool(value)

    def _wrong(self, why: str) -> Misconfigured:
        return Misconfigured(f"Invalid schema at '{self._place}': {why}.", place=self._place)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    out = dict(schema)
    if "$ref" in out:
        return {"anyOf": [out, {"type": "null"}]}
    if "anyOf" in out:
        out["anyOf"] = [*out["anyOf"], {"type": "null"}]
    if "enum" in out:
        out["enum"] = [*out["enum"], None]
    if "type" in out:
        out["type"] = [out["type"], "null"]
    return out


def _encoded(value: Any, place: str) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (OverflowError, RecursionError) as error:
        raise Misconfigured(f"Invalid schema at '{place}': {error}.", place=place) from error
