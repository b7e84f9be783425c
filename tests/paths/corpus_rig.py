# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A small corpus with planted personal data, duplicates and a broken line, and homes for it.

Two homes make the same pseudonyms only with the same key, so builds here draw it from a seed.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app.config import Home
from bastide.app.corpus_pool import Pool
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.founding import Wishes, found

TESTS = Path(__file__).parents[1]
DRIVER = Path(__file__).with_name("corpus_driver.py")
PLANTED = ("anna.virtanen@example.fi", "DE89370400440532013000", "+420 601 234 567")
CANARY = "Zwiebelkuchenrezept aus dem Nachlass"

RECIPE = """
name = "tiny"
seed = "1"

[limits]
quarantine_share = {share}
part_bytes = 6000
shard_bytes = 9000

[[sources]]
name = "letters"
path = "letters/*.jsonl"
reader = "jsonl"
licence = "CC0-1.0"
basis = "own"
origin = "made by a test"
collected = 2026-11-26

[[steps]]
step = "normalise"

[[steps]]
step = "length"
chars_min = 20

{personal_data}

[[steps]]
step = "exact-duplicate"

[[steps]]
step = "near-duplicate"
"""
PERSONAL_DATA = '[[steps]]\nstep = "personal-data"'
WORDS = [
    "stone",
    "river",
    "lantern",
    "copper",
    "meadow",
    "harbour",
    "window",
    "ember",
    "willow",
    "orchard",
    "thunder",
    "velvet",
]


def sentence(number: int) -> str:
    """Thirty words that no other number has in this order."""
    return " ".join(WORDS[(number * 7 + place * (number + 3)) % 12] + str(number % 97 * place)
                    for place in range(30))  # fmt: skip


def write_corpus(folder: Path, share: float = 0.05, personal_data: str = PERSONAL_DATA) -> Path:
    """Sixty documents in six files, and the recipe."""
    (folder / "letters").mkdir(parents=True)
    rows = [{"id": f"d{number}", "text": sentence(number)} for number in range(60)]
    rows[3]["text"] += (
        f"\nWrite to {PLANTED[0]} about it. IBAN {PLANTED[1]}, telephone {PLANTED[2]}."
    )
    rows[4]["text"] += f" {CANARY}"
    rows[50]["text"] = rows[7]["text"]
    rows[41]["text"] = rows[8]["text"] + " ember"
    rows[20]["text"] = "too short"
    for number in range(6):
        lines = [json.dumps(row) for row in rows[number * 10 : number * 10 + 10]]
        if number == 2:
            lines.insert(4, '{"id": "half')
        (folder / "letters" / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE.format(share=share, personal_data=personal_data))
    return recipe


def found_home(folder: Path) -> Home:
    home = Home(folder / "home")
    found(home, Wishes("solo", "127.0.0.1:1"))
    return home


def copied(home: Home, target: Path) -> Home:
    shutil.copytree(home.root, target)
    return Home(target)


@contextlib.contextmanager
def seeded(home: Home) -> Generator[Environment]:
    """A home whose next dataset gets a known key for its pseudonyms."""
    with open_environment(home, read_passphrase(home)) as env:
        yield replace(env, entropy=SeededEntropy(b"corpus"))


def kill_build(home: Home, recipe: Path, reached: Callable[[str], bool], *more: str) -> None:
    """Build in a process of its own, and kill it at a line of its progress; its workers end too.

    more: arguments of the driver.
    """
    child = subprocess.Popen(
        [sys.executable, str(DRIVER), str(home.root), str(recipe), *more],
        env={"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if reached(line):
            break
    else:
        raise AssertionError("the build ended before it came so far")
    family = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(signal.SIGKILL)
    child.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive


def counted_jobs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many jobs of each kind builds do from now on."""
    found: Counter[str] = Counter()
    original = Pool.each

    def each(self: Pool, task: Any, jobs: Iterable[Any]) -> Iterator[Any]:
        for row in original(self, task, jobs):
            found[task.__name__] += 1
            yield row

    monkeypatch.setattr(Pool, "each", each)
    return found
