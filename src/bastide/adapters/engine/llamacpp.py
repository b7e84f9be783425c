# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp in a sandbox, spoken to by HTTP over a Unix socket.

The engine is not trusted: it parses a model from outside. It gets no network, sees no file but
its own program and the weights' descriptor, and what it answers is bounded and typed here.

One request may occupy a slot; more than `slots` wait here, in order of arrival, and not in the
engine, so a request that is given up while it waits costs nothing. Which slot, and whether it may
reuse what the slot holds, core/slots.py decides: never what another tenant has asked.
"""

import asyncio
import functools
import importlib.metadata
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bastide.adapters.engine import llamacpp_wire as wire
from bastide.adapters.engine.http1 import Answer, Over, UnixHttp
from bastide.adapters.engine.life import EngineLife
from bastide.adapters.engine.llamacpp_embed import Embedder
from bastide.adapters.engine.saying import last_deltas, text_deltas
from bastide.adapters.engine.starting import cache_flags, interpreter_files, package_folders
from bastide.core.chat import (
    Delta,
    Embedded,
    EmbedRequest,
    GenerateRequest,
    TokenChoice,
)
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import ENGINE_READY_TIMEOUT_S, ENGINE_START_TIMEOUT_S
from bastide.core.prefix import prefix_of
from bastide.core.slots import Lease, Slots
from bastide.dialects.tool_prompt import as_text
from bastide.ports import Jail, Sandbox

__all__ = ["LlamaCpp", "start_llamacpp"]

_SOCKET = "engine.sock"
_SPARE_CONNECTIONS = 8  # beside one per slot: health, and connections that idle or are closing
# Prompt tokens computed in one go. Between two goes the engine notices who has left, and others'
# answers go on; fewer would cost speed.
_BATCH_TOKENS = 64
# OpenMP threads that spin without end made two busy cores 10 to 50 times slower. A thousand turns,
# some microseconds, catch the next step of a matrix: on two idle cores that is 1.6 times faster
# than none at all. On busy ones both are slow; so an engine leaves a core (docs/benchmarks.md).
_ENVIRONMENT = (("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "1000"), ("LC_ALL", "C.UTF-8"))


class LlamaCpp:
    """A running llama.cpp. Made by `start_llamacpp`."""

    def __init__(
        self,
        life: EngineLife,
        socket: Path,
        *,
        slots: int,
        context_tokens: int,
        alone: bool = False,
        embeds: bool = False,
    ) -> None:
        self.version = f"llama.cpp (xllamacpp {importlib.metadata.version('xllamacpp')})"
        self._life = life
        self._http = UnixHttp(str(socket), idle_max=slots)
        self._name = name = life.name
        self._context_tokens = context_tokens
        self._alone = alone
        self._workers = slots
        self._slots = Slots(slots)
        self._free = asyncio.Semaphore(slots)
        self._embedder = Embedder(self._whole, name, context_tokens, self._free) if embeds else None
        life.on_end(self._http.close)

    @property
    def pid(self) -> int:
        """Process id of the sandbox's outermost process."""
        return self._life.pid

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece. Raises Misconfigured for what the model cannot take."""
        self._require_answers()
        plain, calls = as_text(request)
        target, body = wire.encode_request(plain, self._context_tokens)
        owner = None if request.apart else "" if self._alone else request.tenant or None
        asking = self._pinned(target, body, owner, wire.prompt_text(plain))
        async with asking as (lease, answer):
            reading = wire.AnswerReader(lease.reuse, plain.sampling.stop)
            async for line in answer.lines():
                text = reading.feed(line)
                if reading.counted is not None:
                    self._slots.read(lease)
                for delta in text_deltas(calls, text, reading.counted) if text else ():
                    yield delta
            last = reading.last()
        for delta in last_deltas(calls, last):
            yield delta

    async def count(self, request: GenerateRequest) -> int:
        """How many tokens the prompt of a request has, with the model's template."""
        self._require_answers()
        prompt = request.prompt
        if prompt is None:
            plain, _ = as_text(request)
            async with self._asking(*wire.encode_template(plain)) as answer:
                prompt = wire.decode_template(await answer.read())
        async with self._asking(*wire.encode_tokenize(prompt)) as answer:
            return wire.decode_tokenize(await answer.read())

    async def embed(self, request: EmbedRequest) -> Embedded:
        """One vector of length 1 for each text. Raises Misconfigured for a model that answers."""
        if self._embedder is None:
            raise Misconfigured(f"the model {self._name} makes no embeddings", place="model")
        return await self._embedder.embed(request, self._workers)

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """The `count` likeliest next tokens after `prompt`, likeliest first."""
        self._require_answers()
        target, body = wire.encode_next_tokens(prompt, count)
        async with self._pinned(target, body, "" if self._alone else None, prompt) as (
            lease,
            answer,
        ):
            choices = wire.decode_next_tokens(await answer.read(), count)
            self._slots.read(lease)
            return choices

    async def health(self) -> None:
        """Return if the engine can answer."""
        async with asyncio.timeout(ENGINE_READY_TIMEOUT_S), self._asking("/health") as answer:
            await answer.read()

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

    def _require_answers(self) -> None:
        if self._embedder is not None:
            raise Misconfigured(
                f"the model {self._name} makes embeddings, no answers", place="model"
            )

    async def _whole(self, target: str, body: bytes) -> bytes:
        async with self._asking(target, body) as answer:
            return await answer.read()

    @asynccontextmanager
    async def _pinned(
        self, target: str, body: bytes, owner: str | None, text: str
    ) -> AsyncGenerator[tuple[Lease, Answer]]:
        """The answer of one slot, once one is free. Requests of no owner reuse nothing."""
        await self._free.acquire()
        lease = self._slots.take(owner, prefix_of(text))

        def over(sure: bool) -> None:
            self._slots.release(lease, sure)
            self._free.release()

        async with self._asking(target, wire.pinned(body, lease), over) as answer:
            yield lease, answer

    @asynccontextmanager
    async def _asking(
        self, target: str, body: bytes = b"", over: Over | None = None
    ) -> AsyncGenerator[Answer]:
        try:
            if over is not None and self._life.ended:
                over(False)
            self._life.verify_alive()
            async with self._http.ask("POST" if body else "GET", target, body, over) as answer:
                if answer.status != 200:
                    raise wire.failure(answer.status, await answer.read())
                yield answer
        except TimeoutError as error:
            raise self._life.silent() from error
        except OSError as error:
            raise await self._life.gone(error) from error


async def start_llamacpp(
    weights_fd: int,
    sandbox: Sandbox,
    folder: Path,
    *,
    name: str,
    slots: int,
    context_tokens: int,
    threads: int,
    alone: bool = False,
    embeds: bool = False,
    proven: Awaitable[Any] | None = None,
) -> LlamaCpp:
    """Load a GGUF model from a descriptor and return when it answers. Raises Unavailable.

    The descriptor stays the caller's; the engine gets one that can only be read. With `proven`, the
    jail and the library start while the weights are still being decrypted and verified, and the
    engine opens them only after `proven` has returned; what it raises is raised.

    `context_tokens` are for each slot. A prompt is looked up among earlier ones of its tenant; with
    `alone`, among all: nobody else's prompts meet in this engine. With `embeds` the model makes
    vectors and answers nothing; then `context_tokens` is what one text may have.
    """
    (folder / _SOCKET).unlink(missing_ok=True)
    settings = {
        "name": name,
        "slots": slots,
        "context_tokens": context_tokens,
        "threads": threads,
        "embeds": embeds,
        "package": str(_package()),
    }
    weights = os.open(f"/proc/self/fd/{weights_fd}", os.O_RDONLY | os.O_CLOEXEC)
    jail_of = functools.partial(_jail, settings, folder)
    life = await EngineLife.start(sandbox, name, {"weights": weights}, jail_of)
    engine = LlamaCpp(
        life, folder / _SOCKET,
        slots=slots, context_tokens=context_tokens, alone=alone, embeds=embeds,
    )  # fmt: skip
    try:
        if proven is not None:
            await proven
        life.go()
        await life.verify_ready(await life.said(ENGINE_START_TIMEOUT_S))
        await engine.health()
    except BaseException:
        engine.kill()
        await engine.close()
        raise
    return engine


def _jail(settings: dict[str, Any], folder: Path, kept: Mapping[str, int]) -> Jail:
    child = str(Path(__file__).with_name("llamacpp_child.py"))
    interpreter, *files = interpreter_files()
    orders = {
        **settings,
        **kept,
        "socket": str(folder / _SOCKET),
        "connections": settings["slots"] + _SPARE_CONNECTIONS,
        "batch_tokens": _BATCH_TOKENS,
    }
    return Jail(
        argv=(interpreter, "-I", "-S", "-B", *cache_flags(), child, json.dumps(orders)),
        readable=(child, interpreter, *files, *_package_folders()),
        writable=str(folder),
        inherit=tuple(kept.values()),
        environment=_ENVIRONMENT,
    )


def _package() -> Path:
    # Found, never imported: the library runs only inside the sandbox.
    found = package_folders(("xllamacpp",)).get("xllamacpp")
    if found is None:
        raise Unavailable("xllamacpp is not installed", fix="install it: it is the engine")
    return found


def _package_folders() -> tuple[str, ...]:
    package = _package()
    # Some wheels carry the libraries that they link to in a folder beside the package.
    return tuple(str(p) for p in (package, package.with_name("xllamacpp.libs")) if p.is_dir())
