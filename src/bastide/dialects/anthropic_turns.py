# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The conversation of an Anthropic request: turns of text, calls of tools and their results.

As the API does, turns of the same role that follow each other are one.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bastide.core.chat import Message, ToolCall
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.anthropic_body import SHOWN_MAX, Block, Turn, wrong
from bastide.dialects.openai_fields import refuse_unsupported
from bastide.dialects.tool_turns import Turns, failed

__all__ = ["read_messages", "read_text"]

_ROLES: Final = ("user", "assistant", "system")
_IDENT: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,128}")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,200}")
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


def read_messages(given: Sequence[Turn] | None) -> tuple[Message, ...]:
    """The turns as messages. Raises Misconfigured."""
    if given is None:
        raise wrong("messages", "Field required")
    if not given:
        raise wrong("messages", "at least one message is required")
    if len(given) > REQUEST_MESSAGES_MAX:
        raise wrong("messages", f"at most {REQUEST_MESSAGES_MAX}, got {len(given)}")
    if given[-1].role == "assistant":
        raise Misconfigured(
            "messages: This model does not support assistant message prefill. "
            "The conversation must end with a user message.",
            reasons=["messages"],
            place="messages",
        )
    turns = Turns(wrong)
    for index, turn in enumerate(given):
        _take(turn, turns, f"messages.{index}")
    messages = turns.messages()
    if len(messages) > REQUEST_MESSAGES_MAX:
        raise wrong("messages", f"at most {REQUEST_MESSAGES_MAX} with the results of tools")
    return messages


def read_text(content: str | Sequence[Block], place: str) -> str:
    """Text, or blocks of text. Raises Misconfigured."""
    if isinstance(content, str):
        return content
    if not content:
        raise wrong(place, "at least one block is required")
    texts = []
    for index, block in enumerate(content):
        _require_type(block, ("text",), f"{place}.{index}")
        texts.append(_text(block, f"{place}.{index}"))
    return "\n".join(texts)


def _take(turn: Turn, turns: Turns, place: str) -> None:
    if turn.role not in _ROLES:
        raise wrong(f"{place}.role", f"expected one of {', '.join(_ROLES)}")
    turns.begin(turn.role)
    if isinstance(turn.content, str):
        turns.say(turn.content)
        return
    if not turn.content:
        raise wrong(f"{place}.content", "at least one block is required")
    for index, block in enumerate(turn.content):
        here = f"{place}.content.{index}"
        _require_type(block, ("text", "tool_use", "tool_result"), here)
        if block.type == "text":
            turns.say(_text(block, here))
        elif block.type == "tool_use":
            turns.call(_call(block, here), here)
        else:
            turns.result(*_result(block, here), here)


def _require_type(block: Block, known: tuple[str, ...], place: str) -> None:
    if block.type in known:
        return
    kind = block.type[:SHOWN_MAX]
    raise Misconfigured(
        f"{place}.type: '{kind}' is not supported; this model reads only {', '.join(known)} here.",
        reasons=[f"{place}.type"],
        place=f"{place}.type",
    )


def _text(block: Block, place: str) -> str:
    refuse_unsupported({f"{place}.citations": block.citations}, {"citations": ([],)})
    if block.text is None:
        raise wrong(f"{place}.text", "Field required")
    return block.text


def _call(block: Block, place: str) -> ToolCall:
    refuse_unsupported({f"{place}.caller": block.caller}, {"caller": ({"type": "direct"},)})
    if block.id is None or not _IDENT.fullmatch(block.id):
        raise wrong(f"{place}.id", "1 to 128 letters, digits, '_', '-', '.' and ':'")
    if block.name is None or not _NAME.fullmatch(block.name):
        raise wrong(f"{place}.name", "1 to 200 letters, digits, '_' and '-'")
    try:
        arguments = _encode(_object_decoder.decode(block.input))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise wrong(f"{place}.input", "expected an object") from error
    return ToolCall(block.id, block.name, arguments.decode())


def _result(block: Block, place: str) -> tuple[str, str]:
    if block.tool_use_id is None:
        raise wrong(f"{place}.tool_use_id", "Field required")
    text = read_text(block.content, f"{place}.content") if block.content else ""
    return block.tool_use_id, failed(text) if block.is_error else text
