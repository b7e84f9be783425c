# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What gateways cost: CPU per request and per streamed piece, added latency, memory, in one run.

Every gateway runs on one core, callers and upstream on the other. Rounds are interleaved, so that a
busy moment hits all alike; each number is the median of its rounds. The last line is one JSON
object.

    python benchmarks/gateway/run.py --rounds 5
    python benchmarks/gateway/run.py --only nginx,bastide --million
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import uvloop
from load import Mode, drip, flood
from targets import TARGETS, Place, Target, wait_for

HERE = Path(__file__).resolve().parent
Keep = Callable[[str, dict[str, float]], None]
CALLERS = 16
WARM_ATTEMPTS = 50
HALF_LOAD_PER_S = 500  # requests per second: no gateway written in C or by us is busy then
WHOLE = Mode("whole", stream=False, pieces=4)
LONG = Mode("whole_33kb", stream=False, pieces=4, prompt="Which town has a wall? " * 1_435)
PACED = Mode("paced", stream=True, pieces=64, pace_ms=5)
FLAT_OUT = Mode("flat_out", stream=True, pieces=64)


@contextlib.contextmanager
def world(names: list[str], peers: Path) -> Iterator[tuple[list[Target], list[str]]]:
    """Upstream and gateways, started; and the names of those that are not installed."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, str(HERE / "upstream.py"), folder]
        upstream = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert upstream.stdout is not None
        place = Place(Path(folder), int(upstream.stdout.readline()), peers)
        psutil.Process(upstream.pid).cpu_affinity(cores[-1:])
        targets: list[Target] = []
        absent: list[str] = []
        try:
            for name in names:
                target = TARGETS[name](place)
                if target is None:
                    absent.append(name)
                    continue
                targets.append(target)
                psutil.Process(target.process.pid).cpu_affinity(cores[:1])
                wait_for(target, place)
            os.sched_setaffinity(0, cores[-1:])
            yield targets, absent
        finally:
            for target in targets:
                target.stop()
            upstream.kill()
            upstream.wait()


def measure(target: Target, mode: Mode, callers: int, count: int) -> dict[str, float]:
    """CPU per request (and per piece of a stream), requests per second, latency."""
    request = mode.request(target.key, target.model, target.headers)
    before = target.cpu_s()
    seconds, times = uvloop.run(flood(target.port, request, callers, count))
    cpu_us = 1e6 * (target.cpu_s() - before) / count
    times.sort()
    found = {
        "cpu_us": cpu_us,
        "per_s": count / seconds,
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[int(len(times) * 0.99)],
    }
    if mode.stream:
        found["cpu_us_per_piece"] = cpu_us / mode.pieces
    return found


def drop(target: Target, count: int, per_s: float) -> dict[str, float]:
    """Latency at a fixed rate."""
    request = WHOLE.request(target.key, target.model, target.headers)
    times = sorted(whole for _, whole in uvloop.run(drip(target.port, request, per_s, count)))
    return {
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[int(len(times) * 0.99)],
    }


def warm(target: Target) -> None:
    """Ask until it answers: some listen a while before they are ready."""
    request = WHOLE.request(target.key, target.model, target.headers)
    for attempt in range(WARM_ATTEMPTS):
        try:
            uvloop.run(flood(target.port, request, 4, 40))
            return
        except (RuntimeError, ConnectionError):
            if attempt == WARM_ATTEMPTS - 1:
                raise
            time.sleep(0.2)


def a_round(target: Target, scale: float, keep: Keep) -> None:
    """Every measurement once. What a gateway cannot do is said, and left out."""
    slow = 0.05 if target.name in ("litellm", "portkey") else 1.0  # they need so much longer
    rate = 20.0 if target.name == "litellm" else HALF_LOAD_PER_S * min(1.0, 4 * slow)

    def size(count: int) -> int:
        return max(CALLERS, int(count * scale * slow))

    deeds: dict[str, Callable[[], dict[str, float]]] = {
        "whole_c16": lambda: measure(target, WHOLE, CALLERS, size(4_000)),
        "whole_c1": lambda: measure(target, WHOLE, 1, size(1_000)),
        "whole_33kb_c16": lambda: measure(target, LONG, CALLERS, size(2_000)),
        "paced_c16": lambda: measure(target, PACED, CALLERS, max(32, size(96))),
        "flat_out_c16": lambda: measure(target, FLAT_OUT, CALLERS, size(1_000)),
        "half_load": lambda: drop(target, int(rate * 2 * max(scale, 0.5)), rate),
    }
    for name, deed in deeds.items():
        try:
            keep(name, deed())
        except (RuntimeError, ConnectionError) as error:
            print(f"{target.name}, {name}: failed: {str(error)[-80:]!r}", file=sys.stderr)


def million(target: Target, count: int) -> dict[str, float]:
    """Memory before and after `count` requests."""
    request = WHOLE.request(target.key, target.model, target.headers)
    uvloop.run(flood(target.port, request, 64, 5_000))
    before = target.memory_mb()
    uvloop.run(flood(target.port, request, 64, count))
    return {"requests": count, "mb_before": before, "mb_after": target.memory_mb()}


def summary(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Ratios to nginx, and the latency that each adds to the upstream's own."""
    out: dict[str, Any] = {}
    for name, rows in found.items():
        row: dict[str, float] = {}
        for other in ("nginx", "bastide"):
            if other not in found or name in (other, "direct"):
                continue
            for key, field in (("whole_c16", "cpu_us"), ("paced_c16", "cpu_us_per_piece")):
                if key in rows and key in found[other]:
                    row[f"{key}_cpu_to_{other}"] = rows[key][field] / found[other][key][field]
        if "direct" in found and name != "direct" and "half_load" in rows:
            for field in ("p50_ms", "p99_ms"):
                row[f"added_{field}"] = (
                    rows["half_load"][field] - found["direct"]["half_load"][field]
                )
        out[name] = {key: round(value, 2) for key, value in row.items()}
    return out


def keep(rows: dict[str, list[dict[str, float]]], key: str, row: dict[str, float]) -> None:
    """Add a measurement to those of the same kind."""
    rows.setdefault(key, []).append(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the requests")
    parser.add_argument("--only", default=",".join(TARGETS), help="names, with commas")
    parser.add_argument(
        "--peers", type=Path, default=Path(".peers"), help="where peers.sh put them"
    )
    parser.add_argument("--million", type=int, default=0, help="requests for the memory test")
    given = parser.parse_args()
    samples: dict[str, dict[str, list[dict[str, float]]]] = {}
    memory: dict[str, dict[str, float]] = {}
    with world(given.only.split(","), given.peers.resolve()) as (targets, absent):
        for target in targets:
            warm(target)
        for number in range(given.rounds):
            for target in targets:
                a_round(target, given.scale, partial(keep, samples.setdefault(target.name, {})))
                print(f"round {number + 1}: {target.name}", file=sys.stderr, flush=True)
        for target in targets:
            if target.name == "direct":
                continue
            memory[target.name] = {"mb": target.memory_mb()}
            if given.million:
                memory[target.name] |= million(target, given.million)
    report(samples, memory, absent)


def report(samples: Any, memory: dict[str, dict[str, float]], absent: list[str]) -> None:
    found = {
        name: {
            key: {field: statistics.median(row[field] for row in rows) for field in rows[0]}
            for key, rows in modes.items()
        }
        for name, modes in samples.items()
    }
    for name, modes in found.items():
        print(name)
        for key, row in modes.items():
            print(f"  {key:16}", "  ".join(f"{field} {value:.2f}" for field, value in row.items()))
    for name in absent:
        print(f"{name}: not installed, not compared")
    last = {"cores": os.cpu_count(), "absent": absent, "memory": memory}
    last |= {"ratios": summary(found), "found": found}
    print(json.dumps(last, default=lambda value: round(value, 2)))


if __name__ == "__main__":
    main()
