# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Metering: how each process tells its metrics, and how they become one page.

Each process listens on a Unix socket of its own in the private folder of sockets, writes its
samples as one JSON array to whoever connects, and reads nothing. So a scrape sees what is true now,
a process that hangs or has ended is seen as such, and no process sends anything by itself.
"""

import asyncio
import contextlib
import json
import os
import resource
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from bastide.app.config import Home, Settings
from bastide.app.process import log
from bastide.core.errors import BastideError, NotFound, Unavailable
from bastide.core.limits import METRICS_BYTES_MAX, METRICS_TIMEOUT_S
from bastide.core.metrics import CPU, MEMORY, UP, Sample, sample
from bastide.dialects.exposition import write_page
from bastide.ports import Clock

__all__ = ["gather", "meter_socket", "metered", "own_socket", "page", "told_by"]

Collect = Callable[[], Awaitable[Iterable[Sample]]]

_PREFIX = "meter-"


def meter_socket(run: Path, name: str) -> Path:
    """Where the process of a name tells its metrics."""
    return run / f"{_PREFIX}{name}.sock"


def own_socket(orders: Mapping[str, Any]) -> Path | None:
    """Where a service tells its metrics, by the orders that the supervisor gave it."""
    if "name" not in orders:
        return None
    return meter_socket(Home(Path(orders["home"])).run, orders["name"])


@contextlib.asynccontextmanager
async def metered(path: Path | None, collect: Collect, clock: Clock) -> AsyncGenerator[None]:
    """Tell what `collect` gives on a socket while the block runs; nothing without a path."""
    if path is None:
        yield
        return

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(METRICS_TIMEOUT_S):
                writer.write(json.dumps([*(await collect()), *_own()]).encode())
                await writer.drain()
        except OSError:
            pass  # whoever asked has gone, or does not read
        except BastideError as error:
            log("meter", "not-told", clock.now_ms, code=error.code)
        finally:
            writer.close()

    await asyncio.to_thread(path.unlink, missing_ok=True)
    server = await asyncio.start_unix_server(tell, path)
    await asyncio.to_thread(path.chmod, 0o600)
    try:
        yield
    finally:
        server.close()
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def gather(home: Home, settings: Settings) -> dict[str, Sequence[Sample]]:
    """The samples of every process by its name; of one that does not answer, that it is down."""
    found = await asyncio.to_thread(lambda: sorted(home.run.glob(f"{_PREFIX}*.sock")))
    names = [path.stem.removeprefix(_PREFIX) for path in found]
    names = list(dict.fromkeys([*_expected(settings), *names]))
    told = await asyncio.gather(*(told_by(home, name) for name in names), return_exceptions=True)
    rows: dict[str, Sequence[Sample]] = {}
    for name, answer in zip(names, told, strict=True):
        if isinstance(answer, BastideError):
            rows[name] = [sample(UP, 0)]
        elif isinstance(answer, BaseException):
            raise answer
        else:
            rows[name] = [sample(UP, 1), *answer]
    return rows


async def told_by(home: Home, name: str) -> list[Sample]:
    """What one process tells. Raises NotFound if it does not run, Unavailable if it is silent."""
    try:
        async with asyncio.timeout(METRICS_TIMEOUT_S):
            path = meter_socket(home.run, name)
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                data = bytearray()
                while (piece := await reader.read(65_536)) and len(data) < METRICS_BYTES_MAX:
                    data += piece
            finally:
                writer.close()
        return [_read(row) for row in json.loads(data)]
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotFound(f"the process {name} does not run") from error
    except (OSError, ValueError) as error:
        raise Unavailable(f"the process {name} does not tell its metrics") from error


async def page(home: Home, settings: Settings) -> str:
    """One scrape of everything, in the text format."""
    return write_page(await gather(home, settings))


def _expected(settings: Settings) -> list[str]:
    more = [f"gateway-{number}" for number in range(2, settings.gateway_workers + 1)]
    return ["supervisor", "control", "desk", "gateway", *more]


def _own() -> list[Sample]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return [
        sample(CPU, used.ru_utime + used.ru_stime),
        sample(MEMORY, pages * os.sysconf("SC_PAGE_SIZE")),
    ]


def _read(row: Any) -> Sample:
    name, labels, value = row
    if isinstance(value, list):
        value = (tuple(value[0]), value[1])
    return cast(Sample, (name, tuple(labels), value))
