# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Kills the splitting of a quorum at random points. Run as a script in a fresh process.

    resplit_driver.py POINTS FOLDER     FOLDER/prepared is a home, FOLDER/people who holds it

After each kill exactly one of the two sets of shares opens the keyring, and is the one in force.
"""

import random
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bastide.app.config import Home
from bastide.app.environment import open_environment
from bastide.app.quorum import Collected, Share, open_share
from bastide.app.resplit import custodians_then, resplit, settle
from bastide.app.unsealing import read_record
from bastide.core.errors import BastideError
from bastide.core.party import Party
from paths.forking import elapsed, forked, kill_points
from paths.quorum_rig import PARTIES, identity

NEW = {Party.GUARDIAN: str(identity(7).recipient())}
HOLDERS = {"firm": 1, "operator": 2, "guardian": 3}


def shares(folder: Path, holders: dict[str, int]) -> list[Share]:
    """The shares of the firm and the guardian; none if there are not all."""
    if not all((folder / f"{party}.share.age").exists() for party in PARTIES):
        return []
    named = {party: (folder / f"{party}.share.age").read_text() for party in ("firm", "guardian")}
    return [open_share(text, [identity(holders[party])]) for party, text in named.items()]


def opens(home: Home, given: Sequence[Share]) -> bool:
    """Whether these shares open the environment, as `bastide unseal` does it."""
    try:
        collected = Collected.of(read_record(home), given)
        with open_environment(home, collected.passphrase()) as env:
            settle(env, collected.record)
            env.ledger.audit()
            found = env.ledger.find("quorum/v1")
            in_force = found[-1].body["set"] if found else read_record(home)["set"]
            assert in_force == collected.record["set"]
            assert len(found) <= 1
    except BastideError:
        return False
    return True


def points(number: int, folder: Path, chance: random.Random) -> None:
    """Kill it, and see who opens then."""

    def deed(home: Home, out: Path) -> None:
        collected = Collected.of(read_record(home), shares(folder / "people", HOLDERS))
        then = custodians_then(collected.record, NEW)
        resplit(home, collected.passphrase(), collected.record, collected.shares, then, out)

    def check(home: Home, out: Path) -> None:
        new = shares(out, {**HOLDERS, "guardian": 7})
        after = bool(new) and opens(home, new)
        before = opens(home, shares(folder / "people", HOLDERS))
        assert before != after, (before, after)
        if after:
            assert "next" not in read_record(home)

    def copy(name: str) -> tuple[Home, Path]:
        shutil.copytree(folder / "prepared", folder / name)
        return Home(folder / name), folder / f"{name}-shares"

    def prepare(attempt: int) -> tuple[Callable[[], None], Callable[[], None]]:
        home, out = copy(f"home{attempt}")

        def after() -> None:
            forked(lambda: check(home, out))
            shutil.rmtree(home.root)

        return lambda: deed(home, out), after

    home, out = copy("measure")
    whole = elapsed(lambda: deed(home, out))
    forked(lambda: check(home, out))
    kill_points(number, chance, prepare, whole)


if __name__ == "__main__":
    points(int(sys.argv[1]), Path(sys.argv[2]), random.Random(20261127))
