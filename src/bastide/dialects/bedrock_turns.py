# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The conversation of a Converse request: turns of text, calls of tools and their results."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bastide.core.chat import Message, ToolCall
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.bedrock_body import Block, SystemBlock, ToolResult, ToolUse, Turn, wrong
from bastide.dialects.tool_turns import Turns, failed

__all__ = ["read_messages"]

_ROLES: Final = ("user", "assistant")
_STATUSES: Final = (None, "success", "error")
_IDENT: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_decoder = msgspec.json.Decoder(Any)
_encode = msgspec.json.Encoder().encode


def read_messages(
    system: Sequence[SystemBlock] | None, given: Sequence[Turn] | None
) -> tuple[Message, ...]:
    """System prompt and turns as messages. Raises Misconfigured."""
    if not given:
        raise Misconfigured("Missing required parameter: 'messages'.", place="messages")
    turns = Turns(wrong)
    if system:
        turns.begin("system")
        texts = [block.text for block in system if block.text is not None]
        if not texts:
            raise wrong("system", "there is no 'text' in it")
        for text in texts:
            turns.say(text)
    if len(given) <= REQUEST_MESSAGES_MAX:
        for index, turn in enumerate(given):
            _take(turn, turns, f"messages[{index}]")
        messages = turns.messages()
        if len(messages) <= REQUEST_MESSAGES_MAX:
            return messages
    raise wrong("messages", f"at most {REQUEST_MESSAGES_MAX} with the results of tools")


def _take(turn: Turn, turns: Turns, place: str) -> None:
    if turn.role not in _ROLES:
        raise wrong(f"{place}.role", f"use one of {', '.join(_ROLES)}")
    turns.begin(turn.role)
    said = False
    for index, block in enumerate(turn.content):
        said = _said(block, turns, f"{place}.content[{index}]") or said
    if not said:
        raise wrong(f"{place}.content", "there is no 'text' in it")


def _said(block: Block, turns: Turns, place: str) -> bool:
    if block.text is not None:
        turns.say(block.text)
    if block.tool_use is not None:
        turns.call(_call(block.tool_use, f"{place}.toolUse"), f"{place}.toolUse")
    if block.tool_result is not None:
        here = f"{place}.toolResult"
        turns.result(block.tool_result.tool_use_id, _result(block.tool_result, here), here)
    return not (block.text is None and block.tool_use is None and block.tool_result is None)


def _call(given: ToolUse, place: str) -> ToolCall:
    if given.type is not None:
        raise wrong(f"{place}.type", "nobody runs tools here")
    if not _IDENT.fullmatch(given.tool_use_id):
        raise wrong(f"{place}.toolUseId", "1 to 64 letters, digits, '_', '-', '.' and ':'")
    if not _NAME.fullmatch(given.name):
        raise wrong(f"{place}.name", "1 to 64 letters, digits, '_' and '-'")
    arguments = _json(_object_decoder, given.input, f"{place}.input")
    return ToolCall(given.tool_use_id, given.name, arguments)


def _result(given: ToolResult, place: str) -> str:
    if given.status not in _STATUSES:
        raise wrong(f"{place}.status", "use 'success' or 'error'")
    texts = []
    for index, block in enumerate(given.content):
        if block.text is not None:
            texts.append(block.text)
        if bytes(block.json):
            texts.append(_json(_decoder, block.json, f"{place}.content[{index}].json"))
    text = "\n".join(texts)
    return failed(text) if given.status == "error" else text


def _json(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, place: str) -> str:
    try:
        return _encode(decoder.decode(raw)).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise wrong(place, "expected JSON, of a call an object") from error
