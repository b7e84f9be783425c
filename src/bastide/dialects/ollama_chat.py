# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ollama chat: ``POST /api/chat``."""

from typing import Any, Final

import msgspec

from bastide.core.chat import (
    CallPart,
    Delta,
    GenerateRequest,
    Hearing,
    Message,
    Said,
    ToolCall,
    ToolChoice,
)
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.ollama_fields import Asking, LineWriter, ollama_name, options_of
from bastide.dialects.ollama_tools import (
    Called,
    Offered,
    calls_json,
    calls_of,
    schema_of,
    tools_of,
)
from bastide.dialects.open_calls import OpenCalls
from bastide.dialects.openai_fields import ABSENT, decode_body, refuse_unsupported
from bastide.dialects.surface import Asked, Context

__all__ = ["ChatWriter", "decode"]

_ROLES: Final = ("system", "user", "assistant", "tool")
_HARMLESS: Final[dict[str, tuple[Any, ...]]] = {"images": ([],), "thinking": ("",)}


class _Turn(msgspec.Struct):
    role: str
    content: str | None = None
    tool_calls: list[Called] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    images: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT


class _Body(Asking, kw_only=True):
    messages: list[_Turn] | None = None
    tools: list[Offered] | None = None


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str) -> Asked:
    """Read a request. Raises Misconfigured."""
    given = decode_body(_decoder, body)
    tools = tools_of(given.tools)
    request = GenerateRequest(
        ident,
        ollama_name(given.model),
        _messages(given.messages),
        None,
        options_of(given),
        tools,
        ToolChoice(),
        schema_of(given.format),
    )
    return Asked(request, given.stream is not False, usage=True)


class ChatWriter(LineWriter):
    """Writes one chat answer. In a stream a call is one line, whole."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._held = Hearing()  # a call that is not whole yet
        self._holds = False

    def said(self, said: Said) -> dict[str, Any]:
        """The message."""
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        calls = calls_json(said.calls)
        return {"message": message | {"tool_calls": calls} if calls else message}

    def piece(self, text: str) -> bytes:
        """One line of text."""
        return self._whole_call() + super().piece(text)

    def call(self, part: CallPart) -> bytes:
        """A line of the call before, once another one begins."""
        out = self._whole_call() if part.name else b""
        self._holds = True
        # Each call is heard by itself.
        self._held.hear(Delta(call=CallPart(0, part.ident, part.name, part.arguments)))
        return out

    def last(self, delta: Delta) -> bytes:
        """What is left, and the line that says `done`."""
        return self._whole_call() + super().last(delta)

    def _whole_call(self) -> bytes:
        if not self._holds:
            return b""
        said, self._held, self._holds = self._held.said(), Hearing(), False
        return self.line(said) if calls_json(said.calls) else b""


def _messages(turns: list[_Turn] | None) -> tuple[Message, ...]:
    if not turns:
        raise Misconfigured("Missing 'messages': models are always loaded.", place="messages")
    made = sum(len(turn.tool_calls or ()) for turn in turns)
    if len(turns) + made > REQUEST_MESSAGES_MAX:
        message = f"Invalid 'messages': at most {REQUEST_MESSAGES_MAX}, and their calls count too."
        raise Misconfigured(message, place="messages")
    calls = OpenCalls()
    return tuple(_message(turn, f"messages[{index}]", calls) for index, turn in enumerate(turns))


def _message(turn: _Turn, place: str, calls: OpenCalls) -> Message:
    if turn.role not in _ROLES:
        raise Misconfigured(
            f"Invalid '{place}.role': use one of {', '.join(_ROLES)}.", place=f"{place}.role"
        )
    extras = {"images": turn.images, "thinking": turn.thinking}
    refuse_unsupported({f"{place}.{name}": raw for name, raw in extras.items()}, _HARMLESS)
    content = turn.content or ""  # the client leaves an empty one out
    if turn.role == "tool":
        answered = calls.answer(turn.tool_call_id or "", turn.tool_name or "")
        return Message("tool", content, answers=answered or "")
    if turn.tool_calls and turn.role != "assistant":
        message = f"Invalid '{place}.tool_calls': only the assistant calls tools."
        raise Misconfigured(message, place=f"{place}.tool_calls")
    made = tuple(
        ToolCall(calls.open(call.ident, call.name), call.name, call.arguments)
        for call in calls_of(turn.tool_calls)
    )
    return Message(turn.role, content, made)
