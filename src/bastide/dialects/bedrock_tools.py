# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools, the choice among them, and the schema of an answer, in a Converse request."""

import re
from typing import Final

import msgspec

from bastide.core.chat import ChoiceMode, Tool, ToolChoice
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_TOOLS_MAX
from bastide.dialects import bedrock_body
from bastide.dialects.bedrock_body import OutputConfig, ToolConfig, ToolSpec, wrong
from bastide.dialects.json_schema import schema_text

__all__ = ["read_schema", "read_tools"]

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SHOWN_MAX: Final = 100
_NORMAL_EFFORT: Final = (None, "", "high")


def read_tools(given: ToolConfig | None) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The caller's tools, and whether they may or must be called. Raises Misconfigured."""
    entries = [] if given is None else given.tools or []
    if len(entries) > REQUEST_TOOLS_MAX:
        raise wrong("toolConfig.tools", f"at most {REQUEST_TOOLS_MAX}, got {len(entries)}")
    tools = tuple(
        _tool(entry.tool_spec, f"toolConfig.tools[{index}].toolSpec")
        for index, entry in enumerate(entries)
        if entry.tool_spec is not None
    )
    names = {tool.name for tool in tools}
    if len(names) < len(tools):
        raise wrong("toolConfig.tools", "two tools have the same name")
    asked = None if given is None else given.tool_choice
    return tools, ToolChoice() if asked is None else _choice(asked, names)


def read_schema(given: OutputConfig | None) -> str | None:
    """The schema that the answer must follow. Raises Misconfigured."""
    if given is None:
        return None
    if given.effort not in _NORMAL_EFFORT:
        raise _unsupported("outputConfig.effort", "this model has no levels of effort")
    form, place = given.text_format, "outputConfig.textFormat"
    if form is None:
        return None
    if form.type != "json_schema":
        raise wrong(f"{place}.type", "expected 'json_schema'")
    if form.structure.json_schema is None:
        raise wrong(f"{place}.structure", "'jsonSchema' is missing")
    text = form.structure.json_schema.schema
    return schema_text(text.encode(), f"{place}.structure.jsonSchema.schema")


def _tool(given: ToolSpec, place: str) -> Tool:
    if not _NAME.fullmatch(given.name):
        raise wrong(f"{place}.name", "1 to 64 letters, digits, '_' and '-'")
    if not bytes(given.input_schema.json):
        raise wrong(f"{place}.inputSchema", "'json' is missing")
    schema = schema_text(given.input_schema.json, f"{place}.inputSchema.json")
    if msgspec.json.decode(schema).get("type") != "object":
        raise wrong(f"{place}.inputSchema.json", "its 'type' must be 'object'")
    return Tool(given.name, given.description or "", schema, given.strict or False)


def _choice(given: bedrock_body.ToolChoice, names: set[str]) -> ToolChoice:
    place = "toolConfig.toolChoice"
    kinds = (given.auto, given.any, given.tool)
    if sum(kind is not None for kind in kinds) != 1:
        raise wrong(place, "one of 'auto', 'any' and 'tool'")
    if given.auto is not None:
        return ToolChoice()
    if not names:
        raise wrong(place, "there are no tools")
    if given.tool is None:
        return ToolChoice(ChoiceMode.REQUIRED)
    if given.tool.name not in names:
        raise wrong(f"{place}.tool.name", f"no tool '{given.tool.name[:_SHOWN_MAX]}'")
    return ToolChoice(ChoiceMode.REQUIRED, given.tool.name)


def _unsupported(place: str, what: str) -> Misconfigured:
    return Misconfigured(f"Unsupported '{place}': {what}.", reasons=[place], place=place)
