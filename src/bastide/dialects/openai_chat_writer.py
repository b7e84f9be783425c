# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Writes an answer of chat completions, whole or as a stream of chunks."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from bastide.core.chat import CallPart, Delta, FinishReason, Said, ToolCall
from bastide.dialects.openai_fields import fingerprint, usage_json
from bastide.dialects.surface import Asked, Context

__all__ = ["ChatWriter", "FunctionsAsked", "MistralWriter"]

_encode = msgspec.json.Encoder().encode
_MARK = b'"\\u0000"'


class FunctionsAsked(Asked, frozen=True):
    """A request of the time before tools: a call is answered as a `function_call`."""


@lru_cache(maxsize=64)
def _end(release: str) -> dict[str, str]:
    return {"service_tier": "default", "system_fingerprint": fingerprint(release)}


@lru_cache(maxsize=64)
def _one(after: bytes) -> bytes:
    """Of equal bytes always the same ones: what follows a text is equal in nearly all streams."""
    return after


class ChatWriter:
    """Writes one answer, whole or as a stream of chunks. Its kin add fields."""

    # No more than this: thousands of streams wait at once, each with its writer.
    __slots__ = ("_around", "_context")

    choice_fields: ClassVar[dict[str, Any]] = {}
    filtered_fields: ClassVar[dict[str, Any]] = {}  # instead, where the guard ended the answer
    answer_fields: ClassVar[dict[str, Any]] = {}
    usage_at_finish: ClassVar[bool] = False  # the chunk that ends the text states the usage

    def __init__(self, context: Context) -> None:
        self._context = context
        self._around: tuple[bytes, bytes] | None = None

    @property
    def _usage(self) -> bool:
        return self._context.asked.usage

    @property
    def _functions(self) -> bool:
        return isinstance(self._context.asked, FunctionsAsked)

    def first(self) -> bytes:
        """The chunk that opens a stream: it has the role."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return self._chunk([self._choice(delta, None)])

    def piece(self, text: str) -> bytes:
        """One chunk of text."""
        if self._around is None:
            # Only the text differs from chunk to chunk, so all around it is encoded once.
            frame = self._chunk([self._choice({"content": "\0"}, None)])
            before, _, after = frame.partition(_MARK)
            self._around = before, _one(after)
        before, after = self._around
        return before + _encode(text) + after

    def call(self, part: CallPart) -> bytes:
        """One chunk of a call: its begin, or some of its arguments."""
        function: dict[str, Any] = {"arguments": part.arguments}
        if part.name:
            function = {"name": part.name, **function}
        if self._functions:
            return self._chunk([self._choice({"function_call": function}, None)])
        row: dict[str, Any] = {"index": part.index, "function": function}
        if part.name:
            row |= {"id": part.ident, "type": "function"}
        return self._chunk([self._choice({"tool_calls": [row]}, None)])

    def last(self, delta: Delta) -> bytes:
        """Everything from the last delta to ``[DONE]``."""
        assert delta.finish is not None and delta.usage is not None
        out = self.piece(delta.text) if delta.text else b""
        usage = usage_json(delta.usage)
        early = usage if self.usage_at_finish else None
        out += self._chunk([self._choice({}, self._finish(delta.finish))], early)
        if self._usage:
            out += self._chunk([], usage)
        return out + b"data: [DONE]\n\n"

    def whole(self, said: Said, delta: Delta) -> bytes:
        """The answer as one JSON object."""
        assert delta.finish is not None and delta.usage is not None
        message: dict[str, Any] = {
            "role": "assistant",
            "content": said.text if said.text or not said.calls else None,
            "refusal": None,
            "annotations": [],
        }
        if said.calls:
            message |= self._called(said.calls)
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish(delta.finish),
            **self._about(delta.finish),
        }
        return _encode(
            {
                "id": f"chatcmpl-{self._context.ident}",
                "object": "chat.completion",
                "created": self._context.created_s,
                "model": self._context.model,
                "choices": [choice],
                "usage": usage_json(delta.usage),
                **_end(self._context.release),
                **self.answer_fields,
            }
        )

    def _chunk(
        self,
        choices: list[dict[str, Any]],
        usage: dict[str, Any] | None = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> bytes:
        row: dict[str, Any] = {
            "id": f"chatcmpl-{self._context.ident}",
            "object": "chat.completion.chunk",
            "created": self._context.created_s,
            "model": self._context.model,
            **_end(self._context.release),
            "choices": choices,
            **fields,
        }
        if self._usage or usage is not None:
            row["usage"] = usage
        return b"data: " + _encode(row) + b"\n\n"

    def _choice(self, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
        return {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish,
            **self._about(finish),
        }

    def _about(self, finish: str | None) -> dict[str, Any]:
        filtered = finish == FinishReason.FILTERED
        return self.filtered_fields if filtered else self.choice_fields

    def _finish(self, finish: FinishReason) -> str:
        called = self._functions and finish is FinishReason.TOOL_CALLS
        return "function_call" if called else finish

    def _called(self, calls: tuple[ToolCall, ...]) -> dict[str, Any]:
        functions = [{"name": call.name, "arguments": call.arguments} for call in calls]
        if self._functions:
            return {"function_call": functions[0]}
        return {
            "tool_calls": [
                {"id": call.ident, "type": "function", "function": function}
                for call, function in zip(calls, functions, strict=True)
            ]
        }


class MistralWriter(ChatWriter):
    """Mistral's client reads strictly, and does not put the pieces of a call together.

    So a call is written once it is whole, and the usage stands in the chunk that ends the text.
    """

    __slots__ = ("_arguments", "_begun")
    usage_at_finish = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._begun: CallPart | None = None  # a call that is not whole yet
        self._arguments: list[str] = []

    def piece(self, text: str) -> bytes:
        """One chunk of text, and the call before it."""
        return self._called_so_far() + super().piece(text)

    def call(self, part: CallPart) -> bytes:
        """The call before it, if this is the begin of another one."""
        out = b""
        if part.name:
            out = self._called_so_far()
            self._begun = part
        self._arguments.append(part.arguments)
        return out

    def last(self, delta: Delta) -> bytes:
        """The last call, and everything to ``[DONE]``."""
        return self._called_so_far() + super().last(delta)

    def _called_so_far(self) -> bytes:
        begun, arguments = self._begun, "".join(self._arguments)
        if begun is None:
            return b""
        self._begun = None
        self._arguments.clear()
        return super().call(CallPart(begun.index, begun.ident, begun.name, arguments))
