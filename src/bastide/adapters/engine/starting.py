# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What starting any engine's own process needs: its interpreter, its packages, its first words."""

import asyncio
import contextlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from bastide.core.errors import Unavailable
from bastide.ports import Jail, Process, Sandbox

__all__ = ["cache_flags", "interpreter_files", "package_folders", "started", "until_said"]

_CLOSE_TIMEOUT_S = 1.0


def cache_flags() -> tuple[str, ...]:
    """Where an engine's Python looks for compiled caches: where ours does, or nowhere.

    Runners of attested nodes read none, as caches are not measured; nor may what they start.
    """
    return ("-X", f"pycache_prefix={sys.pycache_prefix}") if sys.pycache_prefix else ()


def interpreter_files() -> tuple[str, ...]:
    """The Python that runs us, its standard library, and its own shared library if it has one."""
    interpreter = os.path.realpath(sys.executable)
    library = Path(sysconfig.get_config_var("LIBDIR") or "/") / (
        sysconfig.get_config_var("INSTSONAME") or "none"
    )
    standard = os.path.realpath(sysconfig.get_path("stdlib"))
    return (interpreter, standard, *((str(library),) if library.is_file() else ()))


def package_folders(names: Sequence[str]) -> dict[str, Path]:
    """Where installed packages are, without importing any; those that are not are left out."""
    found = {name: importlib.util.find_spec(name) for name in names}
    return {
        name: Path(spec.submodule_search_locations[0])
        for name, spec in found.items()
        if spec is not None and spec.submodule_search_locations
    }


async def started(sandbox: Sandbox, jail: Jail) -> Process:
    """Start the jail. If this is cancelled, let the start come to its end, then kill what it made.

    A start that is cancelled inside waits for the pipes of a process whose lifeline is still held.
    """
    starting = asyncio.ensure_future(sandbox.start(jail))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        process.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _CLOSE_TIMEOUT_S)
        raise


async def until_said(status_end: int, timeout_s: float, name: str) -> bytes:
    """What an engine reports of its start; nothing if it ended. Raises Unavailable if too late."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(status_end, "rb")
    )
    try:
        return await asyncio.wait_for(reader.read(1_000), timeout_s)
    except TimeoutError as error:
        raise Unavailable(f"the engine of {name} did not load within {timeout_s:.0f} s") from error
    finally:
        transport.close()
