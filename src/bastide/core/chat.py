# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The one serving vocabulary: what a dialect decodes to and what an engine answers."""

from dataclasses import dataclass, field
from enum import StrEnum


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"  # the model ended it, or a stop sequence was met
    LENGTH = "length"  # max_tokens was reached
    ERROR = "error"  # the engine failed
    CANCELLED = "cancelled"  # the client went away


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: a role (system, user, assistant) and its text."""

    role: str
    content: str


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

    The chat template is applied by the engine, inside its sandbox.
    """

    ident: str
    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the engine counted them. `cached` are prompt tokens found in its cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. The last one, and only it, has `finish` and `usage`."""

    text: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """A possible next token and its natural-log probability."""

    text: str
    logprob: float
