# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Texts to vectors with llama.cpp: one text for each slot at a time, so errors can name the text.

The vectors come as base64 of 32-bit floats: exact, and quicker to read than numbers in JSON.
"""

import asyncio
import base64
import binascii
import math
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

import msgspec

from bastide.adapters.engine import llamacpp_wire as wire
from bastide.core.chat import Embedded, EmbedRequest
from bastide.core.errors import BastideError, Misconfigured, Unavailable
from bastide.core.limits import EMBED_NUMBERS_MAX

__all__ = ["Embedder"]

_PATH = "/v1/embeddings"
_LENGTH_ERROR = 1e-3  # a vector is of length 1, but for what 32-bit floats lose
# Of a text that the engine refuses, so many characters for each token of the context are counted:
# the list of all tokens of a text of megabytes would be longer than an answer may be.
_CHARS_PER_TOKEN = 256
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]

# Ask the engine: the path and the body; the answer's bytes.
Ask = Callable[[str, bytes], Awaitable[bytes]]


class _Usage(msgspec.Struct):
    prompt_tokens: _Count


class _Row(msgspec.Struct):
    embedding: str


class _Answer(msgspec.Struct):
    data: Annotated[list[_Row], msgspec.Meta(min_length=1, max_length=1)]
    usage: _Usage


_decoder = msgspec.json.Decoder(_Answer)
_Vector = tuple[float, ...]


class Embedder:
    """Makes vectors with one engine that was loaded for it, `slots` texts at a time."""

    def __init__(self, ask: Ask, name: str, context_tokens: int, slots: asyncio.Semaphore) -> None:
        self._ask = ask
        self._name = name
        self._context_tokens = context_tokens
        self._slots = slots
        self._width = 0  # numbers in a vector, once one was made

    async def embed(self, request: EmbedRequest, workers: int) -> Embedded:
        """One vector for each text. Raises Misconfigured, naming the text that is too long."""
        await self._check(request)
        waiting = iter(enumerate(request.texts))
        made: dict[int, tuple[_Vector, int]] = {}
        working = [asyncio.create_task(self._work(waiting, made)) for _ in range(workers)]
        try:
            await asyncio.gather(*working)
        finally:
            for worker in working:
                worker.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        rows = [made[index] for index in range(len(request.texts))]
        return Embedded(tuple(vector for vector, _ in rows), sum(count for _, count in rows))

    async def _check(self, request: EmbedRequest) -> None:
        if not self._width:
            vector, _ = await self._one("a", 0)
            self._width = len(vector)
        if request.dimensions not in (None, self._width):
            raise Misconfigured(
                f"The model {self._name} makes vectors of {self._width} numbers; it was not "
                "trained to be cut to another number of dimensions.",
                place="dimensions",
            )
        if len(request.texts) * self._width > EMBED_NUMBERS_MAX:
            raise Misconfigured(
                f"{len(request.texts)} texts are too many at once for vectors of {self._width} "
                f"numbers: at most {EMBED_NUMBERS_MAX // self._width}.",
                place="input",
            )

    async def _work(
        self, waiting: Iterator[tuple[int, str]], made: dict[int, tuple[_Vector, int]]
    ) -> None:
        for index, text in waiting:  # shared: each worker takes the next text
            made[index] = await self._one(text, index)

    async def _one(self, text: str, index: int) -> tuple[_Vector, int]:
        body = msgspec.json.encode({"input": text, "encoding_format": "base64"})
        async with self._slots:
            try:
                answer = await self._ask(_PATH, body)
            except BastideError as error:
                await self._explain(text, index)
                raise error
        vector, tokens = _read(answer)
        if self._width not in (0, len(vector)):
            raise Unavailable("the engine's vectors differ in their length")
        return vector, tokens

    async def _explain(self, text: str, index: int) -> None:
        """Raise Misconfigured if the text is too long: the engine only says that it failed."""
        start = text[: _CHARS_PER_TOKEN * self._context_tokens]
        count = wire.decode_tokenize(await self._ask(*wire.encode_tokenize(start)))
        if count > self._context_tokens:
            raise Misconfigured(
                f"The text at index {index} has {'at least ' if start != text else ''}{count} "
                f"tokens, but the model {self._name} "
                f"reads at most {self._context_tokens}; nothing is cut off.",
                place="input",
                fix="split the text",
            )


def _read(answer: bytes) -> tuple[_Vector, int]:
    try:
        got = _decoder.decode(answer)
        raw = base64.b64decode(got.data[0].embedding, validate=True)
        vector = struct.unpack(f"<{len(raw) // 4}f", raw)
    except (msgspec.DecodeError, binascii.Error, struct.error) as error:
        raise Unavailable("the engine's answer holds no vector") from error
    # Nothing has length 0, and what is not a number fails every comparison.
    if not abs(math.hypot(*vector) - 1) < _LENGTH_ERROR:
        raise Unavailable("the engine's vector is not of length 1")
    return vector, got.usage.prompt_tokens
