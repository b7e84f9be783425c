# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenVINO GenAI in a sandbox, spoken to by lines of JSON over a Unix socket.

A second engine for processors, several times faster than llama.cpp where many answers run at once,
for the few kinds of models that openvino_reader.py lists (ADR 0020). As any engine it is not
trusted: it gets no network, sees no file but its own program and the weights, and what it answers
is bounded and typed here.

One request may occupy a slot; more than `slots` wait here, in order of arrival.
"""

import asyncio
import importlib.metadata
import importlib.util
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from bastide.adapters.engine import openvino_wire as wire
from bastide.adapters.engine.life import EngineLife
from bastide.adapters.engine.openvino_reader import examine, tiny_model
from bastide.adapters.engine.saying import last_deltas, text_deltas
from bastide.adapters.engine.starting import cache_flags, interpreter_files, package_folders
from bastide.core.chat import Delta, Embedded, EmbedRequest, GenerateRequest, TokenChoice
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import (
    ENGINE_READY_TIMEOUT_S,
    ENGINE_REPLY_BYTES_MAX,
    ENGINE_SILENCE_MAX_S,
    ENGINE_START_TIMEOUT_S,
)
from bastide.dialects.tool_prompt import as_text
from bastide.ports import Jail, Sandbox

__all__ = ["OpenVino", "start_openvino", "verify_openvino"]

_SOCKET = "engine.sock"
_MODEL, _PROBE = "weights.gguf", "probe.gguf"  # the reader takes nothing without this suffix
_SPARE_CONNECTIONS = 16
# Prompt tokens computed in one go: between two goes the engine notices who has left.
_BATCH_TOKENS = 128
_PACKAGES = ("openvino", "openvino_genai", "openvino_tokenizers", "numpy")
_ENVIRONMENT = (("LC_ALL", "C.UTF-8"),)
# How many cores there are, and which share a cache. Without it the library crashes.
_TOPOLOGY = ("/sys/devices/system/cpu", "/sys/devices/system/node")


class OpenVino:
    """A running OpenVINO GenAI. Made by `start_openvino`."""

    def __init__(
        self,
        life: EngineLife,
        socket: Path,
        *,
        slots: int,
        context_tokens: int,
    ) -> None:
        self.version = f"OpenVINO GenAI {importlib.metadata.version('openvino-genai')}"
        self._life = life
        self._socket = socket
        self._name = life.name
        self._context_tokens = context_tokens
        self._slots = asyncio.Semaphore(slots)

    @property
    def pid(self) -> int:
        """Process id of the sandbox's outermost process."""
        return self._life.pid

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Delta]:
        """Answer a request piece by piece. Raises Misconfigured for what the model cannot take."""
        plain, calls = as_text(request)
        length = 0
        async with self._asking(wire.encode_request(plain, "generate"), self._slots) as lines:
            last: Delta | None = None
            async for line in lines:
                delta = wire.delta(line)
                if delta.finish is not None:
                    last = delta
                    break
                length += len(delta.text)
                if length > ENGINE_REPLY_BYTES_MAX:
                    raise Unavailable("the engine's answer is too long")
                for piece in text_deltas(calls, delta.text, delta.usage):
                    yield piece
            if last is None:
                raise Unavailable("the engine's answer ended early")
        for piece in last_deltas(calls, last):
            yield piece

    async def count(self, request: GenerateRequest) -> int:
        """How many tokens the prompt of a request has, with the model's template."""
        plain, _ = as_text(request)
        return (await self._one(wire.encode_request(plain, "count"))).count

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Raises Misconfigured: this engine only answers."""
        await self.health()
        raise Misconfigured(
            f"the model {self._name} makes no embeddings: the engine openvino only answers",
            place="model",
        )

    async def next_tokens(self, prompt: str, count: int) -> Sequence[TokenChoice]:
        """The `count` likeliest next tokens after `prompt`, likeliest first."""
        line = await self._one(wire.encode_next_tokens(prompt, count), self._slots)
        return wire.choices(line, count)

    async def health(self) -> None:
        """Return if the engine can answer."""
        try:
            async with asyncio.timeout(ENGINE_READY_TIMEOUT_S):
                await self._one(wire.HEALTH)
        except TimeoutError as error:
            raise self._life.silent() from error

    async def wait(self) -> int:
        """Wait until the process has ended; its status, negative for a signal."""
        return await self._life.wait()

    def kill(self) -> None:
        """End it at once."""
        self._life.kill()

    async def close(self) -> None:
        """Stop: ask it to end, then make it."""
        await self._life.close()

    async def _one(self, order: bytes, slot: asyncio.Semaphore | None = None) -> wire.Line:
        async with self._asking(order, slot) as lines:
            async for line in lines:
                return line
        raise Unavailable("the engine's answer ended early")

    @asynccontextmanager
    async def _asking(
        self, order: bytes, slot: asyncio.Semaphore | None = None
    ) -> AsyncGenerator[AsyncIterator[wire.Line]]:
        """The lines of an answer. Who leaves the block hangs up, which ends the answer."""
        free: AbstractAsyncContextManager[Any] = slot or nullcontext()
        async with free:
            writer: asyncio.StreamWriter | None = None
            try:
                self._life.verify_alive()
                reader, writer = await asyncio.open_unix_connection(
                    self._socket, limit=ENGINE_REPLY_BYTES_MAX
                )
                writer.write(order)
                await writer.drain()
                yield self._lines(reader)
            except OSError as error:
                raise await self._life.gone(error) from error
            finally:
                if writer is not None:
                    writer.transport.abort()

    async def _lines(self, reader: asyncio.StreamReader) -> AsyncIterator[wire.Line]:
        while True:
            try:
                async with asyncio.timeout(ENGINE_SILENCE_MAX_S):
                    data = await reader.readline()
            except TimeoutError as error:
                raise self._life.silent() from error
            except ValueError as error:
                raise Unavailable("a line of the engine's answer is too long") from error
            if not data.endswith(b"\n"):
                raise ConnectionError("the engine closed the connection")
            yield wire.decode(data, self._context_tokens)


async def start_openvino(
    weights_fd: int,
    sandbox: Sandbox,
    folder: Path,
    *,
    name: str,
    slots: int,
    context_tokens: int,
    threads: int,
    proven: Awaitable[Any] | None = None,
) -> OpenVino:
    """Load a GGUF model from a descriptor and return when it answers.

    As `start_llamacpp` does: the descriptor stays the caller's, and nothing opens the weights
    before `proven` has returned. Raises Unavailable, and Misconfigured for a model that the engine
    would not read rightly, or if OpenVINO is not installed.
    """
    packages = _packages()
    settings = {"slots": slots, "context_tokens": context_tokens, "threads": threads}
    probe = os.memfd_create("probe")
    try:
        life = await _spawn(settings, packages, sandbox, folder, weights_fd, probe, name)
    except BaseException:
        os.close(probe)
        raise
    engine = OpenVino(life, folder / _SOCKET, slots=slots, context_tokens=context_tokens)
    try:
        life.go(await _examined(proven, weights_fd, name, probe))
        await life.verify_ready(await life.said(ENGINE_START_TIMEOUT_S))
        await engine.health()
    except BaseException:
        engine.kill()
        await engine.close()
        raise
    finally:
        for link in (_MODEL, _PROBE):
            (folder / link).unlink(missing_ok=True)
    return engine


def verify_openvino() -> None:
    """Raises Misconfigured if it is not installed."""
    _packages()


async def _spawn(
    settings: dict[str, Any],
    packages: dict[str, Path],
    sandbox: Sandbox,
    folder: Path,
    weights_fd: int,
    probe: int,
    name: str,
) -> EngineLife:
    """The process, with links by which its library finds what it has as descriptors."""
    # Empty: the engine's own process puts a copy of the proven weights there.
    given = {
        "weights": os.open(f"/proc/self/fd/{weights_fd}", os.O_RDONLY | os.O_CLOEXEC),
        "scratch": os.memfd_create("scratch"),
        "probe": os.dup(probe),
    }

    def jail_of(kept: Mapping[str, int]) -> Jail:
        for link, to in ((_MODEL, "scratch"), (_PROBE, "probe")):
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(f"/proc/self/fd/{kept[to]}")
        (folder / _SOCKET).unlink(missing_ok=True)
        return _jail(settings, packages, folder, kept)

    return await EngineLife.start(sandbox, name, given, jail_of)


async def _examined(proven: Awaitable[Any] | None, weights: int, name: str, probe: int) -> bytes:
    """Once the weights are proven, look at them; the order to load them."""
    try:
        if proven is not None:
            await proven
        found = examine(weights, name)
        with os.fdopen(os.dup(probe), "wb") as file:
            file.write(tiny_model(found.vocabulary))
        return json.dumps({"bos": found.bos}).encode() + b"\n"
    finally:
        os.close(probe)


def _jail(
    settings: dict[str, Any], packages: dict[str, Path], folder: Path, given: Mapping[str, int]
) -> Jail:
    child = str(Path(__file__).with_name("openvino_child.py"))
    # Found, never imported: like the library it runs only inside the sandbox.
    found_answers = importlib.util.find_spec("bastide.adapters.engine.openvino_answers")
    answers = str(found_answers.origin if found_answers else "")
    interpreter, *files = interpreter_files()
    found = {name: str(place) for name, place in packages.items()}
    orders = settings | dict(given) | {
        "packages": found | {"openvino_answers": answers},
        "socket": str(folder / _SOCKET),
        "model": str(folder / _MODEL),
        "probe_model": str(folder / _PROBE),
        "connections": settings["slots"] + _SPARE_CONNECTIONS,
        "batch_tokens": _BATCH_TOKENS,
    }  # fmt: skip
    # Some wheels carry the libraries that they link to in a folder beside the package.
    beside = [str(p) for place in packages.values() if (p := Path(f"{place}.libs")).is_dir()]
    topology = [path for path in _TOPOLOGY if Path(path).is_dir()]
    return Jail(
        argv=(interpreter, "-I", "-S", "-B", *cache_flags(), child, json.dumps(orders)),
        readable=(child, answers, interpreter, *files, *found.values(), *beside, *topology),
        writable=str(folder),
        inherit=tuple(given.values()),
        environment=_ENVIRONMENT,
    )


def _packages() -> dict[str, Path]:
    """Where the library is. Found, never imported: it runs only inside the sandbox."""
    found = package_folders(_PACKAGES)
    if missing := [name for name in _PACKAGES if name not in found]:
        raise Misconfigured(
            f"the engine openvino is not installed: there is no {', '.join(missing)}",
            fix='pip install "bastide[openvino]", or set engine = "llamacpp"',
        )
    return found
