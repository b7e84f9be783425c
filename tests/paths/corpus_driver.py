# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Builds a corpus in a process of its own, which a test may kill; prints each step of progress."""

import os
import sys
from pathlib import Path

from bastide.app.config import Home
from bastide.app.corpus_build import build_dataset
from paths.corpus_rig import seeded


def main() -> None:
    home, recipe = Home(Path(sys.argv[1])), Path(sys.argv[2])

    def progress(what: str, done: int, total: int) -> None:
        print(f"{what} {done}/{total}", flush=True)

    print(f"pid {os.getpid()}", flush=True)
    with seeded(home) as env:
        print(f"built {build_dataset(env, recipe, 2, progress).body['root']}", flush=True)


if __name__ == "__main__":
    main()
