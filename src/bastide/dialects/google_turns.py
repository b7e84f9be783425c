# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The turns of a conversation as Google writes them: contents of parts.

A result of a function lies in a user's content. Ids of calls are optional: without one, a result
answers the oldest call of its function that nothing has answered yet.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bastide.core.chat import Message, ToolCall
from bastide.core.errors import Misconfigured
from bastide.core.limits import REQUEST_MESSAGES_MAX
from bastide.dialects.google_fields import IGNORED, READ, Shape, fields, rows, text
from bastide.dialects.open_calls import OpenCalls

__all__ = ["instruction", "messages"]

_CONTENT: Final[Shape] = {"parts": READ, "role": READ}
_PART: Final[Shape] = {
    "audioMetadata": (),
    "audioTranscription": (),
    "codeExecutionResult": (),
    "documentMetadata": (),
    "executableCode": (),
    "fileData": (),
    "functionCall": READ,
    "functionResponse": READ,
    "inlineData": (),
    "mediaProcessing": (),
    "mediaResolution": (),
    "partMetadata": IGNORED,
    "speechMetadata": (),
    "spreadsheetMetadata": (),
    "text": READ,
    "thought": (False,),
    "thoughtSignature": IGNORED,  # nobody but the model that thought it can read it
    "toolCall": (),
    "toolResponse": (),
    "videoMetadata": (),
}
_DATA: Final = ("text", "functionCall", "functionResponse")
_CALL: Final[Shape] = {
    "args": READ,
    "id": READ,
    "name": READ,
    "partialArgs": ([],),
    "willContinue": (False,),
}
_RESULT: Final[Shape] = {
    "id": READ,
    "name": READ,
    "parts": ([],),
    "response": READ,
    "scheduling": IGNORED,  # of functions that run on while the model talks
    "willContinue": (False,),
}
_ROLES: Final = {
    "": "user",
    "user": "user",
    "function": "user",
    "tool": "user",
    "model": "assistant",
}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Result:
    ident: str
    name: str
    content: str


_Part = str | ToolCall | _Result


def messages(value: Any, unsupported: list[str]) -> list[Message]:
    """Read `contents`. Raises Misconfigured."""
    contents = [] if value is None else rows(value)
    if not contents:
        raise Misconfigured("Invalid value at 'contents': it is empty.", place="contents")
    _bound(len(contents))
    out: list[Message] = []
    calls = OpenCalls()
    for index, content in enumerate(contents):
        place = f"contents[{index}]"
        name, parts = _content(content, place, unsupported)
        role = _ROLES.get(name.lower())
        if role is None:
            message = f"Invalid value at '{place}.role': use 'user' or 'model'."
            raise Misconfigured(message, place=f"{place}.role")
        if role == "user":
            _ask(parts, place, calls, out)
        else:
            _answer(parts, place, calls, out)
        _bound(len(out))
    return out


def instruction(value: Any, place: str, unsupported: list[str]) -> str:
    """The text of a content that may have nothing but text. Raises Misconfigured."""
    _, parts = _content(value, place, unsupported)
    words = [part for part in parts if isinstance(part, str)]
    if len(words) < len(parts):
        raise Misconfigured(f"Invalid value at '{place}': expected text.", place=place)
    return "".join(words)


def _ask(parts: list[_Part], place: str, calls: OpenCalls, out: list[Message]) -> None:
    """What a user says and functions answered, in its order."""
    words: list[str] = []
    for part in parts:
        if isinstance(part, str):
            words.append(part)
            continue
        if isinstance(part, ToolCall):
            message = f"Invalid value at '{place}': only a model's content has a functionCall."
            raise Misconfigured(message, place=place)
        answered = calls.answer(part.ident, part.name)
        if answered is None:
            message = f"Invalid value at '{place}': no functionCall before this functionResponse."
            raise Misconfigured(message, place=place)
        if words:
            out.append(Message("user", "".join(words)))
            words = []
        out.append(Message("tool", part.content, answers=answered))
        _bound(len(out))
    if words or not parts:
        out.append(Message("user", "".join(words)))


def _answer(parts: list[_Part], place: str, calls: OpenCalls, out: list[Message]) -> None:
    """What a model said and called. The SDK's chats keep a content per chunk: they are one turn."""
    before = out.pop() if out and out[-1].role == "assistant" else Message("assistant", "")
    words, made = [before.content], list(before.calls)
    for part in parts:
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, ToolCall):
            made.append(ToolCall(calls.open(part.ident, part.name), part.name, part.arguments))
        else:
            message = f"Invalid value at '{place}': a model's content has no functionResponse."
            raise Misconfigured(message, place=place)
    _bound(len(made))
    out.append(Message("assistant", "".join(words), tuple(made)))


def _content(value: Any, place: str, unsupported: list[str]) -> tuple[str, list[_Part]]:
    given = fields(value, place, _CONTENT, unsupported)
    role = text(given.get("role", ""), f"{place}.role")
    parts = rows(given.get("parts", []))
    if not parts:
        raise Misconfigured(
            f"Invalid value at '{place}.parts': it is empty.", place=f"{place}.parts"
        )
    read = (_part(part, f"{place}.parts[{index}]", unsupported) for index, part in enumerate(parts))
    return role, [part for part in read if part is not None]


def _part(value: Any, place: str, unsupported: list[str]) -> _Part | None:
    """What a part holds; None if that is among what is unsupported."""
    refused = len(unsupported)
    given = fields(value, place, _PART, unsupported)
    data = [name for name in _DATA if name in given]
    if len(data) > 1:
        message = f"Invalid value at '{place}': it has both '{data[0]}' and '{data[1]}'."
        raise Misconfigured(message, place=place)
    if "text" in given:
        return text(given["text"], f"{place}.text")
    if "functionCall" in given:
        return _call(given["functionCall"], f"{place}.functionCall", unsupported)
    if "functionResponse" in given:
        return _result(given["functionResponse"], f"{place}.functionResponse", unsupported)
    if len(unsupported) == refused:
        raise Misconfigured(f"Invalid value at '{place}': it has no data.", place=place)
    return None


def _call(value: Any, place: str, unsupported: list[str]) -> ToolCall:
    given = fields(value, place, _CALL, unsupported)
    ident = text(given.get("id", ""), f"{place}.id")
    return ToolCall(ident, _name(given, place), _object(given.get("args", {}), f"{place}.args"))


def _result(value: Any, place: str, unsupported: list[str]) -> _Result:
    given = fields(value, place, _RESULT, unsupported)
    ident = text(given.get("id", ""), f"{place}.id")
    content = _object(given.get("response", {}), f"{place}.response")
    return _Result(ident, _name(given, place), content)


def _name(given: dict[str, Any], place: str) -> str:
    name = text(given.get("name", ""), f"{place}.name")
    if not name:
        raise Misconfigured(f"Invalid value at '{place}.name': it is empty.", place=f"{place}.name")
    return name


def _object(value: Any, place: str) -> str:
    if not isinstance(value, dict):
        raise Misconfigured(f"Invalid value at '{place}': expected an object.", place=place)
    return _encode(value).decode()


def _bound(count: int) -> None:
    if count > REQUEST_MESSAGES_MAX:
        message = f"Invalid value at 'contents': at most {REQUEST_MESSAGES_MAX} are allowed."
        raise Misconfigured(message, place="contents")
