# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The two engines for processors side by side: llama.cpp and OpenVINO GenAI, SmolLM2-135M.

Both run at once in their sandboxes with one thread each, and take turns: a round asks one of them
with 1, 4 and 8 streams, then the other. So whatever else the machine does falls on both. Times to
the first token and tokens per second are medians over the rounds; so are the tokens per second of
CPU time of the engine's own processes, which a busy machine changes little.

    python benchmarks/engines.py [--rounds 5]
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.core.chat import GenerateRequest, Sampling  # noqa: E402
from contracts import smollm2  # noqa: E402

ENGINES = ("llamacpp", "openvino")
STREAMS = (1, 4, 8)
TOKENS = 48
PROMPT = "Number {}." + " A castle has walls, and each wall has stones." * 4


def cpu_s(pid: int) -> float:
    """Seconds of CPU time of a process and all its children."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            parents[int(entry.parent.name)] = int(fields[1])
            ticks[int(entry.parent.name)] = int(fields[11]) + int(fields[12])
    inside = {pid}
    while more := {p for p, parent in parents.items() if parent in inside} - inside:
        inside |= more
    return sum(ticks.get(p, 0) for p in inside) / os.sysconf("SC_CLK_TCK")


async def stream(engine: Any, number: int) -> tuple[float, int]:
    """(seconds to the first token, tokens)"""
    sampling = Sampling(max_tokens=TOKENS, temperature=0)
    request = GenerateRequest("bench", "m", prompt=PROMPT.format(number), sampling=sampling)
    start, first, usage = time.perf_counter(), 0.0, None
    async with aclosing(engine.generate(request)) as deltas:
        async for delta in deltas:
            first = first or time.perf_counter() - start
            usage = delta.usage
    assert usage is not None
    return first, usage.completion_tokens


async def measure(engine: Any, streams: int, number: int) -> dict[str, float]:
    """One block of so many streams at once."""
    cpu, start = cpu_s(engine.pid), time.perf_counter()
    done = await asyncio.gather(*(stream(engine, number + i) for i in range(streams)))
    length = time.perf_counter() - start
    tokens = sum(made for _, made in done)
    return {
        "first_ms": statistics.median(first for first, _ in done) * 1000,
        "tokens_per_s": tokens / length,
        "tokens_per_cpu_s": tokens / max(0.01, cpu_s(engine.pid) - cpu),
    }


async def run(rounds: int) -> dict[str, Any]:
    """Both engines, turn by turn."""
    rows: dict[str, dict[int, list[dict[str, float]]]] = {
        name: {streams: [] for streams in STREAMS} for name in ENGINES
    }
    async with contextlib.AsyncExitStack() as stack:
        engines: dict[str, Any] = {}
        load_s = {}
        for name in ENGINES:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-"))
            start = time.perf_counter()
            with smollm2.weights() as descriptor:
                engines[name] = await smollm2.start(
                    descriptor, folder, slots=max(STREAMS), context_tokens=512, engine=name
                )
            load_s[name] = time.perf_counter() - start
            stack.push_async_callback(engines[name].close)
            await measure(engines[name], max(STREAMS), 900)  # warm
        number = 0
        for turn in range(rounds):
            for streams in STREAMS:
                for name in ENGINES if turn % 2 else reversed(ENGINES):
                    number += streams
                    rows[name][streams].append(await measure(engines[name], streams, number))
    result: dict[str, Any] = {"rounds": rounds, "load_s": load_s}
    for name, by_streams in rows.items():
        result[name] = {
            str(streams): {key: round(statistics.median(r[key] for r in got), 1) for key in got[0]}
            for streams, got in by_streams.items()
        }
    result["ratio"] = {
        str(streams): {
            key: round(result["openvino"][str(streams)][key] / one, 2)
            for key, one in result["llamacpp"][str(streams)].items()
        }
        for streams in STREAMS
    }
    return result


def main() -> None:
    """Print a table, and the result as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    result = asyncio.run(run(parser.parse_args().rounds))
    print("engine    streams  first ms  tokens/s  tokens/CPU s")
    for name in ENGINES:
        for streams in STREAMS:
            row = result[name][str(streams)]
            print(f"{name:9} {streams:7} {row['first_ms']:9.0f} {row['tokens_per_s']:9.0f}"
                  f" {row['tokens_per_cpu_s']:13.0f}")  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
