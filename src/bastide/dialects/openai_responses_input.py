# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The input of an OpenAI response: a text, or items (messages, calls of functions, their outputs).

An assistant's message and the calls after it are one turn. Every call has an output before
anybody else speaks, and every output a call before it.
"""

from typing import Final

import msgspec

from bastide.core.chat import Message, ToolCall
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.openai_tools import missing, unsupported, wrong

__all__ = ["Item", "messages_of"]

_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_TEXTS: Final = ("input_text", "output_text", "text")
_SHOWN_MAX: Final = 64


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None


class Item(msgspec.Struct):
    """One item: a message if nothing else is said."""

    type: str | None = None
    role: str | None = None
    content: str | list[_Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[_Part] | None = None


def messages_of(instructions: str | None, given: str | list[Item] | None) -> tuple[Message, ...]:
    """The conversation. Raises Misconfigured."""
    if given is None:
        missing("input")
    reading = _Reading()
    if instructions:
        reading.say("system", instructions)
    if isinstance(given, str):
        reading.say("user", given)
        return reading.messages()
    if not given:
        wrong("input", "the list is empty")
    if len(given) > REQUEST_MESSAGES_MAX:
        wrong("input", f"at most {REQUEST_MESSAGES_MAX} items, got {len(given)}")
    for index, item in enumerate(given):
        reading.read(item, f"input[{index}]")
    return reading.messages()


class _Reading:
    """Collects items into turns."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._unanswered: dict[str, str] = {}  # calls without an output, and their place

    def say(self, role: str, text: str, calls: tuple[ToolCall, ...] = ()) -> None:
        """A turn, after the calls before it have their outputs. Raises Misconfigured."""
        self._require_outputs()
        self._messages.append(Message(role, text, calls))

    def read(self, item: Item, place: str) -> None:
        """One item. Raises Misconfigured."""
        if item.type == "function_call":
            self._call(item, place)
        elif item.type == "function_call_output":
            self._output(item, place)
        elif item.type in (None, "message"):
            if item.role is None:
                missing(f"{place}.role")
            role = _ROLES.get(item.role)
            if role is None:
                wrong(f"{place}.role", f"unknown role; use one of {', '.join(_ROLES)}")
            if item.content is None:
                missing(f"{place}.content")
            self.say(role, _text_of(item.content, f"{place}.content"))
        elif item.type == "item_reference":
            unsupported(f"{place}.type", "no item is kept here, send the item itself")
        else:
            known = "'message', 'function_call' and 'function_call_output'"
            shown = item.type[:_SHOWN_MAX]
            unsupported(f"{place}.type", f"'{shown}' is not read, only {known}")

    def messages(self) -> tuple[Message, ...]:
        """All turns. Raises Misconfigured if a call has no output."""
        self._require_outputs()
        return tuple(self._messages)

    def _call(self, item: Item, place: str) -> None:
        if not item.call_id:
            missing(f"{place}.call_id")
        if not item.name:
            missing(f"{place}.name")
        if item.call_id in self._unanswered:
            wrong(f"{place}.call_id", "two calls have the same id")
        call = ToolCall(item.call_id, item.name, item.arguments or "{}")
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "assistant":
            calls = (*last.calls, call)
            self._messages[-1] = Message(last.role, last.content, calls)
        else:
            self.say("assistant", "", (call,))
        self._unanswered[item.call_id] = place

    def _output(self, item: Item, place: str) -> None:
        if not item.call_id:
            missing(f"{place}.call_id")
        if self._unanswered.pop(item.call_id, None) is None:
            shown = item.call_id[:_SHOWN_MAX]
            why = f"No tool call found for function call output with call_id {shown}"
            wrong(f"{place}.call_id", why)
        if item.output is None:
            missing(f"{place}.output")
        text = _text_of(item.output, f"{place}.output")
        self._messages.append(Message("tool", text, answers=item.call_id))

    def _require_outputs(self) -> None:
        for ident, place in self._unanswered.items():
            shown = ident[:_SHOWN_MAX]
            wrong(place, f"No tool output found for function call {shown}")


def _text_of(given: str | list[_Part], place: str) -> str:
    if isinstance(given, str):
        return given
    texts = []
    for index, part in enumerate(given):
        at = f"{place}[{index}]"
        if part.type not in (*_TEXTS, "refusal"):
            unsupported(f"{at}.type", f"'{part.type[:_SHOWN_MAX]}' is not read, only text")
        text = part.refusal if part.type == "refusal" else part.text
        if text is None:
            missing(f"{at}.text")
        texts.append(text)
    return "\n".join(texts)
