# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Starting vLLM over proven files: its command, its environment, its jail."""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, Final

from bastide.adapters.engine import vllm_wire as wire
from bastide.adapters.engine.life import EngineLife
from bastide.adapters.engine.starting import interpreter_files
from bastide.adapters.engine.vllm import Vllm
from bastide.core.errors import Misconfigured, Unavailable
from bastide.ports import Entropy, Jail, Sandbox

__all__ = ["ENVIRONMENT", "command_of", "find_installation", "start_vllm"]

# Compiling kernels and capturing graphs for a large model takes minutes.
START_TIMEOUT_S: Final = 1_800.0
_SOCKET: Final = "engine.sock"
_FOLDER: Final = "/tmp/model"  # noqa: S108 (the jail's own /tmp)
_POLL_S: Final = 0.2
_CPU_CACHE_GIB: Final = "1"
# vLLM keeps as many log probabilities as this; more than the suites ask, and the spare ones.
_LOGPROBS_MAX: Final = "64"
_DEVICES: Final = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/nvidia-uvm*", "/dev/nvidia-caps/*")
# What drivers and run-time compilers read besides the libraries.
_SYSTEM: Final = ("/usr", "/bin", "/etc/alternatives", "/sys/bus", "/sys/devices", "/sys/class")
ENVIRONMENT: Final[Mapping[str, str]] = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HOME": "/tmp",  # noqa: S108
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TMPDIR": "/tmp",  # noqa: S108
    "USER": "engine",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_PLUGINS": "",  # none of the packages that happen to be installed
    "VLLM_SERVER_DEV_MODE": "0",
}


def command_of(interpreter: str, folder: str, socket: str, slots: int, context: int) -> list[str]:
    """How vLLM is called. Its own model name, its own defaults, and nothing that it may log."""
    return [
        interpreter, "-m", "vllm.entrypoints.cli.main", "serve", folder,
        "--uds", socket,
        "--served-model-name", wire.MODEL,
        "--max-model-len", str(context),
        "--max-num-seqs", str(slots),
        "--max-num-queued-reqs", str(slots),
        "--max-logprobs", _LOGPROBS_MAX,
        "--scheduling-policy", "priority",
        "--generation-config", "vllm",
        "--load-format", "safetensors",
        "--enable-prefix-caching",
        "--enable-force-include-usage",
        "--enable-prompt-tokens-details",
        "--no-enable-log-requests",
        "--disable-uvicorn-access-log",
        "--disable-fastapi-docs",
    ]  # fmt: skip


async def start_vllm(
    files: Mapping[str, int],
    sandbox: Sandbox,
    folder: Path,
    entropy: Entropy,
    *,
    python: str,
    name: str,
    slots: int,
    context_tokens: int,
    alone: bool = False,
    proven: Awaitable[Any] | None = None,
) -> Vllm:
    """Load a checkpoint from one descriptor for each of its files; return when it answers.

    The descriptors stay the caller's, and nothing opens them before `proven` has returned; what it
    raises is raised. `python` is the interpreter of an environment that has vLLM. Raises
    Misconfigured if it has none, Unavailable if vLLM does not start or the sandbox cannot hold it.
    """
    jail_paths = find_installation(python)
    (folder / _SOCKET).unlink(missing_ok=True)
    command = command_of(python, _FOLDER, str(folder / _SOCKET), slots, context_tokens)
    given = {file: os.open(f"/proc/self/fd/{fd}", os.O_RDONLY) for file, fd in files.items()}

    def jail_of(kept: Mapping[str, int]) -> Jail:
        pipes = {end: kept[end] for end in ("status", "lifeline")}
        orders = {"files": given, "folder": _FOLDER, "command": command, **pipes}
        return _jail(orders, jail_paths, folder)

    named = {f"file {file}": descriptor for file, descriptor in given.items()}
    life = await EngineLife.start(sandbox, name, named, jail_of)
    engine = Vllm(
        life, folder / _SOCKET, entropy,
        slots=slots, context_tokens=context_tokens, alone=alone,
    )  # fmt: skip
    saying = asyncio.ensure_future(life.said(START_TIMEOUT_S))
    try:
        if proven is not None:
            await proven
        life.go()
        await _until_ready(engine, life, saying)
        await engine.learn_version()
    except BaseException:
        engine.kill()
        await engine.close()
        raise
    finally:
        saying.cancel()
    return engine


async def _until_ready(engine: Vllm, life: EngineLife, saying: "asyncio.Future[bytes]") -> None:
    """Ask until it is well. Its keeper only speaks if it failed."""
    while not saying.done():
        with contextlib.suppress(Unavailable):
            await engine.health()
            return
        await asyncio.wait((saying,), timeout=_POLL_S)
    await life.verify_ready(saying.result())


def find_installation(python: str) -> tuple[str, ...]:
    """The paths that an interpreter with vLLM needs. Raises Misconfigured if it has no vLLM.

    They are found by their places and never by running anything: vLLM runs only in its sandbox.
    """
    beside = Path(python).parent.parent
    real = Path(os.path.realpath(python))
    packages = sorted(beside.glob("lib/python3.*/site-packages/vllm"))
    if not real.is_file() or not packages:
        raise Misconfigured(
            f"the engine vllm is not installed: {python} has no package vllm",
            fix="install vLLM in an environment of its own, and set vllm_python to its Python",
        )
    if Path("/") in (beside, real.parent.parent):
        raise Misconfigured(
            f"vllm_python: {python} stands so near to the root that all of the disk would be shown",
            fix="install vLLM in an environment of its own",
        )
    return tuple(dict.fromkeys((str(beside), str(real.parent.parent))))


def _jail(orders: dict[str, Any], paths: tuple[str, ...], folder: Path) -> Jail:
    keeper = str(Path(__file__).with_name("vllm_child.py"))
    interpreter, *files = interpreter_files()
    devices = [str(p) for pattern in _DEVICES for p in sorted(Path("/").glob(pattern[1:]))]
    environment = dict(ENVIRONMENT)
    if not devices:  # vLLM's build for processors, which takes minutes to compile what it runs
        environment["VLLM_CPU_KVCACHE_SPACE"] = _CPU_CACHE_GIB
        orders = orders | {"command": [*orders["command"], "--enforce-eager"]}
    system = [path for path in _SYSTEM if Path(path).exists()]
    return Jail(
        argv=(interpreter, "-I", "-S", "-B", keeper, json.dumps(orders)),
        readable=(*system, keeper, interpreter, *files, *paths),
        writable=str(folder),
        inherit=(orders["status"], orders["lifeline"], *orders["files"].values()),
        environment=tuple(environment.items()),
        devices=tuple(devices),
        processes=True,
    )
