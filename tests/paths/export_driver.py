# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Exports in a process of its own, which a test may kill; prints each step of progress.

Arguments: home, target, form, and a tokenizer if the form has tokens.
"""

import os
import sys
from pathlib import Path

from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from paths.corpus_rig import seeded


def main() -> None:
    home, target, form = sys.argv[1:4]
    tokenizer = Path(sys.argv[4]) if len(sys.argv) > 4 else None

    def progress(step: str, done: int, total: int) -> None:
        print(f"{step} {done}/{total}", flush=True)

    print(f"pid {os.getpid()}", flush=True)
    with seeded(Home(Path(home))) as env:
        export_dataset(env, "mix", target, form, progress, tokenizer=tokenizer)
    print("exported", flush=True)


if __name__ == "__main__":
    main()
