# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An engine without a model: the same words for the same request, on every machine.

Intended only for development and dry runs: what it says means nothing.
"""

import asyncio
import hashlib
import math
import warnings
from collections.abc import AsyncIterator, Sequence

from bastide.adapters.engine.fake_json import example_of
from bastide.core.chat import (
    ChoiceMode,
    Delta,
    Embedded,
    EmbedRequest,
    FinishReason,
    GenerateRequest,
    Sampling,
    TokenChoice,
    Usage,
)
from bastide.core.errors import Misconfigured, TooLong, Unavailable
from bastide.dialects.tool_prompt import as_text

__all__ = ["FakeEngine"]

_WORDS = (
    "wall", "gate", "street", "market", "charter", "tower", "bridge", "well",
    "mill", "square", "guild", "bell", "seal", "ditch", "field", "house",
)  # fmt: skip
_DEFAULT_TOKENS = 16
_WIDTH = 8  # of a vector
_Planned = tuple[list[str], FinishReason, str]  # the words, how they end, the stop that is met


class FakeEngine:
    """Answers with words that a hash of the request picks; a word is a token."""

    version = "fake"

    def __init__(self, slots: int = 4, context_tokens: int = 2_048, pace_s: float = 0.0) -> None:
        warnings.warn("FakeEngine is intended only for use in development", stacklevel=2)
        self._slots = asyncio.Semaphore(slots)
        self._context_tokens = context_tokens
        self._pace_s = pace_s
        self._ended: asyncio.Future[int] | None = None
        self._status: int | None = None
        self.busy = 0

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece."""
        plain, calls = as_text(request)
        words, finish, met = _words(request, plain, self._context_tokens)
        prompted = _count(_prompt(plain))
        async with self._slots:
            self.busy += 1
            try:
                for said, word in enumerate(words, 1):
                    self._require_life()
                    # Also without a pace: let others run, as an engine of its own process would.
                    await asyncio.sleep(self._pace_s)
                    usage = Usage(prompted, said)
                    deltas = (
                        [Delta(word, usage=usage)] if calls is None else calls.read(word, usage)
                    )
                    for delta in deltas:
                        yield delta
                self._require_life()
            finally:
                self.busy -= 1
        last = Delta("", finish, Usage(prompted, len(words)), met=met)
        for delta in [last] if calls is None else calls.end(last):
            yield delta

    async def count(self, request: GenerateRequest) -> int:
        """How many words the prompt of a request has."""
        self._require_life()
        return _count(_prompt(as_text(request)[0]))

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Vectors that a hash of each text picks."""
        self._require_life()
        width = request.dimensions or _WIDTH
        vectors = tuple(_vector(text, width) for text in request.texts)
        return Embedded(vectors, sum(map(_count, request.texts)))

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """The `count` likeliest next tokens after `prompt`, likeliest first."""
        self._require_life()
        if count < 1 or not prompt:
            raise Misconfigured("the next tokens need a prompt, and a count of at least 1")
        first = _draw(prompt, 0)
        ordered = [_WORDS[(first + i) % len(_WORDS)] for i in range(min(count, len(_WORDS)))]
        return [TokenChoice(f" {word}", -(i + 1) * math.log(2)) for i, word in enumerate(ordered)]

    async def health(self) -> None:
        """Return if the engine can answer."""
        self._require_life()

    async def wait(self) -> int:
        """Wait until `kill` or `close`; the status."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            self._end(self._status)
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """End as a killed process would."""
        self._end(-9)

    async def close(self) -> None:
        """Stop."""
        self._end(0)

    def _end(self, status: int | None) -> None:
        if self._status is None:
            self._status = status
        if self._status is not None and self._ended is not None and not self._ended.done():
            self._ended.set_result(self._status)

    def _require_life(self) -> None:
        if self._status is not None:
            raise Unavailable(f"the fake engine ended with status {self._status}")


def _answer(request: GenerateRequest, context_tokens: int) -> _Planned:
    prompt, sampling = _prompt(request), request.sampling
    if not prompt:
        raise Misconfigured("a request needs either messages or a prompt")
    room = context_tokens - _count(prompt)
    if room < 1:
        raise TooLong(f"the prompt fills the context of {context_tokens} tokens")
    asked = _DEFAULT_TOKENS if sampling.max_tokens is None else sampling.max_tokens
    wanted = min(asked, room)
    key = f"{_seed(sampling)}|{prompt}"
    words = [("" if i == 0 else " ") + _WORDS[_draw(key, i)] for i in range(wanted)]
    text = "".join(words)
    cuts = [(text.index(stop), stop) for stop in sampling.stop if stop in text]
    if cuts:
        length, met = min(cuts)
        return _cut(words, length), FinishReason.STOP, met
    ended = sampling.max_tokens is None and wanted == _DEFAULT_TOKENS
    return words, FinishReason.STOP if ended else FinishReason.LENGTH, ""


def _words(asked: GenerateRequest, plain: GenerateRequest, context_tokens: int) -> _Planned:
    """What is said: JSON where it must be; a call of the first tool after a user's turn."""
    if plain.schema is not None:
        tools = asked.tools and asked.choice.mode is ChoiceMode.AUTO
        answers = bool(tools) and asked.messages[-1].role != "user"
        words = _pieces(example_of(plain.schema, last=answers))
    elif asked.tools and asked.choice.mode is ChoiceMode.AUTO and asked.messages[-1].role == "user":
        tool = asked.tools[0]
        call = f'{{"name": "{tool.name}", "arguments": {example_of(tool.parameters)}}}'
        words = _pieces(f"<tool_call>{call}</tool_call>")
    else:
        return _answer(plain, context_tokens)
    wanted = asked.sampling.max_tokens or len(words)
    finish = FinishReason.STOP if wanted >= len(words) else FinishReason.LENGTH
    return words[:wanted], finish, ""


def _pieces(text: str) -> list[str]:
    return [text[start : start + 5] for start in range(0, len(text), 5)]


def _vector(text: str, width: int) -> tuple[float, ...]:
    numbers = [1.0 + _draw(text, index) for index in range(width)]
    length = math.sqrt(sum(number * number for number in numbers))
    return tuple(number / length for number in numbers)


def _cut(words: list[str], length: int) -> list[str]:
    out: list[str] = []
    for word in words:
        if length <= 0:
            break
        out.append(word[:length])
        length -= len(word)
    return out


def _seed(sampling: Sampling) -> int:
    greedy = sampling.temperature == 0 or sampling.top_k == 1
    return 0 if greedy else sampling.seed or 0


def _prompt(request: GenerateRequest) -> str:
    if request.prompt is not None:
        return request.prompt
    return "\n".join(f"{message.role}: {message.content}" for message in request.messages)


def _count(text: str) -> int:
    return len(text.split())


def _draw(key: str, index: int) -> int:
    return hashlib.sha256(f"{key}|{index}".encode()).digest()[0] % len(_WORDS)
