# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Turns that mix text, calls of tools and their results, as messages: for Anthropic and Bedrock.

In both APIs an assistant's turn holds text and calls, and the results stand in the user's next
turn. Here each result is a message of its own. What follows each other in one role is one message.

A result must answer a call of the assistant's turn before it, and each call be answered before
the assistant speaks again: both APIs refuse anything else, and templates would make nonsense of it.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from bastide.core.chat import Message, ToolCall
from bastide.core.errors import Misconfigured

__all__ = ["Turns", "failed", "input_of"]

_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def failed(text: str) -> str:
    """How a model is told that a tool failed: the vocabulary has only the text."""
    return f"Error: {text}"


def input_of(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as an object; empty if the answer was cut short within them."""
    try:
        return _decoder.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        return {}


class Turns:
    """Collects what turns say. `wrong` makes a family's error of a place and what is wrong."""

    def __init__(self, wrong: Callable[[str, str], Misconfigured]) -> None:
        self._wrong = wrong
        self._messages: list[Message] = []
        self._role = ""
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []
        self._open: dict[str, str] = {}  # calls without a result, and their place

    def begin(self, role: str) -> None:
        """A turn of `role` begins. Raises Misconfigured if calls were left open before it."""
        if role == self._role:
            return
        if role == "assistant":
            self._require_answers()
        self._flush()
        self._role = role

    def say(self, text: str) -> None:
        """Text of this turn."""
        self._texts.append(text)

    def call(self, call: ToolCall, place: str) -> None:
        """A call in this turn, which must be the assistant's."""
        if self._role != "assistant":
            raise self._wrong(place, "only the assistant calls tools")
        if call.ident in self._open:
            raise self._wrong(place, "two calls have the same id")
        self._calls.append(call)
        self._open[call.ident] = place

    def result(self, ident: str, text: str, place: str) -> None:
        """What a tool answered, in this turn, which must be the user's."""
        if self._role != "user":
            raise self._wrong(place, "results of tools stand in a turn of the user")
        if self._open.pop(ident, None) is None:
            raise self._wrong(place, "the turn before it has no call with this id")
        self._flush()
        self._messages.append(Message("tool", text, answers=ident))

    def messages(self) -> tuple[Message, ...]:
        """All of them. Raises Misconfigured if a call has no result."""
        self._require_answers()
        self._flush()
        return tuple(self._messages)

    def _flush(self) -> None:
        if self._texts or self._calls:
            calls = tuple(self._calls)
            self._messages.append(Message(self._role, "\n".join(self._texts), calls))
        self._texts, self._calls = [], []

    def _require_answers(self) -> None:
        for place in self._open.values():
            raise self._wrong(place, "this call has no result in the turn after it")
