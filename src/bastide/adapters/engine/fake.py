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

from bastide.core.chat import Delta, FinishReason, GenerateRequest, Sampling, TokenChoice, Usage
from bastide.core.errors import Misconfigured, Unavailable

__all__ = ["FakeEngine"]

_WORDS = (
    "wall", "gate", "street", "market", "charter", "tower", "bridge", "well",
    "mill", "square", "guild", "bell", "seal", "ditch", "field", "house",
)  # fmt: skip
_DEFAULT_TOKENS = 16


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
        words, finish = _answer(request, self._context_tokens)
        async with self._slots:
            self.busy += 1
            try:
                for word in words:
                    self._require_life()
                    # Also without a pace: let others run, as an engine of its own process would.
                    await asyncio.sleep(self._pace_s)
                    yield Delta(word)
                self._require_life()
            finally:
                self.busy -= 1
        yield Delta("", finish, Usage(_count(_prompt(request)), len(words)))

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


def _answer(request: GenerateRequest, context_tokens: int) -> tuple[list[str], FinishReason]:
    prompt, sampling = _prompt(request), request.sampling
    if not prompt:
        raise Misconfigured("a request needs either messages or a prompt")
    room = context_tokens - _count(prompt)
    if room < 1:
        raise Misconfigured(f"the prompt fills the context of {context_tokens} tokens")
    asked = _DEFAULT_TOKENS if sampling.max_tokens is None else sampling.max_tokens
    wanted = min(asked, room)
    key = f"{_seed(sampling)}|{prompt}"
    words = [("" if i == 0 else " ") + _WORDS[_draw(key, i)] for i in range(wanted)]
    text = "".join(words)
    cuts = [text.index(stop) for stop in sampling.stop if stop in text]
    if cuts:
        return _cut(words, min(cuts)), FinishReason.STOP
    ended = sampling.max_tokens is None and wanted == _DEFAULT_TOKENS
    return words, FinishReason.STOP if ended else FinishReason.LENGTH


def _cut(words: list[str], length: int) -> list[str]:
    out: list[str] = []
    for word in words:
        if length <= 0:
            break
        out.append(word[:length])
        length -= len(word)
    return out


def _seed(sampling: Sampling) -> int:
    return 0 if sampling.temperature == 0 else sampling.seed or 0


def _prompt(request: GenerateRequest) -> str:
    if request.prompt is not None:
        return request.prompt
    return "\n".join(f"{message.role}: {message.content}" for message in request.messages)


def _count(text: str) -> int:
    return len(text.split())


def _draw(key: str, index: int) -> int:
    return hashlib.sha256(f"{key}|{index}".encode()).digest()[0] % len(_WORDS)
