# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""From an empty folder to a first token: `make up` in a fresh clone, then a second start.

    python benchmarks/first_answer.py [--rounds 3] [--json]

The package cache is warm if the same packages were installed before on this machine; everything
else is new each time: virtual environment, keys, ledger, sealed store, evaluation, release.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUESTION = "What is the capital of Sweden?"


def timed(folder: Path, *command: str) -> float:
    """Seconds until the command has ended. Exits if it fails."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def first_token(folder: Path) -> float:
    """Seconds from the start of `bastide chat` to the first byte of the answer."""
    started = time.monotonic()
    command = [str(folder / ".venv/bin/bastide"), "chat", QUESTION]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1), "no answer"
        seconds = time.monotonic() - started
        process.stdout.read()
    return seconds


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bastide"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        try:
            up = timed(folder, "make", "up")
            token = first_token(folder)
            down = timed(folder, "make", "down")
            again = timed(folder, "make", "up")
        finally:
            subprocess.run(["make", "down"], cwd=folder, capture_output=True, check=False)
    return {"up_s": up, "first_token_s": up + token, "down_s": down, "second_up_s": again}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = [measure() for _ in range(options.rounds)]
    middle = {name: round(statistics.median(row[name] for row in rounds), 2) for name in rounds[0]}
    if options.json:
        print(json.dumps({"rounds": rounds, "median": middle}))
        return
    print(f"median of {len(rounds)} rounds, seconds")
    for name, value in middle.items():
        print(f"  {name:<15}{value:6.2f}")
    print("  targets: first token under 15, second start under 3")


if __name__ == "__main__":
    main()
