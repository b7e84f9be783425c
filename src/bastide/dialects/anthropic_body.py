# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The body of an Anthropic request as it stands on the wire, and how it is refused.

As the API itself does, we refuse fields that we do not know, and a message begins with the field.
"""

import re
from operator import attrgetter
from typing import Any, Final

import msgspec

from bastide.core.errors import Misconfigured
from bastide.dialects.openai_fields import ABSENT, refuse_unsupported

__all__ = ["SHOWN_MAX", "Block", "Body", "Tool", "Turn", "read_body", "wrong"]

SHOWN_MAX: Final = 100  # characters of what a client sent that a refusal repeats

# Fields that would change the answer, with the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "container": (),
    "context_management": ({}, {"edits": []}),
    "inference_geo": (),
    "mcp_servers": ([],),
    "speed": ("standard",),
    "thinking": ({"type": "disabled"},),
    "thread": (),
}
_PLACE: Final = re.compile(r"^(?P<text>.*?)(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_NAMES: Final = tuple(_UNSUPPORTED)
_unsupported_of = attrgetter(*_NAMES)
_ALL_ABSENT: Final = (ABSENT,) * len(_NAMES)


class Block(msgspec.Struct):
    """A block of content: its type says which of the fields it needs."""

    type: str
    text: str | None = None
    citations: msgspec.Raw = ABSENT
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    caller: msgspec.Raw = ABSENT
    tool_use_id: str | None = None
    content: "str | list[Block] | None" = None
    is_error: bool | None = None


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    """One turn of the conversation."""

    role: str
    content: str | list[Block]


class Tool(msgspec.Struct):
    """A tool. One of Anthropic's own has a type that is not ``custom``."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = ABSENT
    strict: bool | None = None
    allowed_callers: msgspec.Raw = ABSENT
    defer_loading: msgspec.Raw = ABSENT
    input_examples: msgspec.Raw = ABSENT


class ToolChoice(msgspec.Struct, forbid_unknown_fields=True):
    """Whether tools may or must be called."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Format(msgspec.Struct):
    """The form that the answer must have."""

    type: str
    schema: msgspec.Raw = ABSENT


class OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    """How the answer shall be."""

    format: Format | None = None
    effort: str | None = None


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The whole request."""

    model: str | None = None
    messages: list[Turn] | None = None
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None  # its name before it became output_config.format
    container: msgspec.Raw = ABSENT
    context_management: msgspec.Raw = ABSENT
    inference_geo: msgspec.Raw = ABSENT
    mcp_servers: msgspec.Raw = ABSENT
    speed: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT
    thread: msgspec.Raw = ABSENT
    # What does not change the answer.
    anthropic_beta: msgspec.Raw = ABSENT
    anthropic_version: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT
    diagnostics: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    user_profile_id: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(Body)


def read_body(body: bytes) -> Body:
    """Read a body and refuse what we do not have. Raises Misconfigured."""
    given = _read(body)
    unsupported = _unsupported_of(given)
    if unsupported != _ALL_ABSENT:
        refuse_unsupported(dict(zip(_NAMES, unsupported, strict=True)), _UNSUPPORTED)
    return given


def wrong(place: str, what: str) -> Misconfigured:
    """An error about one place."""
    return Misconfigured(f"{place}: {what}.", place=place)


def _read(body: bytes) -> Body:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        assert found is not None  # the pattern takes any text
        place = re.sub(r"\[(\d+)\]", r".\1", found["place"] or "")[:SHOWN_MAX]
        unknown = _UNKNOWN.match(found["text"])
        if unknown is None:
            raise wrong(place or "body", found["text"][: 2 * SHOWN_MAX]) from error
        name = ".".join(filter(None, (place, unknown["name"][:SHOWN_MAX])))
        raise Misconfigured(
            f"{name}: Extra inputs are not permitted.", reasons=[name], place=name
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The body of the request is not JSON: {error}.") from error
    except RecursionError as error:
        raise Misconfigured("The body of the request is nested too deeply.") from error
