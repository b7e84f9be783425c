# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The body of a Converse request as it stands on the wire, and how it is refused.

A block is an object with one member, whose name says what it is. What we do not have is refused
under the name of that member.
"""

import re
from typing import Final, TypeVar

import msgspec

from bastide.core.errors import Misconfigured
from bastide.dialects.openai_fields import ABSENT, decode_body

__all__ = [
    "Block",
    "Body",
    "Inference",
    "OutputConfig",
    "ToolChoice",
    "ToolConfig",
    "ToolResult",
    "ToolSpec",
    "ToolUse",
    "Turn",
    "read_body",
    "wrong",
]

_T = TypeVar("_T")
_SHOWN_MAX: Final = 128  # characters of what a client sent that a refusal repeats
_UNKNOWN: Final = re.compile(
    r"^Object contains unknown field `(?P<name>.*?)`(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL
)


class ToolUse(msgspec.Struct, rename="camel"):
    """A call of a tool."""

    tool_use_id: str
    name: str
    input: msgspec.Raw
    type: str | None = None


class ResultBlock(msgspec.Struct, forbid_unknown_fields=True):
    """A part of what a tool answered."""

    text: str | None = None
    json: msgspec.Raw = ABSENT


class ToolResult(msgspec.Struct, rename="camel"):
    """What a tool answered."""

    tool_use_id: str
    content: list[ResultBlock]
    status: str | None = None


class Block(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A block of a turn. A cache point asks for nothing that changes an answer."""

    text: str | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    cache_point: msgspec.Raw = ABSENT


class Turn(msgspec.Struct):
    """One turn of the conversation."""

    role: str
    content: list[Block]


class SystemBlock(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A block of the system prompt."""

    text: str | None = None
    cache_point: msgspec.Raw = ABSENT


class Inference(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How to draw tokens."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class InputSchema(msgspec.Struct):
    """The schema of a tool's input."""

    json: msgspec.Raw = ABSENT


class ToolSpec(msgspec.Struct, rename="camel"):
    """A tool that the caller runs."""

    name: str
    input_schema: InputSchema
    description: str | None = None
    strict: bool | None = None


class ToolEntry(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A member of the list of tools."""

    tool_spec: ToolSpec | None = None
    cache_point: msgspec.Raw = ABSENT


class NamedTool(msgspec.Struct):
    """The one tool that must be called."""

    name: str


class ToolChoice(msgspec.Struct, forbid_unknown_fields=True):
    """Whether tools may or must be called: one member."""

    auto: dict[str, msgspec.Raw] | None = None
    any: dict[str, msgspec.Raw] | None = None
    tool: NamedTool | None = None


class ToolConfig(msgspec.Struct, rename="camel"):
    """Tools and the choice among them."""

    tools: list[ToolEntry] | None = None
    tool_choice: ToolChoice | None = None


class JsonSchema(msgspec.Struct):
    """A schema, as text within the JSON of the request."""

    schema: str


class Structure(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The form of an answer."""

    json_schema: JsonSchema | None = None


class TextFormat(msgspec.Struct):
    """The form of an answer that is text."""

    type: str
    structure: Structure


class OutputConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How the answer shall be."""

    text_format: TextFormat | None = None
    effort: str | None = None


class Body(msgspec.Struct, kw_only=True, rename="camel"):
    """The whole request."""

    messages: list[Turn] | None = None
    system: list[SystemBlock] | None = None
    inference_config: Inference | None = None
    tool_config: ToolConfig | None = None
    output_config: OutputConfig | None = None
    guardrail_config: msgspec.Raw = ABSENT
    additional_model_request_fields: msgspec.Raw = ABSENT
    additional_model_response_field_paths: msgspec.Raw = ABSENT
    performance_config: msgspec.Raw = ABSENT
    prompt_variables: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT


def read_body(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Read a body. Raises Misconfigured, naming the member."""
    try:
        return decode_body(decoder, body)
    except Misconfigured as error:
        found = _UNKNOWN.match(str(error.__cause__))
        if found is None:
            raise
        name = ".".join(filter(None, (found["place"], found["name"])))[:_SHOWN_MAX]
        raise Misconfigured(
            f"Unsupported: '{name}' is not supported with this model.", reasons=[name], place=name
        ) from error


def wrong(place: str, what: str) -> Misconfigured:
    """An error about one place."""
    return Misconfigured(f"Invalid '{place}': {what}.", place=place)
