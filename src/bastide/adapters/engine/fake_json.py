# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the fake engine says when a schema binds it: the simplest value that the schema allows.

It knows the keywords that tests and demonstrations use, and no more.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from bastide.core.errors import Misconfigured

__all__ = ["example_of"]

_DEPTH_MAX: Final = 16
_FIRST: Final = ("anyOf", "oneOf", "allOf")
_SIMPLE: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "string": lambda schema: "wall" * -(-schema.get("minLength", 1) // 4),
    "integer": lambda schema: schema.get("minimum", 7),
    "number": lambda schema: schema.get("minimum", 7),
    "boolean": lambda schema: True,
    "null": lambda schema: None,
}


def example_of(schema: str, *, last: bool = False) -> str:
    """The JSON text of a value. `schema` is the JSON text of its schema.

    With `last` it is the last of what the schema's top level allows, else the first.
    """
    root = json.loads(schema)
    chosen = root["anyOf"][-1] if last and "anyOf" in root else root
    return json.dumps(_value(chosen, root, _DEPTH_MAX))


def _value(schema: Any, root: Any, depth: int) -> Any:
    if depth == 0 or not isinstance(schema, dict):
        return {}
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    meant = [schema[name][0] for name in _FIRST if name in schema]
    if "$ref" in schema:
        meant.append(_found(schema["$ref"], root))
    if meant:
        return _value(meant[0], root, depth - 1)
    given = schema.get("type", "object")
    kind = given[0] if isinstance(given, list) else given
    if kind == "array":
        item = _value(schema.get("items", {"type": "null"}), root, depth - 1)
        return [item] * schema.get("minItems", 1)
    if kind in _SIMPLE:
        return _SIMPLE[kind](schema)
    rows = schema.get("properties", {})
    return {name: _value(row, root, depth - 1) for name, row in rows.items()}


def _found(reference: str, root: Any) -> Any:
    for name in filter(None, reference.removeprefix("#").split("/")):
        if not isinstance(root, dict) or name not in root:
            raise Misconfigured(f"the schema refers to {reference!r}, which is not there")
        root = root[name]
    return root
