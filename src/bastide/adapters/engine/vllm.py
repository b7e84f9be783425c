# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""vLLM in a sandbox, spoken to by HTTP over a Unix socket: the engine for GPUs (ADR 0021).

It is started here, from weights that were proven, and never found somewhere. As any engine it is
not trusted: it gets no network, and what it answers is bounded and typed here. Of its many routes
only those of vllm_wire.py can be asked.

One request may occupy a slot; more than `slots` wait here, in order of arrival, and not in the
engine. What a tenant's prompts left in the prefix cache is found again only with that tenant's
salt, which is made of a key that lives as long as this load.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from bastide.adapters.engine import vllm_wire as wire
from bastide.adapters.engine.http1 import Answer, UnixHttp
from bastide.adapters.engine.life import EngineLife
from bastide.adapters.engine.saying import last_deltas, text_deltas
from bastide.core.chat import Delta, Embedded, EmbedRequest, GenerateRequest, TokenChoice
from bastide.core.errors import Misconfigured
from bastide.core.limits import ENGINE_READY_TIMEOUT_S
from bastide.dialects.tool_prompt import as_text
from bastide.ports import Entropy

__all__ = ["Vllm"]

_KEY_BYTES = 32


class Vllm:
    """A running vLLM. Made by `start_vllm`."""

    def __init__(
        self,
        life: EngineLife,
        socket: Path,
        entropy: Entropy,
        *,
        slots: int,
        context_tokens: int,
        alone: bool = False,
    ) -> None:
        self.version = "vLLM"
        self._life = life
        self._http = UnixHttp(str(socket), idle_max=slots)
        self._name = life.name
        self._context_tokens = context_tokens
        self._alone = alone
        self._entropy = entropy
        self._key = entropy.token(_KEY_BYTES)
        self._slots = asyncio.Semaphore(slots)
        life.on_end(self._http.close)

    @property
    def pid(self) -> int:
        """Process id of the sandbox's outermost process."""
        return self._life.pid

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece. Raises Misconfigured for what the model cannot take."""
        plain, calls = as_text(request)
        async with self._slots, self._asking(await self._asked(plain)) as answer:
            reading = wire.AnswerReader(plain.sampling.stop)
            async for line in answer.lines():
                text = reading.feed(line)
                for delta in text_deltas(calls, text, reading.counted) if text else ():
                    yield delta
            last = reading.last()
        for delta in last_deltas(calls, last):
            yield delta

    async def count(self, request: GenerateRequest) -> int:
        """How many tokens the prompt of a request has, with the model's template."""
        plain, _ = as_text(request)
        return len(await self._tokens(plain))

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Raises Misconfigured: this engine is loaded to answer."""
        await self.health()
        raise Misconfigured(
            f"the model {self._name} makes no embeddings: the engine vllm only answers here",
            place="model",
        )

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """The `count` likeliest next tokens after `prompt`, likeliest first."""
        asked = wire.encode_next_tokens(prompt, count, self._salt(""))
        return wire.read_next_tokens(await self._whole(asked, self._slots), count)

    async def health(self) -> None:
        """Return if the engine can answer."""
        try:
            async with asyncio.timeout(ENGINE_READY_TIMEOUT_S):
                await self._whole(wire.Asked(*wire.HEALTH))
        except TimeoutError as error:
            raise self._life.silent() from error

    async def learn_version(self) -> None:
        """Ask which version it is, for receipts."""
        self.version = f"vLLM {wire.read_version(await self._whole(wire.Asked(*wire.VERSION)))}"

    async def wait(self) -> int:
        """Wait until the process has ended; its status, negative for a signal."""
        return await self._life.wait()

    def kill(self) -> None:
        """End it at once."""
        self._life.kill()

    async def close(self) -> None:
        """Stop: ask it to end, then make it."""
        self._http.close()
        await self._life.close()

    def _salt(self, tenant: str, *, apart: bool = False) -> str:
        """Requests of no tenant find nothing in the cache, also not what each other left."""
        if apart:
            return wire.salt_of(self._entropy.token(_KEY_BYTES), tenant)
        if self._alone:
            return wire.salt_of(self._key, "")
        return wire.salt_of(self._key if tenant else self._entropy.token(_KEY_BYTES), tenant)

    async def _asked(self, request: GenerateRequest) -> wire.Asked:
        salt = self._salt(request.tenant, apart=request.apart)
        if request.messages and request.prompt is None:
            return wire.encode_chat(request, salt)
        tokens = await self._tokens(request)
        return wire.encode_completion(request, salt, tokens, self._context_tokens)

    async def _tokens(self, request: GenerateRequest) -> list[int]:
        return wire.read_tokens(await self._whole(wire.encode_tokenize(request)))

    async def _whole(self, asked: wire.Asked, slot: asyncio.Semaphore | None = None) -> bytes:
        free: AbstractAsyncContextManager[Any] = slot or nullcontext()
        async with free, self._asking(asked) as answer:
            return await answer.read()

    @asynccontextmanager
    async def _asking(self, asked: wire.Asked) -> AsyncGenerator[Answer]:
        """The answer to a request. Who leaves the block early hangs up, which ends the answer."""
        try:
            self._life.verify_alive()
            async with self._http.ask(asked.method, asked.path, asked.body) as answer:
                if answer.status != 200:
                    raise wire.failure(answer.status, await answer.read(), self._context_tokens)
                yield answer
        except OSError as error:
            raise await self._life.gone(error) from error
