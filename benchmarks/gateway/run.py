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
import gc
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import uvloop
from load import Mode, drip, flood
from load_h2 import H2Caller
from memory import idle, million
from targets import TARGETS, Place, Target, wait_for

HERE = Path(__file__).resolve().parent
Keep = Callable[[str, dict[str, float]], None]
CALLERS = 16
WARM_ATTEMPTS = 50
PROTOCOLS = ("h2c_c16", "h2c_shared_c16", "tls_c16", "tls_h2_c16")
FIXED_PER_S = 500  # requests per second: no gateway written in C or by us is busy then
WHOLE = Mode("whole", stream=False, pieces=4)
LONG = Mode("whole_33kb", stream=False, pieces=4, prompt="Which town has a wall? " * 1_435)
PACED = Mode("paced", stream=True, pieces=64, pace_ms=5)
FLAT_OUT = Mode("flat_out", stream=True, pieces=64)


@contextlib.contextmanager
def world(
    names: list[str], peers: Path, python: str, runner_apart: bool
) -> Generator[tuple[list[Target], list[str]]]:
    """Upstream and gateways, started; and the names of those that are not installed.

    runner_apart: real runners share the core of the upstream, and not that of the gateway.
    """
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, str(HERE / "upstream.py"), folder]
        upstream = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert upstream.stdout is not None
        place = Place(Path(folder), int(upstream.stdout.readline()), peers, python)
        psutil.Process(upstream.pid).cpu_affinity(cores[-1:])
        targets: list[Target] = []
        absent: list[str] = []
        try:
            for name in names:
                target = TARGETS[name](place)
                if target is None:
                    absent.append(name)
                    continue
                target.authority = place.site.authority.decode()
                target.direct = place.upstream if name != "direct" else 0
                targets.append(target)
                psutil.Process(target.process.pid).cpu_affinity(cores[:1])
                if target.runner is not None:
                    place_of = cores[-1:] if runner_apart else cores[:1]
                    psutil.Process(target.runner.pid).cpu_affinity(place_of)
                wait_for(target, place)
            os.sched_setaffinity(0, cores[-1:])
            yield targets, absent
        finally:
            for target in targets:
                target.stop()
            upstream.kill()
            upstream.wait()


def measure(
    target: Target, mode: Mode, callers: int, count: int, port: int = 0, **how: Any
) -> dict[str, float]:
    """CPU per request (and per piece of a stream), requests per second, latency.

    how: see `flood`.
    """
    request = mode.request(target.key, target.model, target.headers)
    before, runner_before = target.cpu_s(), target.runner_cpu_s()
    seconds, times = uvloop.run(flood(port or target.port, request, callers, count, **how))
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
    if target.runner is not None:
        found["runner_cpu_us"] = 1e6 * (target.runner_cpu_s() - runner_before) / count
    return found


def protocols(target: Target, count: int) -> dict[str, Callable[[], dict[str, float]]]:
    """Whole answers over TLS 1.3 and HTTP/2, 16 at once: a connection for each, or one for all."""

    def over(port: int, **how: Any) -> Callable[[], dict[str, float]]:
        return lambda: measure(target, WHOLE, CALLERS, count, port, **how)

    def trust(protocol: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=target.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols([protocol])
        return context

    deeds = {}
    if target.h2c:
        deeds["h2c_c16"] = over(target.h2c, connect=H2Caller)
        deeds["h2c_shared_c16"] = over(target.h2c, connect=H2Caller, connections=1)
    if target.tls:
        deeds["tls_c16"] = over(target.tls, context=trust("http/1.1"))
        deeds["tls_h2_c16"] = over(target.tls, connect=H2Caller, context=trust("h2"))
    return deeds


def drop(target: Target, count: int, per_s: float) -> dict[str, float]:
    """Latency at a fixed rate, an open loop."""
    request = WHOLE.request(target.key, target.model, target.headers)
    times = sorted(whole for _, whole in uvloop.run(drip(target.port, request, per_s, count)))
    return {
        "per_s": per_s,
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[int(len(times) * 0.99)],
    }


def half_load(target: Target, count: int, scale: float) -> dict[str, float]:
    """Latency at half of the rate that this very gateway reaches just now, from 16 callers.

    The upstream's own at the same rate is measured beside it: `added` is what is above that.
    """
    most_per_s = measure(target, WHOLE, CALLERS, count)["per_s"]
    asked = max(200, int(most_per_s * max(scale, 0.5)))
    found = drop(target, asked, most_per_s / 2)
    if target.direct:
        request = WHOLE.request(target.key, target.model)
        alone = sorted(
            whole for _, whole in uvloop.run(drip(target.direct, request, most_per_s / 2, asked))
        )
        found["added_p50_ms"] = found["p50_ms"] - 1e3 * alone[len(alone) // 2]
        found["added_p99_ms"] = found["p99_ms"] - 1e3 * alone[int(len(alone) * 0.99)]
    return found


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


def a_round(target: Target, scale: float, kinds: list[str], keep: Keep) -> None:
    """Every measurement once. What a gateway cannot do is said, and left out.

    kinds: names of the measurements; none is all.
    """
    slow = 0.05 if target.name in ("litellm", "portkey") else 1.0  # they need so much longer
    rate = 20.0 if target.name == "litellm" else FIXED_PER_S * min(1.0, 4 * slow)

    def size(count: int) -> int:
        return max(CALLERS, int(count * scale * slow))

    deeds: dict[str, Callable[[], dict[str, float]]] = {
        "whole_c16": lambda: measure(target, WHOLE, CALLERS, size(10_000)),
        "whole_c1": lambda: measure(target, WHOLE, 1, size(1_000)),
        "whole_33kb_c16": lambda: measure(target, LONG, CALLERS, size(2_000)),
        "paced_c16": lambda: measure(target, PACED, CALLERS, max(32, size(96))),
        "flat_out_c16": lambda: measure(target, FLAT_OUT, CALLERS, size(1_000)),
        "fixed_rate": lambda: drop(target, int(rate * 2 * max(scale, 0.5)), rate),
        "half_load": lambda: half_load(target, size(10_000), scale),
        **protocols(target, size(4_000)),
    }
    for name, deed in deeds.items():
        if kinds and name not in kinds:
            continue
        gc.collect()
        try:
            keep(name, deed())
        except (RuntimeError, ConnectionError) as error:
            print(f"{target.name}, {name}: failed: {str(error)[-80:]!r}", file=sys.stderr)


def summary(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Ratios to nginx, and the latency that each adds to the upstream's own."""
    out: dict[str, Any] = {}
    for name, rows in found.items():
        row: dict[str, float] = {}
        for other in ("nginx", "bastide"):
            if other not in found or name in (other, "direct"):
                continue
            fields = dict.fromkeys(("whole_c16", *PROTOCOLS), "cpu_us")
            for key, field in (*fields.items(), ("paced_c16", "cpu_us_per_piece")):
                if key in rows and key in found[other]:
                    row[f"{key}_cpu_to_{other}"] = rows[key][field] / found[other][key][field]
        for key in PROTOCOLS:
            if key in rows and "whole_c16" in rows:
                row[f"{key}_cpu_to_plain"] = rows[key]["cpu_us"] / rows["whole_c16"]["cpu_us"]
        if "fixed_rate" in found.get("direct", {}) and name != "direct" and "fixed_rate" in rows:
            for field in ("p50_ms", "p99_ms"):
                row[f"added_{field}"] = (
                    rows["fixed_rate"][field] - found["direct"]["fixed_rate"][field]
                )
        out[name] = {key: round(value, 2) for key, value in row.items()}
    return out


def keep(rows: dict[str, list[dict[str, float]]], key: str, row: dict[str, float]) -> None:
    """Add a measurement to those of the same kind."""
    rows.setdefault(key, []).append(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="0: memory only")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the requests")
    parser.add_argument("--only", default=",".join(TARGETS), help="names, with commas")
    parser.add_argument(
        "--peers", type=Path, default=Path(".peers"), help="where peers.sh put them"
    )
    parser.add_argument("--million", type=int, default=0, help="requests for the memory test")
    parser.add_argument("--idle", type=int, default=0, help="streams that wait at once")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs Bastide")
    parser.add_argument("--runner-apart", action="store_true", help="not on the measured core")
    parser.add_argument("--kinds", default="", help="measurements, with commas; all if left out")
    given = parser.parse_args()
    kinds = [name for name in given.kinds.split(",") if name]
    # The collector would stop the callers for up to 50 ms, and that would count as the gateway's.
    gc.disable()
    samples: dict[str, dict[str, list[dict[str, float]]]] = {}
    memory: dict[str, dict[str, Any]] = {}
    names, place = given.only.split(","), (given.peers.resolve(), given.python)
    with world(names, *place, given.runner_apart) as (targets, absent):
        for target in targets:
            warm(target)
        for number in range(given.rounds):
            for target in targets:
                rows = samples.setdefault(target.name, {})
                a_round(target, given.scale, kinds, partial(keep, rows))
                print(f"round {number + 1}: {target.name}", file=sys.stderr, flush=True)
        gc.enable()
        for target in targets:
            if target.name == "direct":
                continue
            memory[target.name] = {"mb": target.memory_mb()}
            if given.million:
                memory[target.name]["million"] = million(target, given.million)
            if given.idle:
                memory[target.name]["idle"] = idle(target, given.idle)
    report(samples, memory, absent, given.python)


def python_of(program: str) -> str:
    """Which Python that is. How it was built shows in the CPU time, and is asked in vain of it."""
    said = subprocess.run([program, "-V"], stdout=subprocess.PIPE, text=True, check=True)
    return f"{program}: {said.stdout.strip()}"


def report(samples: Any, memory: dict[str, dict[str, Any]], absent: list[str], python: str) -> None:
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
    for name, rows in memory.items():
        for key, row in rows.items():
            print(f"{name} {key}: {row}")
    for name in absent:
        print(f"{name}: not installed, not compared")
    last: dict[str, Any] = {"cores": os.cpu_count(), "python": python_of(python)}
    last |= {"absent": absent, "memory": memory}
    last |= {"ratios": summary(found), "found": found}
    print(json.dumps(last, default=lambda value: round(value, 2)))


if __name__ == "__main__":
    main()
