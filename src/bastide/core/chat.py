# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The one serving vocabulary: what a dialect decodes to and what an engine answers.

These are made by the dozen for every answer, so they are msgspec's structs: a frozen dataclass of
ten fields takes 20 to 40 times as long to make (docs/adr/0024-hot-path.md).
"""

from enum import StrEnum

import msgspec

from bastide.core.sealed import Sealed
from bastide.core.standing import Standing


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"  # the model ended it, or a stop sequence was met
    LENGTH = "length"  # max_tokens was reached
    TOOL_CALLS = "tool_calls"  # the model asks for tools to be called
    FILTERED = "content_filter"  # the guard ended it
    ERROR = "error"  # the engine failed
    CANCELLED = "cancelled"  # the client went away


class Tool(msgspec.Struct, frozen=True):
    """A function that the caller can run. `parameters` is the JSON text of its schema.

    The arguments of a `strict` one follow its schema also where the model may choose to call.
    """

    name: str
    description: str = ""
    parameters: str = "{}"
    strict: bool = False


class ToolCall(msgspec.Struct, frozen=True):
    """What a model asks to be run. `arguments` is JSON text."""

    ident: str
    name: str
    arguments: str


class ChoiceMode(StrEnum):
    """Whether an answer may, must or must not call tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


class ToolChoice(msgspec.Struct, frozen=True):
    """`name` is the only tool that may be called; it goes with REQUIRED.

    Without `parallel` an answer has one call at most.
    """

    mode: ChoiceMode = ChoiceMode.AUTO
    name: str | None = None
    parallel: bool = True


class Message(msgspec.Struct, frozen=True):
    """One turn: a role (system, user, assistant, tool) and its text.

    An assistant's turn may have `calls`; a tool's turn `answers` one of them, by its id.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""


class Sampling(msgspec.Struct, frozen=True):
    """How to draw tokens. None means the engine's default.

    With 0 `max_tokens` the prompt is read into the engine's cache, and nothing is said. `top_k` is
    of how many likeliest tokens one is drawn, 0 for all.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None


class GenerateRequest(msgspec.Struct, frozen=True):
    """A request to a model: either `messages` (chat) or `prompt` (plain completion).

    The chat template is applied by the engine, inside its sandbox. `schema` is the JSON text of a
    schema that the answer must follow, unless it is a call. `tenant` is set by the gateway, never
    by a client, and so is `whole`: nobody reads the answer before its end, so its pieces may come
    joined. So is `background`: nobody waits for the answer, so it is only lent slots
    (core/fair_queue.py). `priority` is set by the runner from its queue, whatever came: engines
    that can give a running answer up for another one give up the highest number first. `standing`
    is for the runner, which keeps it from the engine. With `sealed` the prompt is ciphertext, which
    the runner opens; no engine ever sees it. With `apart`, which the runner sets, the engine uses
    nothing that it kept of earlier prompts, and nothing of this one later.
    """

    ident: str
    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = ToolChoice()
    schema: str | None = None
    tenant: str = ""
    whole: bool = False
    background: bool = False
    priority: int = 0
    standing: Standing | None = None
    sealed: Sealed | None = None
    apart: bool = False


class Usage(msgspec.Struct, frozen=True):
    """Tokens, as the engine counted them. `cached` are prompt tokens found in its cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class CallPart(msgspec.Struct, frozen=True):
    """A piece of a tool call. The first piece of each call, and only it, has `ident` and `name`.

    `index` counts the calls of one answer from 0; their pieces never mix.
    """

    index: int
    ident: str = ""
    name: str = ""
    arguments: str = ""


class Delta(msgspec.Struct, frozen=True):
    """A piece of an answer: text, or a part of a tool call.

    The last one, and only it, has `finish`, and no `call`. `usage` of the last one is the final
    count; of an earlier one, what the engine has counted so far. `met` is the stop sequence of the
    request that ended the answer, if one did; then `finish` is STOP.
    """

    text: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None
    call: CallPart | None = None
    met: str = ""


class Said(msgspec.Struct, frozen=True):
    """A whole answer."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()


# A piece takes ten times the memory of its letters, and thousands of answers run at once.
_PIECES_KEPT = 64


class Hearing:
    """Puts the pieces of an answer together again."""

    __slots__ = ("_calls", "_texts")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[tuple[CallPart, list[str]]] | None = None

    def hear(self, delta: Delta) -> None:
        """Take the next piece."""
        if delta.text:
            texts = self._texts
            texts.append(delta.text)
            if len(texts) == _PIECES_KEPT:
                texts[:] = ("".join(texts),)
        part = delta.call
        if part is None:
            return
        if self._calls is None:
            self._calls = []
        if part.name:
            self._calls.append((part, []))
        self._calls[part.index][1].append(part.arguments)

    @property
    def begun(self) -> bool:
        """True once anything was heard."""
        return bool(self._texts or self._calls)

    def said(self) -> Said:
        """All that was heard so far."""
        calls = self._calls
        if calls is None:
            return Said("".join(self._texts))
        made = tuple([ToolCall(one.ident, one.name, "".join(rest)) for one, rest in calls])
        return Said("".join(self._texts), made)


class EmbedRequest(msgspec.Struct, frozen=True):
    """Texts to be made into vectors. `dimensions` is how many to keep, None for all.

    `tenant`, `background` and `standing` are as in GenerateRequest.
    """

    ident: str
    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    tenant: str = ""
    background: bool = False
    standing: Standing | None = None


class Embedded(msgspec.Struct, frozen=True):
    """One vector for each text, of length 1, in the same order."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int = 0


class TokenChoice(msgspec.Struct, frozen=True):
    """A possible next token and its natural-log probability."""

    text: str
    logprob: float
