# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The one serving vocabulary: what a dialect decodes to and what an engine answers."""

from dataclasses import dataclass, field
from enum import StrEnum


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"  # the model ended it, or a stop sequence was met
    LENGTH = "length"  # max_tokens was reached
    TOOL_CALLS = "tool_calls"  # the model asks for tools to be called
    FILTERED = "content_filter"  # the guard ended it
    ERROR = "error"  # the engine failed
    CANCELLED = "cancelled"  # the client went away


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the caller can run. `parameters` is the JSON text of its schema."""

    name: str
    description: str = ""
    parameters: str = "{}"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model asks to be run. `arguments` is JSON text."""

    ident: str
    name: str
    arguments: str


class ChoiceMode(StrEnum):
    """Whether an answer may, must or must not call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`name` is the only tool that may be called; it goes with REQUIRED.

    Without `parallel` an answer has one call at most.
    """

    mode: ChoiceMode = ChoiceMode.AUTO
    name: str | None = None
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: a role (system, user, assistant, tool) and its text.

    An assistant's turn may have `calls`; a tool's turn `answers` one of them, by its id.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens. None means the engine's default."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """A request to a model: either `messages` (chat) or `prompt` (plain completion).

    The chat template is applied by the engine, inside its sandbox. `schema` is the JSON text of a
    schema that the answer must follow. `tenant` is set by the gateway, never by a client, and so is
    `whole`: nobody reads the answer before its end, so its pieces may come joined.
    """

    ident: str
    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    schema: str | None = None
    tenant: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the engine counted them. `cached` are prompt tokens found in its cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CallPart:
    """A piece of a tool call. The first piece of each call, and only it, has `ident` and `name`.

    `index` counts the calls of one answer from 0; their pieces never mix.
    """

    index: int
    ident: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer: text, or a part of a tool call.

    The last one, and only it, has `finish`, and no `call`. `usage` of the last one is the final
    count; of an earlier one, what the engine has counted so far.
    """

    text: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None
    call: CallPart | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A whole answer."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()


class Hearing:
    """Puts the pieces of an answer together again."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[tuple[CallPart, list[str]]] = []

    def hear(self, delta: Delta) -> None:
        """Take the next piece."""
        if delta.text:
            self._texts.append(delta.text)
        part = delta.call
        if part is None:
            return
        if part.name:
            self._calls.append((part, []))
        self._calls[part.index][1].append(part.arguments)

    def said(self) -> Said:
        """All that was heard so far."""
        calls = tuple(
            ToolCall(first.ident, first.name, "".join(rest)) for first, rest in self._calls
        )
        return Said("".join(self._texts), calls)


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to be made into vectors. `dimensions` is how many to keep, None for all."""

    ident: str
    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Embedded:
    """One vector for each text, of length 1, in the same order."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """A possible next token and its natural-log probability."""

    text: str
    logprob: float
