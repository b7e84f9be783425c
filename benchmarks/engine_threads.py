# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How many threads of llama.cpp, and how long they may spin while they wait for each other.

The evaluation suite of the first start over SmolLM2 in its sandbox, four at a time: with one thread
less than there are cores and with all, without spinning (GOMP_SPINCOUNT=0) and with a thousand
turns; then the same while as many other programs compute as there are cores.

    python benchmarks/engine_threads.py [--rounds 2] [--idle]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from bastide.adapters.clock.system import SystemClock  # noqa: E402
from bastide.adapters.engine import llamacpp  # noqa: E402
from bastide.adapters.sandbox.choose import choose_sandbox  # noqa: E402
from bastide.stages import evaluate  # noqa: E402
from bastide.suites import SUITES  # noqa: E402
from contracts import smollm2  # noqa: E402

SLOTS = 4


async def run(threads: int, spins: int) -> float:
    """Seconds that the suite takes."""
    names = (("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", str(spins)))
    llamacpp._ENVIRONMENT = (*names, ("LC_ALL", "C.UTF-8"))
    with tempfile.TemporaryDirectory(prefix="threads-") as folder:
        with smollm2.weights() as weights:
            engine = await llamacpp.start_llamacpp(
                weights,
                choose_sandbox("auto"),
                Path(folder),
                name="smollm2",
                slots=SLOTS,
                context_tokens=2_048,
                threads=threads,
                alone=True,
            )
        try:
            began = time.perf_counter()
            await evaluate.run_suite(
                engine, SUITES["foundation"], "m", SLOTS, lambda *_: None, clock=SystemClock()
            )
            return time.perf_counter() - began
        finally:
            await engine.close()


def measure(rounds: int) -> dict[str, float]:
    cores = os.cpu_count() or 1
    plans = [(max(1, cores - 1), 1_000), (cores, 0), (cores, 1_000)]
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for threads, spins in plans:
            name = f"{threads} of {cores} threads, {spins} spins"
            seconds.setdefault(name, []).append(asyncio.run(run(threads, spins)))
    return {name: round(statistics.median(values), 1) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--idle", action="store_true", help="leave the busy machine out")
    chosen = parser.parse_args()
    result = {"idle": measure(chosen.rounds)}
    print("idle", result["idle"])
    if not chosen.idle:
        busy = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(busy) for _ in range(os.cpu_count() or 1)]
        try:
            result["busy"] = measure(chosen.rounds)
        finally:
            for other in others:
                other.kill()
                other.wait()
        print("busy", result["busy"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
