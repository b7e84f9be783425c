# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Builds a corpus in a process of its own, which a test may kill; prints each step of progress.

A third argument is the name of a step: once it is told, no file may become longer than 600 bytes.
One such as `rows=9` says how many rows a range of the join has at least. With `count` nothing is
built: it is planned, and counted.
"""

import os
import resource
import sys
from pathlib import Path

from bastide.app import corpus_ranges
from bastide.app.config import Home
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_estimate import plan_dataset
from paths.corpus_rig import seeded


def main() -> None:
    home, recipe = Home(Path(sys.argv[1])), Path(sys.argv[2])

    def progress(what: str, done: int, total: int) -> None:
        print(f"{what} {done}/{total}", flush=True)
        if what in sys.argv[3:]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    for argument in sys.argv[3:]:
        if argument.startswith("rows="):
            corpus_ranges._ROWS_MIN = int(argument.removeprefix("rows="))
    print(f"pid {os.getpid()}", flush=True)
    with seeded(home) as env:
        if "count" in sys.argv[3:]:
            plan_dataset(env, recipe, 2, True, progress)
            return
        print(f"built {build_dataset(env, recipe, 2, progress).body['root']}", flush=True)


if __name__ == "__main__":
    main()
