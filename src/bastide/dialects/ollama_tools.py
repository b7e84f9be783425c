# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ollama's tools, calls and `format`.

Arguments are an object, not a text. A result says whose it is by `tool_name`, or by
`tool_call_id`, or not at all: then it answers the oldest call without a result.
"""

import re
from typing import Any, Final

import msgspec

from bastide.core.chat import Tool, ToolCall
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_TOOLS_MAX
from bastide.dialects.json_schema import ANY_OBJECT, schema_text
from bastide.dialects.openai_fields import ABSENT

__all__ = ["Called", "Offered", "calls_json", "calls_of", "schema_of", "tools_of"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_NOTHING: Final = (b"null", b'""')


class _Function(msgspec.Struct):
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = ABSENT


class Offered(msgspec.Struct):
    """One of `tools`."""

    function: _Function
    type: str | None = None


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: dict[str, Any] | None = None


class Called(msgspec.Struct):
    """One of a turn's `tool_calls`."""

    function: _CalledFunction
    id: str | None = None


def tools_of(given: list[Offered] | None) -> tuple[Tool, ...]:
    """Read `tools`. Raises Misconfigured."""
    rows = given or []
    if len(rows) > REQUEST_TOOLS_MAX:
        raise Misconfigured(f"Invalid 'tools': at most {REQUEST_TOOLS_MAX}.", place="tools")
    tools: dict[str, Tool] = {}
    for index, row in enumerate(rows):
        place, function = f"tools[{index}]", row.function
        if row.type not in (None, "", "function"):
            raise Misconfigured(
                f"Invalid '{place}.type': only functions can be called.",
                reasons=[f"{place}.type"],
                place=f"{place}.type",
            )
        at = f"{place}.function.name"
        if not _NAME.fullmatch(function.name):
            message = f"Invalid '{at}': a name has letters, digits and any of '_.:-'."
            raise Misconfigured(message, place=at)
        if function.name in tools:
            raise Misconfigured(f"Invalid '{at}': this name is there twice.", place=at)
        nothing = function.parameters is ABSENT or bytes(function.parameters) in _NOTHING
        schema = "{}"
        if not nothing:
            schema = schema_text(function.parameters, f"{place}.function.parameters")
        tools[function.name] = Tool(function.name, function.description or "", schema)
    return tuple(tools.values())


def schema_of(given: msgspec.Raw) -> str | None:
    """Read `format`: "json", or a schema. Raises Misconfigured."""
    if given is ABSENT or bytes(given) in _NOTHING:
        return None
    if bytes(given) == b'"json"':
        return ANY_OBJECT
    if not bytes(given).startswith(b"{"):
        raise Misconfigured("Invalid 'format': use \"json\" or a JSON schema.", place="format")
    return schema_text(given, "format")


def calls_of(given: list[Called] | None) -> list[ToolCall]:
    """Read a turn's `tool_calls`; an id may be empty."""
    return [
        ToolCall(
            row.id or "",
            row.function.name,
            msgspec.json.encode(row.function.arguments or {}).decode(),
        )
        for row in given or []
    ]


def calls_json(calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
    """`tool_calls` of an answer. A call whose arguments were cut short is none."""
    out = []
    for index, call in enumerate(calls):
        try:
            arguments = msgspec.json.decode(call.arguments, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            continue
        function = {"index": index, "name": call.name, "arguments": arguments}
        out.append({"id": call.ident, "function": function})
    return out
