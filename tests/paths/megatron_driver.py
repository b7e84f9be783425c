# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Exports tokens in a process of its own, which a test may kill; prints each step of progress."""

import os
import sys
from pathlib import Path

from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from paths.corpus_rig import seeded


def main() -> None:
    home, tokenizer, target = map(Path, sys.argv[1:4])

    def progress(step: str, done: int, total: int) -> None:
        print(f"{step} {done}/{total}", flush=True)

    print(f"pid {os.getpid()}", flush=True)
    with seeded(Home(home)) as env:
        export_dataset(env, "mix", target, "megatron", progress, tokenizer=tokenizer)
    print("exported", flush=True)


if __name__ == "__main__":
    main()
