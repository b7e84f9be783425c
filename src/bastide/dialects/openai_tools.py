# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools, the choice among them, and the schema of an answer, in requests of the OpenAI API.

Chat completions and responses write the same things differently: there a function lies within
``function``, here beside ``type``. Both are read into the same values. Only functions can be
called: they run at the caller's. Tools that OpenAI's servers would run are refused by name.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from bastide.core.chat import ChoiceMode, Tool, ToolChoice
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_TOOLS_MAX
from bastide.dialects.json_schema import ANY_OBJECT, schema_text
from bastide.dialects.openai_fields import ABSENT

__all__ = [
    "Choice",
    "Format",
    "Function",
    "NamedFunction",
    "Offered",
    "among",
    "choice_of",
    "format_schema",
    "function_tool",
    "listed",
    "missing",
    "tools_of",
    "unsupported",
    "wrong",
]

_T = TypeVar("_T")
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_SHOWN_MAX: Final = 64
_MODES: Final = {
    "auto": ChoiceMode.AUTO,
    "none": ChoiceMode.NONE,
    "required": ChoiceMode.REQUIRED,
    "any": ChoiceMode.REQUIRED,  # Mistral's word
}


class Function(msgspec.Struct):
    """A function that may be called."""

    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None


class Offered(msgspec.Struct):
    """One of `tools` of a chat."""

    type: str | None = None
    function: Function | None = None


class NamedFunction(msgspec.Struct):
    """A function by its name, as a choice points at one."""

    name: str | None = None


class _Allowed(msgspec.Struct):
    mode: str = "auto"
    tools: list["Choice"] = []


class Choice(msgspec.Struct, omit_defaults=True):
    """`tool_choice` as an object, of a chat or of a response."""

    type: str | None = None
    function: NamedFunction | None = None
    allowed_tools: _Allowed | None = None
    name: str | None = None  # in a response
    mode: str = "auto"  # of allowed tools in a response
    tools: list["Choice"] = []


class _Schema(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = ABSENT
    strict: bool | None = None


class Format(msgspec.Struct):
    """`response_format` of a chat, or `text.format` of a response."""

    type: str
    json_schema: _Schema | None = None
    name: str | None = None  # in a response
    description: str | None = None
    schema: msgspec.Raw = ABSENT
    strict: bool | None = None


def tools_of(given: Sequence[Offered] | None) -> tuple[Tool, ...]:
    """Read `tools` of a chat. Raises Misconfigured, also for what is not a function."""

    def read(row: Offered, place: str) -> Tool:
        if row.type not in (None, "function"):
            unsupported(f"{place}.type", f"'{row.type[:_SHOWN_MAX]}' is no function")
        if row.function is None:
            missing(f"{place}.function")
        return function_tool(row.function, f"{place}.function")

    return listed(given or (), read, "tools")


def listed(given: Sequence[_T], read: Callable[[_T, str], Tool], name: str) -> tuple[Tool, ...]:
    """Read a list of tools; their names differ. Raises Misconfigured."""
    if len(given) > REQUEST_TOOLS_MAX:
        wrong(name, f"at most {REQUEST_TOOLS_MAX}, got {len(given)}")
    tools: dict[str, Tool] = {}
    for index, row in enumerate(given):
        tool = read(row, f"{name}[{index}]")
        if tool.name in tools:
            wrong(f"{name}[{index}]", f"the name '{tool.name}' is there twice")
        tools[tool.name] = tool
    return tuple(tools.values())


def function_tool(given: Function, place: str, *, strict: bool = False) -> Tool:
    """Read one function. `strict` is the API's default. Raises Misconfigured."""
    if given.name is None:
        missing(f"{place}.name")
    if not _NAME.fullmatch(given.name):
        wrong(f"{place}.name", "a name has 1 to 128 letters, digits and any of '_.:-'")
    schema = "{}"
    if given.parameters is not ABSENT and bytes(given.parameters) != b"null":
        schema = schema_text(given.parameters, f"{place}.parameters")
    strict = strict if given.strict is None else given.strict
    return Tool(given.name, given.description or "", schema, strict)


def choice_of(
    given: str | Choice | None, parallel: bool | None, tools: tuple[Tool, ...]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The tools that may be called, and whether one must be. Raises Misconfigured."""
    parallel = parallel is not False
    if given is None:
        return tools, ToolChoice(parallel=parallel)
    if isinstance(given, str):
        return tools, ToolChoice(_mode(given, "tool_choice", tools), None, parallel)
    if given.type == "allowed_tools":
        held, place = given.allowed_tools, "tool_choice.allowed_tools"
        if held is None:
            held, place = _Allowed(given.mode, given.tools), "tool_choice"
        if held.mode not in ("auto", "required"):
            wrong(f"{place}.mode", "use 'auto' or 'required'")
        names = [_named(row, f"{place}.tools[{index}]") for index, row in enumerate(held.tools)]
        for index, name in enumerate(names):
            among(name, tools, f"{place}.tools[{index}]")
        usable = tuple(tool for tool in tools if tool.name in names)
        return usable, ToolChoice(_mode(held.mode, f"{place}.tools", usable), None, parallel)
    name = _named(given, "tool_choice")
    among(name, tools, "tool_choice")
    return tools, ToolChoice(ChoiceMode.REQUIRED, name, parallel)


def among(name: str, tools: Iterable[Tool], place: str) -> None:
    """Raise Misconfigured if no tool has this name."""
    if all(tool.name != name for tool in tools):
        wrong(place, f"the function '{name[:_SHOWN_MAX]}' is not among those given")


def format_schema(given: Format | None, place: str) -> str | None:
    """The schema that the answer must follow, or None for any text. Raises Misconfigured."""
    if given is None or given.type == "text":
        return None
    if given.type == "json_object":
        return ANY_OBJECT
    if given.type != "json_schema":
        unsupported(f"{place}.type", "use 'text', 'json_object' or 'json_schema'")
    return _json_schema(given, place)


def wrong(place: str, why: str) -> NoReturn:
    """Raise Misconfigured for a value that is wrong."""
    raise Misconfigured(f"Invalid '{place}': {why}.", place=place)


def missing(place: str) -> NoReturn:
    """Raise Misconfigured for a field that must be there."""
    raise Misconfigured(f"Missing required parameter: '{place}'.", place=place)


def unsupported(place: str, why: str) -> NoReturn:
    """Raise Misconfigured for what we do not have."""
    raise Misconfigured(f"Unsupported '{place}': {why}.", reasons=[place], place=place)


def _json_schema(given: Format, place: str) -> str:
    held: Any = given
    if given.json_schema is not None:
        held, place = given.json_schema, f"{place}.json_schema"
    if held.name is None:
        missing(f"{place}.name")
    if held.schema is ABSENT or bytes(held.schema) == b"null":
        return ANY_OBJECT
    return schema_text(held.schema, f"{place}.schema")


def _mode(given: str, place: str, tools: tuple[Tool, ...]) -> ChoiceMode:
    mode = _MODES.get(given)
    if mode is None:
        wrong(place, "use 'none', 'auto', 'required' or a function")
    if mode is ChoiceMode.REQUIRED and not tools:
        wrong(place, f"'{given}' needs tools to call")
    return mode


def _named(given: Choice, place: str) -> str:
    if given.type not in (None, "function"):
        unsupported(f"{place}.type", f"'{given.type[:_SHOWN_MAX]}' is no function")
    name = given.name if given.function is None else given.function.name
    if name is None:
        missing(f"{place}.function.name")
    return name
