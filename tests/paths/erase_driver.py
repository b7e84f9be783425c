# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Erases a person in a process of its own, which a test may kill; prints each step of progress.

A third argument is the name of a step: once it is told, no file may become longer than 600 bytes.
"""

import resource
import sys
from pathlib import Path

from bastide.app.config import Home
from bastide.app.corpus_erase import erase_subject
from bastide.core.erasure_subject import ErasureSubject
from paths.corpus_rig import seeded


def main() -> None:
    home, subject = Home(Path(sys.argv[1])), Path(sys.argv[2])

    def progress(what: str, done: int, total: int) -> None:
        print(f"{what} {done}/{total}", flush=True)
        if what in sys.argv[3:]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    with seeded(home) as env:
        erase_subject(env, ErasureSubject.parse(subject.read_text()), 2, progress)
    print("erased", flush=True)


if __name__ == "__main__":
    main()
