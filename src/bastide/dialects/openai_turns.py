# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The conversation of a chat completion: text, calls of tools and what the tools answered.

As the API demands, a tool's turn answers a call of the assistant's turn before it, and every call
is answered before anybody else speaks. Functions of the time before tools (`function_call`, the
role `function`) have no ids: a result answers the oldest call of its name, or nothing need.
"""

from typing import Any, Final, cast

import msgspec

from bastide.core.chat import Message, ToolCall
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.open_calls import OpenCalls
from bastide.dialects.openai_fields import ABSENT, refuse_unsupported
from bastide.dialects.openai_tools import missing, unsupported, wrong

__all__ = ["Turn", "messages_of"]

_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_NO_IDENT: Final = (None, "", "null")  # the last is the default of Mistral's client
_EXTRAS: Final = ("audio", "prefix")
_HARMLESS: Final[dict[str, tuple[Any, ...]]] = {"prefix": (False,)}
_encode = msgspec.json.Encoder().encode


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Called(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # an object only from Mistral's client


class _Call(msgspec.Struct):
    id: str | None = None
    type: str | None = None
    function: _Called | None = None


class Turn(msgspec.Struct):
    """One of `messages`."""

    role: str
    content: str | list[_Part] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    function_call: _Called | None = None
    audio: msgspec.Raw = ABSENT
    prefix: msgspec.Raw = ABSENT


def messages_of(turns: list[Turn] | None) -> tuple[Message, ...]:
    """Read `messages`. Raises Misconfigured."""
    if turns is None:
        missing("messages")
    if not turns:
        wrong("messages", "the list is empty")
    if len(turns) > REQUEST_MESSAGES_MAX:
        wrong("messages", f"at most {REQUEST_MESSAGES_MAX}, got {len(turns)}")
    plain = [_plain(turn) for turn in turns]
    if None not in plain:
        return cast(tuple[Message, ...], tuple(plain))
    reading = _Reading()
    messages = tuple([reading.read(turn, f"messages[{i}]") for i, turn in enumerate(turns)])
    reading.require_answers()
    return messages


def _plain(turn: Turn) -> Message | None:
    """A turn that is only text, as nearly all are, at once; None for all others."""
    role, content = _ROLES.get(turn.role), turn.content
    if (
        role is None
        or role == "tool"
        or not isinstance(content, str)
        or turn.tool_calls
        or turn.function_call is not None
        or turn.audio is not ABSENT
        or turn.prefix is not ABSENT
    ):
        return None
    return Message(role, content)


class _Reading:
    """Reads one turn after the other."""

    def __init__(self) -> None:
        self._calls = OpenCalls()
        self._unanswered: dict[str, str] = {}  # calls that need an answer now, and their place

    def read(self, turn: Turn, place: str) -> Message:
        """One turn. Raises Misconfigured."""
        role = _ROLES.get(turn.role)
        if role is None:
            wrong(f"{place}.role", f"unknown role; use one of {', '.join(_ROLES)}")
        if turn.audio is not ABSENT or turn.prefix is not ABSENT:
            extras = {f"{place}.audio": turn.audio, f"{place}.prefix": turn.prefix}
            refuse_unsupported(extras, _HARMLESS)
        if role == "tool":
            return self._answer(turn, place)
        if self._unanswered:
            self.require_answers()
        calls: tuple[ToolCall, ...] = ()
        if turn.tool_calls or turn.function_call is not None:
            if role != "assistant":
                wrong(f"{place}.role", "only the assistant calls tools")
            calls = self._made(turn, place)
        content = turn.content
        if isinstance(content, str):
            return Message(role, content, calls)
        if content:
            return Message(role, _text_of(content, f"{place}.content"), calls)
        if not calls and turn.refusal is None:
            wrong(f"{place}.content", "expected a string or text parts")
        return Message(role, turn.refusal or "", calls)

    def require_answers(self) -> None:
        """Raise Misconfigured if a call is still without its answer."""
        for ident, place in self._unanswered.items():
            raise Misconfigured(
                "An assistant message with 'tool_calls' must be followed by tool messages "
                "responding to each 'tool_call_id'. This one has no response message: "
                f"'{ident[:64]}' at '{place}'.",
                place=place,
            )

    def _made(self, turn: Turn, place: str) -> tuple[ToolCall, ...]:
        calls = []
        for index, row in enumerate(turn.tool_calls or ()):
            at = f"{place}.tool_calls[{index}]"
            if row.type not in (None, "function"):
                unsupported(f"{at}.type", "only functions can be called")
            call = self._opened(row.function, row.id, f"{at}.function")
            if call.ident in self._unanswered:
                wrong(f"{at}.id", "two calls have the same id")
            self._unanswered[call.ident] = at
            calls.append(call)
        if turn.function_call is not None:
            calls.append(self._opened(turn.function_call, None, f"{place}.function_call"))
        return tuple(calls)

    def _opened(self, given: _Called | None, ident: str | None, place: str) -> ToolCall:
        if given is None:
            missing(place)
        if not given.name:
            missing(f"{place}.name")
        arguments = given.arguments
        if isinstance(arguments, dict):
            arguments = _encode(arguments).decode()
        ident = self._calls.open("" if ident in _NO_IDENT else ident or "", given.name)
        return ToolCall(ident, given.name, arguments or "{}")

    def _answer(self, turn: Turn, place: str) -> Message:
        ident = "" if turn.tool_call_id in _NO_IDENT else turn.tool_call_id or ""
        if turn.role == "function" and not turn.name:
            missing(f"{place}.name")
        found = self._calls.answer(ident, turn.name or "")
        if found is None:
            at = f"{place}.tool_call_id" if turn.role == "tool" else f"{place}.name"
            wrong(at, "no call before it that it would answer")
        self._unanswered.pop(found, None)
        content = turn.content or ""
        text = content if isinstance(content, str) else _text_of(content, f"{place}.content")
        return Message("tool", text, answers=found)


def _text_of(parts: list[_Part], place: str) -> str:
    texts = []
    for index, part in enumerate(parts):
        at = f"{place}[{index}]"
        if part.type not in ("text", "refusal"):
            unsupported(f"{at}.type", "this model reads only parts of type 'text'")
        text = part.text if part.type == "text" else part.refusal
        if text is None:
            missing(f"{at}.{part.type}")
        texts.append(text)
    return "\n".join(texts)
