# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Workers of a running corpus build open nothing of what is denied in the ledger meanwhile.

They have no ledger, and who holds the machine removes the file. Before each job was told what is
denied, they went by the list of the build's beginning, and read on.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.corpus_part import bench_of, damaged_objects
from bastide.app.corpus_pool import Pool
from bastide.app.denials import SignedDenials
from bastide.app.environment import open_environment, read_passphrase
from bastide.core.errors import Refused
from paths.demo import found_apart

READ = ("report", ["corpora/1"])


@pytest.mark.attacks("C285")
def test_a_build_that_runs_is_told_with_each_job(tmp_path: Path) -> None:
    demo, people = found_apart(tmp_path)
    home = Home(demo.home)

    def jobs() -> Iterator[tuple[str, list[str]]]:
        yield READ
        demo.json("store", "deny", "corpora/", "--key", str(people / "firm.key"))
        (demo.home / "denied").unlink()
        yield READ

    with open_environment(home, read_passphrase(home)) as env:
        env.store.put("corpora/1", [b"text"])
        with Pool(env.settings, 1, bench_of(env), SignedDenials(env.ledger)) as pool:
            assert [found for _, found in pool.each(damaged_objects, [READ])] == [[]]
            with pytest.raises(Refused, match="the owner denies the opening of corpora/1"):
                list(pool.each(damaged_objects, jobs()))
            with pytest.raises(Refused, match="the owner denies the opening of corpora/1"):
                list(pool.each(damaged_objects, [READ]))
            signed = [("--key", str(people / f"{party}.key")) for party in ("firm", "guardian")]
            demo.json("store", "allow", "corpora/", *signed[0], *signed[1])
            assert [found for _, found in pool.each(damaged_objects, [READ])] == [[]]
