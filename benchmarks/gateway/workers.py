# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How a gateway's rate grows with its workers.

Workers would need a core each, and callers and upstream some more. On a machine with two, each
worker gets a part of a core instead, enforced by the kernel (CPU bandwidth of a control group), so
that what limits them is what would limit them on cores of their own. They share one port by
SO_REUSEPORT, as `bastide up` starts them. Needs root, for the control groups.

    python benchmarks/gateway/workers.py --part 0.12 --workers 1,2,3 --rounds 3
"""

import argparse
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import uvloop
from load import Mode, flood
from targets import START_TIMEOUT_S, Place, Target, bastide, wait_for

from bastide.app.listening import bind_address

HERE = Path(__file__).resolve().parent
PERIOD_US = 10_000  # short, so that nobody stands still for long
CALLERS = 64  # enough for each worker, however the kernel deals them out
WHOLE = Mode("whole", stream=False, pieces=4)


@contextlib.contextmanager
def group(name: str, part: float) -> Generator[Path]:
    """A control group whose processes get that part of one core together. Raises OSError."""
    first = Path("/sys/fs/cgroup/cpu")
    old = first.exists()
    folder = (first if old else Path("/sys/fs/cgroup")) / f"bench-{os.getpid()}-{name}"
    folder.mkdir()
    quota_us = int(PERIOD_US * part)
    try:
        if old:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (folder / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        yield folder
    finally:
        folder.rmdir()


def until_ready(target: Target, place: Place) -> None:
    """Wait for this worker: others may listen on its port already. Raises RuntimeError."""
    wait_for(target, place)
    log, end = place.folder / f"{target.name}.log", time.monotonic() + START_TIMEOUT_S
    while '"ready"' not in log.read_text():
        if time.monotonic() > end or target.process.poll() is not None:
            raise RuntimeError(f"{target.name} does not start: {log.read_text()[-1_000:]}")
        time.sleep(0.05)


def rate(place: Place, workers: int, part: float, count: int) -> tuple[float, float]:
    """Answers a second, and CPU microseconds for each."""
    with contextlib.ExitStack() as stack:
        targets, address = list[Target](), "127.0.0.1:0"
        for number in range(workers):
            folder = stack.enter_context(group(f"{workers}-{number}", part))
            listening = stack.enter_context(bind_address(address, shared=True))
            address = f"127.0.0.1:{listening.getsockname()[1]}"
            target = bastide(place, f"worker-{workers}-{number}", shared=listening)
            listening.close()  # or its connections would wait for us
            targets.append(target)
            stack.callback(target.stop)
            until_ready(target, place)  # its start is not held back
            (folder / "cgroup.procs").write_text(str(target.process.pid))
        port, request = targets[0].port, WHOLE.request(targets[0].key, targets[0].model)
        uvloop.run(flood(port, request, CALLERS, count // 10))
        before = sum(target.cpu_s() for target in targets)
        seconds, _ = uvloop.run(flood(port, request, CALLERS, count))
        spent_s = sum(target.cpu_s() for target in targets) - before
    return count / seconds, 1e6 * spent_s / count


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", type=float, default=0.12, help="of a core, for each worker")
    parser.add_argument("--workers", default="1,2,3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2_000, help="answers, for each worker")
    given = parser.parse_args()
    counts = [int(word) for word in given.workers.split(",")]
    found: dict[int, list[tuple[float, float]]] = {number: [] for number in counts}
    gc.disable()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, str(HERE / "upstream.py"), folder]
        upstream = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert upstream.stdout is not None
            place = Place(Path(folder), int(upstream.stdout.readline()), Path())
            for _ in range(given.rounds):
                for number in counts:
                    gc.collect()
                    found[number].append(rate(place, number, given.part, given.count * number))
        finally:
            upstream.kill()
            upstream.wait()
    base = statistics.median(row[0] for row in found[counts[0]]) / counts[0]
    rows = {}
    print(f"{'workers':>8}{'answers/s':>12}{'of ideal':>10}{'CPU us':>9}")
    for number, samples in found.items():
        per_s, cpu_us = (statistics.median(column) for column in zip(*samples, strict=True))
        rows[number] = {"per_s": per_s, "of_ideal": per_s / (base * number), "cpu_us": cpu_us}
        print(f"{number:>8}{per_s:>12.0f}{per_s / (base * number):>10.2f}{cpu_us:>9.1f}")
    print(json.dumps({"part_of_a_core": given.part, "workers": rows}))


if __name__ == "__main__":
    main()
