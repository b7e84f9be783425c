# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Kills the splitting of a quorum at every fsync. Run as a script in a fresh process.

    resplit_driver.py FOLDER     FOLDER/prepared is a home, FOLDER/people who holds it

Each file that it writes has one before its rename and one after, so no two durable writes are
without a kill between them. After each kill exactly one of the two sets of shares opens the
keyring, and is the one in force.
"""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bastide.app.config import Home
from bastide.app.environment import open_environment
from bastide.app.quorum import Collected, Share, open_share
from bastide.app.resplit import custodians_then, resplit, settle
from bastide.app.unsealing import read_record
from bastide.core.errors import BastideError
from bastide.core.party import Party
from paths.forking import forked
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


def deed(home: Home, people: Path, out: Path, dies_at: int) -> None:
    """Split the quorum, and die at an fsync: all that was written before it is there."""
    real, count = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync
    collected = Collected.of(read_record(home), shares(people, HOLDERS))
    then = custodians_then(collected.record, NEW)
    resplit(home, collected.passphrase(), collected.record, collected.shares, then, out)


def check(home: Home, people: Path, out: Path) -> None:
    """Exactly one set opens."""
    new = shares(out, {**HOLDERS, "guardian": 7})
    after = bool(new) and opens(home, new)
    before = opens(home, shares(people, HOLDERS))
    assert before != after, (before, after)
    if after:
        assert "next" not in read_record(home)


def sweep(folder: Path) -> None:
    """Kill it at each fsync in turn until it ends before its kill, and see who opens then."""
    people, dies_at, killed = folder / "people", 0, True
    sealed = (folder / "prepared" / "keyring.age").read_bytes()
    left = set()  # what kills left: whether the keyring is a new one, whether the record says so
    while killed:
        dies_at += 1
        home, out = Home(folder / f"home{dies_at}"), folder / f"shares{dies_at}"
        shutil.copytree(folder / "prepared", home.root)
        killed = forked(partial(deed, home, people, out, dies_at))
        left.add((home.keyring.read_bytes() != sealed, "next" in read_record(home)))
        forked(partial(check, home, people, out))
        shutil.rmtree(home.root)
    assert left == {(False, False), (False, True), (True, True), (True, False)}, left


if __name__ == "__main__":
    sweep(Path(sys.argv[1]))
