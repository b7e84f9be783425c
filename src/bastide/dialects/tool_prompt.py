# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tools for engines that know only text and schemas.

Most chat templates ignore tools, and those that know them cannot force a call. So tools become a
system message in the form that NousResearch's Hermes models made common (``<tool_call>``), calls
and results of earlier turns become text in the same form, and

* where a call is required, the answer is bound by a schema: of the tool's arguments if only one
  can be meant, else of ``{"name", "arguments"}`` of any of them. A call cannot fail to appear, and
  its arguments follow the tool's schema;
* where the model may choose, its text is read as it comes: what stands in a ``<tool_call>`` that
  names a given tool becomes a call, all else stays text;
* where it may choose but a tool is strict, or the answer has a schema of its own, the whole answer
  is bound: to ``{"name", "arguments"}`` or ``{"answer"}`` (`tool_or_answer.py` reads it).
"""

from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from bastide.core.chat import (
    CallPart,
    ChoiceMode,
    Delta,
    FinishReason,
    GenerateRequest,
    Message,
    Tool,
    Usage,
)
from bastide.dialects.json_schema import ANY_OBJECT
from bastide.dialects.tool_or_answer import ToolOrAnswer

__all__ = ["Reading", "as_text"]

_OPEN: Final = "<tool_call>"
_CLOSE: Final = "</tool_call>"
_ARGUMENTS: Final = '"arguments":'
_ANY_TEXT: Final = '{"type":"string"}'
_encode = msgspec.json.Encoder().encode
_SIGNATURES: Final = (
    "You may call functions. Their signatures stand within <tools></tools>:\n<tools>\n{tools}\n"
    "</tools>\n"
)
_FORM: Final = (
    "To call a function, answer with a JSON object of its name and its arguments:\n"
    '<tool_call>\n{"name": "function-name", "arguments": {"argument": "value"}}\n</tool_call>'
)
_EITHER: Final = (
    "Answer with one JSON object and nothing else. To call a function:\n"
    '{"name": "function-name", "arguments": {"argument": "value"}}\n'
    'To answer without a call: an object whose only member is "answer".'
)
_DEMAND: Final = "Call {what} now. Answer with nothing but the JSON object of {part}."


class Reading(Protocol):
    """Makes calls of an engine's text."""

    def read(self, text: str, usage: Usage | None) -> list[Delta]:
        """The next piece of text, as deltas."""
        ...

    def end(self, last: Delta) -> list[Delta]:
        """What is left, and the last delta."""
        ...


def as_text(request: GenerateRequest) -> tuple[GenerateRequest, Reading | None]:
    """A request without tools that asks for the same, and how to read its answer.

    The reading is None where the answer is only text.
    """
    messages = tuple(_plain(message) for message in request.messages)
    tools = {tool.name: tool for tool in request.tools}
    bare = replace(request, messages=messages, tools=())
    if not tools or request.choice.mode is ChoiceMode.NONE:
        return bare, None
    named = request.choice.name
    meant = [tools[named]] if named else list(tools.values())
    reading: Reading
    if request.choice.mode is ChoiceMode.AUTO:
        if request.schema is not None or any(tool.strict for tool in meant):
            return _either(bare, meant, request.schema)
        messages = _introduce(messages, meant, _FORM)
        reading = _Marked(request.ident, tools, request.choice.parallel)
        return replace(bare, messages=messages), reading
    if len(meant) == 1:
        what, part, schema = f"the function {meant[0].name}", "its arguments", _of(meant[0])
        reading = _Arguments(request.ident, meant[0].name)
    else:
        what, part, schema = "one of the functions", "its name and arguments", _of_any(meant)
        reading = _Enveloped(request.ident)
    demand = f"{_FORM}\n{_DEMAND.format(what=what, part=part)}"
    messages = _introduce(messages, meant, demand)
    return replace(bare, messages=messages, schema=schema), reading


def _either(
    bare: GenerateRequest, tools: list[Tool], answer: str | None
) -> tuple[GenerateRequest, Reading]:
    """A call or an answer, both under one schema. Without a schema of its own it is a text."""
    reading = ToolOrAnswer(_Enveloped(bare.ident), quoted=answer is None)
    messages = _introduce(bare.messages, tools, _EITHER)
    schema = _of_any(tools, answer or _ANY_TEXT)
    return replace(bare, messages=messages, schema=schema), reading


class _Arguments:
    """The whole text is the arguments of one call."""

    def __init__(self, ident: str, name: str) -> None:
        self._first: CallPart | None = CallPart(0, _call_ident(ident, 0), name)

    def read(self, text: str, usage: Usage | None) -> list[Delta]:
        """Everything is arguments."""
        out = [] if self._first is None else [Delta(call=self._first, usage=usage)]
        self._first = None
        return [*out, Delta(call=CallPart(0, arguments=text), usage=usage)] if text else out

    def end(self, last: Delta) -> list[Delta]:
        """The end of the call."""
        return [*self.read(last.text, last.usage), _ended(last)]


class _Enveloped:
    """The text is ``{"name": ..., "arguments": ...}``, as a schema made it."""

    def __init__(self, ident: str) -> None:
        self._ident = ident
        self._text = ""
        self._begun = False  # something of the arguments was said
        self._held: str | None = None  # once the arguments have begun: what may be the last brace

    def read(self, text: str, usage: Usage | None) -> list[Delta]:
        """The name first, then the arguments without the brace that closes the envelope."""
        if self._held is not None:
            return self._arguments(text, usage)
        self._text += text
        head, found, rest = self._text.partition(_ARGUMENTS)
        if not found:
            return []
        name = msgspec.json.decode(head.rstrip().rstrip(",") + "}")["name"]
        self._held = ""
        begun = Delta(call=CallPart(0, _call_ident(self._ident, 0), name), usage=usage)
        return [begun, *self._arguments(rest, usage)]

    def end(self, last: Delta) -> list[Delta]:
        """The end of the call; if the answer was cut short, all that there is of it."""
        out = self.read(last.text, last.usage)
        held = (self._held or "").rstrip()
        whole = last.finish is FinishReason.STOP
        left = held.removesuffix("}").rstrip() if whole else held
        if left and self._held is not None:
            out.append(Delta(call=CallPart(0, arguments=left), usage=last.usage))
        return [*out, _ended(last, called=self._held is not None)]

    def _arguments(self, text: str, usage: Usage | None) -> list[Delta]:
        assert self._held is not None
        text = self._held + text if self._begun else (self._held + text).lstrip()
        # The envelope's brace is the last one, with only space around it: hold back its candidates.
        body = text.rstrip().rstrip("}").rstrip()
        keep = text[len(body) :]
        self._held = keep
        self._begun = self._begun or bool(body)
        return [Delta(call=CallPart(0, arguments=body), usage=usage)] if body else []


class _Marked:
    """Free text in which ``<tool_call>`` may stand."""

    def __init__(self, ident: str, tools: dict[str, Tool], parallel: bool) -> None:
        self._ident = ident
        self._tools = tools
        self._parallel = parallel
        self._held = ""
        self._calls = 0

    def read(self, text: str, usage: Usage | None) -> list[Delta]:
        """Text as it is, calls once they are complete."""
        self._held += text
        out: list[Delta] = []
        while True:
            before, opened, inside = self._held.partition(_OPEN)
            if not opened:
                keep = _overlap(self._held)
                self._say(self._held[: len(self._held) - keep], usage, out)
                self._held = self._held[len(self._held) - keep :]
                return out
            body, closed, after = inside.partition(_CLOSE)
            if not closed:
                self._say(before, usage, out)
                self._held = opened + inside
                return out
            self._say(before, usage, out)
            self._held = after
            self._call(body, usage, out)

    def end(self, last: Delta) -> list[Delta]:
        """A call that the model forgot to close counts, if it is whole."""
        out = self.read(last.text, last.usage)
        if self._held.startswith(_OPEN):
            self._call(self._held.removeprefix(_OPEN), last.usage, out)
        else:
            self._say(self._held, last.usage, out)
        return [*out, _ended(last, called=self._calls > 0)]

    def _say(self, text: str, usage: Usage | None, out: list[Delta]) -> None:
        # Line breaks around calls are the form's, not the answer's.
        if text and not (self._calls and text.isspace()):
            out.append(Delta(text, usage=usage))

    def _call(self, body: str, usage: Usage | None, out: list[Delta]) -> None:
        found = _parse(body, self._tools)
        if found is None:
            out.append(Delta(_OPEN + body + _CLOSE, usage=usage))
            return
        if self._calls and not self._parallel:
            return  # one call was asked for: the caller will ask again
        name, arguments = found
        index = self._calls
        self._calls += 1
        part = CallPart(index, _call_ident(self._ident, index), name, arguments)
        out.append(Delta(call=part, usage=usage))


def _parse(body: str, tools: dict[str, Tool]) -> tuple[str, str] | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    if not isinstance(value, dict) or value.get("name") not in tools:
        return None
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        return None
    return value["name"], _encode(arguments).decode()


def _overlap(text: str) -> int:
    """How much of the end of `text` may be the beginning of a mark."""
    sizes = range(min(len(_OPEN) - 1, len(text)), 0, -1)
    return next((size for size in sizes if _OPEN.startswith(text[-size:])), 0)


def _ended(last: Delta, *, called: bool = True) -> Delta:
    if called and last.finish is FinishReason.STOP:
        return Delta("", FinishReason.TOOL_CALLS, last.usage)
    return Delta("", last.finish, last.usage, met=last.met)


def _call_ident(ident: str, index: int) -> str:
    return f"call_{ident}{index}"


def _plain(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
    if not message.calls:
        return message
    calls = [f'{_OPEN}\n{{"name": {_json(call.name)}, "arguments": {call.arguments}}}\n{_CLOSE}'
             for call in message.calls]  # fmt: skip
    return Message(message.role, "\n".join(filter(None, (message.content, *calls))))


def _introduce(messages: tuple[Message, ...], tools: list[Tool], form: str) -> tuple[Message, ...]:
    rows = "\n".join(
        f'{{"type": "function", "function": {{"name": {_json(tool.name)}, '
        f'"description": {_json(tool.description)}, "parameters": {_of(tool)}}}}}'
        for tool in tools
    )
    text = _SIGNATURES.format(tools=rows) + form
    if messages and messages[0].role == "system":
        first = Message("system", f"{messages[0].content}\n\n{text}")
        return (first, *messages[1:])
    return (Message("system", text), *messages)


def _of(tool: Tool) -> str:
    """The schema of a tool's arguments, which are always an object."""
    given: dict[str, Any] = msgspec.json.decode(tool.parameters)
    return tool.parameters if given.get("type") == "object" else ANY_OBJECT


def _of_any(tools: list[Tool], answer: str | None = None) -> str:
    """A schema of ``{"name", "arguments"}`` for each tool, and of ``{"answer"}`` if there is one.

    What they refer to stays findable.
    """
    rows: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for index, tool in enumerate(tools):
        place = f"#/$defs/tool{index}"
        definitions[f"tool{index}"] = _moved(msgspec.json.decode(_of(tool)), place)
        rows.append(_closed({"name": {"const": tool.name}, "arguments": {"$ref": place}}))
    if answer is not None:
        place = "#/$defs/answer"
        definitions["answer"] = _moved(msgspec.json.decode(answer), place)
        rows.append(_closed({"answer": {"$ref": place}}))
    return _json({"anyOf": rows, "$defs": definitions})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    """A schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _moved(value: Any, place: str) -> Any:
    """A schema that lies at `place` of another one: its references begin there."""
    if isinstance(value, list):
        return [_moved(row, place) for row in value]
    if not isinstance(value, dict):
        return value
    return {
        name: place + row[1:] if name == "$ref" and isinstance(row, str) else _moved(row, place)
        for name, row in value.items()
    }


def _json(value: Any) -> str:
    return _encode(value).decode()
