# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the real command line in real processes, for the tests of whole paths."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_RUN = "import sys; from bastide.cli import main; sys.argv[0] = 'bastide'; main()"
ARGV = (sys.executable, "-c", _RUN)


def environment(**more: str) -> dict[str, str]:
    """What a shell would have, with our sources first."""
    names = ("PATH", "HOME", "TMPDIR", "SOFTHSM2_CONF")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", **more}


def driver_environment() -> dict[str, str]:
    """The same, for a script that uses the tests' own modules."""
    return environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT / 'tests'}")


@contextlib.contextmanager
def heard_interrupts() -> Generator[None]:
    """What is started in the block hears SIGINT.

    Shells start what runs in the background deaf to it, and children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Demo:
    """One home directory and the command line over it."""

    home: Path

    def run(
        self, *args: str, status: int | None = 0, stdin: str = "", prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run `bastide ARGS --home HOME`; the exit status must be `status` (None: any)."""
        done = subprocess.run(
            [*prefix, *ARGV, *args, "--home", str(self.home)],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment(),
            timeout=150,
            check=False,
        )
        if status is not None:
            assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *args: str, status: int | None = 0, stdin: str = "") -> Any:
        """Run with ``--json`` and read standard output, which must be one JSON value."""
        return json.loads(self.run(*args, "--json", status=status, stdin=stdin).stdout)

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Start `bastide ARGS` in a process group of its own."""
        return subprocess.Popen(
            [*ARGV, *args, "--home", str(self.home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )


def found_apart(folder: Path) -> tuple[Demo, Path]:
    """A home of the policy `separate`, and the folder to which three people's keys were taken."""
    demo, people = Demo(folder / "home"), folder / "people"
    people.mkdir()
    for file in map(Path, demo.json("init", "--parties", "separate")["key_files"]):
        file.rename(people / file.name)
    return demo, people
