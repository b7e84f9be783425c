# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Functions that a model may call, as Google writes them: `tools` and `toolConfig`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from bastide.core.chat import ChoiceMode, Tool, ToolChoice
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_TOOLS_MAX
from bastide.dialects.google_fields import IGNORED, READ, Shape, fields, rows, text
from bastide.dialects.google_schema import google_schema, json_schema

__all__ = ["tools_of"]

# What Google's own servers would run; only functions run at the caller's.
_TOOL: Final[Shape] = {
    "codeExecution": (),
    "computerUse": (),
    "enterpriseWebSearch": (),
    "exaAiSearch": (),
    "fileSearch": (),
    "functionDeclarations": READ,
    "googleMaps": (),
    "googleSearch": (),
    "googleSearchRetrieval": (),
    "mcpServers": ([],),
    "parallelAiSearch": (),
    "retrieval": (),
    "urlContext": (),
}
_DECLARATION: Final[Shape] = {
    "behavior": ("BEHAVIOR_UNSPECIFIED", "UNSPECIFIED", "BLOCKING", 0),
    "description": READ,
    "name": READ,
    "parameters": READ,
    "parametersJsonSchema": READ,
    "response": IGNORED,
    "responseJsonSchema": IGNORED,
}
_CONFIG: Final[Shape] = {
    "functionCallingConfig": READ,
    "includeServerSideToolInvocations": (False,),
    "retrievalConfig": ({},),
}
_CALLING: Final[Shape] = {
    "allowedFunctionNames": READ,
    "mode": READ,
    "streamFunctionCallArguments": (False,),
}
_MODES: Final = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE")  # by the numbers of the enum
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_CALLING_PLACE: Final = "toolConfig.functionCallingConfig"


def tools_of(
    given: Mapping[str, Any], unsupported: list[str]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Read `tools` and `toolConfig` of a body. Raises Misconfigured."""
    tools: dict[str, Tool] = {}
    for index, row in enumerate(rows(given.get("tools", []))):
        place = f"tools[{index}]"
        tool = fields(row, place, _TOOL, unsupported)
        declared = rows(tool.get("functionDeclarations", []))
        for number, declaration in enumerate(declared):
            at = f"{place}.functionDeclarations[{number}]"
            read = _declaration(declaration, at, unsupported)
            if read.name in tools:
                raise _wrong(f"{at}.name", f"'{read.name}' is declared twice")
            tools[read.name] = read
            if len(tools) > REQUEST_TOOLS_MAX:
                raise _wrong("tools", f"at most {REQUEST_TOOLS_MAX} functions")
    config = fields(given.get("toolConfig", {}), "toolConfig", _CONFIG, unsupported)
    calling = fields(config.get("functionCallingConfig", {}), _CALLING_PLACE, _CALLING, unsupported)
    return _chosen(tools, calling)


def _chosen(
    tools: dict[str, Tool], calling: Mapping[str, Any]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    mode = _mode(calling.get("mode", "AUTO"))
    allowed = [
        text(name, f"{_CALLING_PLACE}.allowedFunctionNames")
        for name in rows(calling.get("allowedFunctionNames", []))
    ]
    for name in allowed:
        if name not in tools:
            shown = name[:64]
            raise _wrong(f"{_CALLING_PLACE}.allowedFunctionNames", f"'{shown}' is not declared")
    if allowed and mode not in ("ANY", "VALIDATED"):
        message = "it goes with the modes ANY and VALIDATED"
        raise _wrong(f"{_CALLING_PLACE}.allowedFunctionNames", message)
    if mode == "ANY" and not tools:
        raise _wrong(f"{_CALLING_PLACE}.mode", "ANY needs functions to call")
    usable = tuple(
        replace(tool, strict=mode == "VALIDATED")
        for name, tool in tools.items()
        if not allowed or name in allowed
    )
    if mode == "NONE":
        return usable, ToolChoice(ChoiceMode.NONE)
    if mode != "ANY":
        return usable, ToolChoice()
    only = usable[0].name if len(usable) == 1 else None
    return usable, ToolChoice(ChoiceMode.REQUIRED, only)


def _mode(value: Any) -> str:
    if type(value) is int and 0 <= value < len(_MODES):
        return _MODES[value]
    name = value.upper() if isinstance(value, str) else ""
    if name not in (*_MODES, "VALIDATED"):
        raise _wrong(f"{_CALLING_PLACE}.mode", "use AUTO, ANY, NONE or VALIDATED")
    return name


def _declaration(value: Any, place: str, unsupported: list[str]) -> Tool:
    given = fields(value, place, _DECLARATION, unsupported)
    name = text(given.get("name", ""), f"{place}.name")
    if not _NAME.fullmatch(name):
        raise _wrong(f"{place}.name", "a name has letters, digits and any of '_.:-'")
    description = text(given.get("description", ""), f"{place}.description")
    if "parametersJsonSchema" in given:
        if "parameters" in given:
            raise _wrong(f"{place}.parameters", "it goes not with 'parametersJsonSchema'")
        at = f"{place}.parametersJsonSchema"
        return Tool(name, description, json_schema(given["parametersJsonSchema"], at))
    if "parameters" in given:
        at = f"{place}.parameters"
        return Tool(name, description, google_schema(given["parameters"], at))
    return Tool(name, description)


def _wrong(place: str, why: str) -> Misconfigured:
    return Misconfigured(f"Invalid value at '{place}': {why}.", place=place)
