# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools, the choice among them, and the schema of an answer, in an Anthropic request."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from bastide.core.chat import ChoiceMode, Tool, ToolChoice
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_TOOLS_MAX
from bastide.dialects import anthropic_body
from bastide.dialects.anthropic_body import SHOWN_MAX, Body, Format, wrong
from bastide.dialects.json_schema import schema_text
from bastide.dialects.openai_fields import refuse_unsupported

__all__ = ["read_choice", "read_schema", "read_tools"]

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MODES: Final = {
    "auto": ChoiceMode.AUTO,
    "any": ChoiceMode.REQUIRED,
    "tool": ChoiceMode.REQUIRED,
    "none": ChoiceMode.NONE,
}
_NORMAL_EFFORT: Final = (None, "high")  # what the API takes if nobody says anything


def read_tools(given: Sequence[anthropic_body.Tool]) -> tuple[Tool, ...]:
    """The caller's tools. Raises Misconfigured, also for tools that Anthropic would run."""
    if len(given) > REQUEST_TOOLS_MAX:
        raise wrong("tools", f"at most {REQUEST_TOOLS_MAX}, got {len(given)}")
    tools = tuple(_tool(tool, f"tools.{index}") for index, tool in enumerate(given))
    if len({tool.name for tool in tools}) < len(tools):
        raise wrong("tools", "Tool names must be unique")
    return tools


def read_choice(given: anthropic_body.ToolChoice | None, tools: Sequence[Tool]) -> ToolChoice:
    """Whether tools may, must or must not be called. Raises Misconfigured."""
    if given is None:
        return ToolChoice()
    mode = _MODES.get(given.type)
    if mode is None:
        raise wrong("tool_choice.type", f"expected one of {', '.join(_MODES)}")
    parallel = not given.disable_parallel_tool_use
    if mode is not ChoiceMode.REQUIRED:
        return ToolChoice(mode, parallel=parallel)
    if not tools:
        raise wrong("tool_choice", f"'{given.type}' needs tools")
    if given.type == "any":
        return ToolChoice(mode, parallel=parallel)
    if given.name is None:
        raise wrong("tool_choice.name", "Field required")
    if given.name not in {tool.name for tool in tools}:
        raise wrong("tool_choice.name", f"'{given.name[:SHOWN_MAX]}' is not among the tools")
    return ToolChoice(mode, given.name, parallel)


def read_schema(given: Body) -> str | None:
    """The schema that the answer must follow. Raises Misconfigured."""
    config = given.output_config
    if config is not None and config.effort not in _NORMAL_EFFORT:
        raise _unsupported("output_config.effort", "this model has no levels of effort")
    old = given.output_format
    place, form = "output_config.format", None if config is None else config.format
    if old is not None:
        if form is not None:
            raise wrong("output_format", "not allowed together with output_config.format")
        place, form = "output_format", old
    return None if form is None else _schema(form, place)


def _schema(form: Format, place: str) -> str:
    if form.type != "json_schema":
        raise wrong(f"{place}.type", "expected 'json_schema'")
    if not bytes(form.schema):
        raise wrong(f"{place}.schema", "Field required")
    return schema_text(form.schema, f"{place}.schema")


def _tool(given: anthropic_body.Tool, place: str) -> Tool:
    if given.type not in (None, "custom"):
        kind = given.type[:SHOWN_MAX]
        raise _unsupported(f"{place}.type", f"'{kind}' is a tool that nobody runs here")
    if given.name is None:
        raise wrong(f"{place}.name", "Field required")
    if not _NAME.fullmatch(given.name):
        raise wrong(f"{place}.name", "1 to 128 letters, digits, '_' and '-'")
    extras = {
        f"{place}.allowed_callers": given.allowed_callers,
        f"{place}.defer_loading": given.defer_loading,
        f"{place}.input_examples": given.input_examples,
    }
    harmless = {
        "allowed_callers": (["direct"],),
        "defer_loading": (False,),
        "input_examples": ([],),
    }
    refuse_unsupported(extras, harmless)
    if not bytes(given.input_schema):
        raise wrong(f"{place}.input_schema", "Field required")
    schema = schema_text(given.input_schema, f"{place}.input_schema")
    if msgspec.json.decode(schema).get("type") != "object":
        raise wrong(f"{place}.input_schema.type", "Input should be 'object'")
    return Tool(given.name, given.description or "", schema, given.strict or False)


def _unsupported(place: str, what: str) -> Misconfigured:
    return Misconfigured(f"{place}: {what}.", reasons=[place], place=place)
