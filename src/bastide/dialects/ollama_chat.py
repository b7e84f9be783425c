# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ollama chat: ``POST /api/chat``."""

from typing import Any, Final

import msgspec

from bastide.core.chat import GenerateRequest, Message
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.ollama_fields import Asking, LineWriter, ollama_name, options_of
from bastide.dialects.openai_fields import ABSENT, decode_body, refuse_unsupported
from bastide.dialects.surface import Asked

__all__ = ["ChatWriter", "decode"]

_ROLES: Final = ("system", "user", "assistant")
_HARMLESS: Final[dict[str, tuple[Any, ...]]] = {
    "tools": ([],),
    "images": ([],),
    "tool_calls": ([],),
    "tool_name": ("",),
    "thinking": ("",),
}
_EXTRAS: Final = ("images", "tool_calls", "tool_name", "thinking")


class _Turn(msgspec.Struct):
    role: str
    content: str | None = None
    images: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    tool_name: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT


class _Body(Asking, kw_only=True):
    messages: list[_Turn] | None = None
    tools: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, ident: str) -> Asked:
    """Read a request. Raises Misconfigured."""
    given = decode_body(_decoder, body)
    refuse_unsupported({"tools": given.tools}, _HARMLESS)
    request = GenerateRequest(
        ident, ollama_name(given.model), _messages(given.messages), None, options_of(given)
    )
    return Asked(request, given.stream is not False, usage=True)


class ChatWriter(LineWriter):
    """Writes one chat answer."""

    def text(self, text: str) -> dict[str, Any]:
        """The message that holds the text."""
        return {"message": {"role": "assistant", "content": text}}


def _messages(turns: list[_Turn] | None) -> tuple[Message, ...]:
    if not turns:
        raise Misconfigured("Missing 'messages': models are always loaded.", place="messages")
    if len(turns) > REQUEST_MESSAGES_MAX:
        raise Misconfigured(
            f"Invalid 'messages': at most {REQUEST_MESSAGES_MAX}, got {len(turns)}.",
            place="messages",
        )
    return tuple(_message(turn, f"messages[{index}]") for index, turn in enumerate(turns))


def _message(turn: _Turn, place: str) -> Message:
    if turn.role not in _ROLES:
        raise Misconfigured(
            f"Invalid '{place}.role': use one of {', '.join(_ROLES)}.", place=f"{place}.role"
        )
    refuse_unsupported({f"{place}.{name}": getattr(turn, name) for name in _EXTRAS}, _HARMLESS)
    # The client leaves an empty content out.
    return Message(turn.role, turn.content or "")
