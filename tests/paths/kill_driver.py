# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Kills a deed at random points, many times, quickly. Run as a script in a fresh process.

The driver imports everything once and then forks for every attempt, so that one costs no start
of an interpreter. It never touches a database or a store itself: their threads do not survive a
fork.

    kill_driver.py init POINTS FOLDER
    kill_driver.py release POINTS FOLDER      FOLDER/prepared is a home with an evaluated model
"""

import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from bastide.app.config import Home
from bastide.app.deployments import deploy_release
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.first_run import first_run
from bastide.app.founding import Wishes, found
from bastide.app.loading import load_deployment
from bastide.app.releases import publish_release
from paths.forking import elapsed, forked, kill_points

WISHES = Wishes("solo", "127.0.0.1:1")


def init_points(points: int, folder: Path, chance: random.Random) -> None:
    """A killed founding leaves nothing or everything, and another one succeeds."""

    def check(home: Home) -> None:
        if not home.root.exists():
            found(home, WISHES)
        with open_environment(home, read_passphrase(home)) as env:
            env.ledger.audit()
            assert env.ledger.size == 1
            assert env.ledger.policy().name == "solo"
        leftovers = [path.name for path in folder.iterdir() if path.name.endswith(".founding")]
        assert not leftovers, leftovers

    def prepare(number: int) -> tuple[Callable[[], None], Callable[[], None]]:
        home = Home(folder / f"home{number}")

        def after() -> None:
            forked(lambda: check(home))
            shutil.rmtree(home.root)

        return lambda: _ignore(found(home, WISHES)), after

    whole = elapsed(lambda: _ignore(found(Home(folder / "measure"), WISHES)))
    kill_points(points, chance, prepare, whole)


def release_points(points: int, folder: Path, chance: random.Random) -> None:
    """A killed release goes on from the ledger; what was acknowledged is still there."""
    acknowledged = folder / "acknowledged"

    def release(home: Home) -> None:
        with open_environment(home, read_passphrase(home)) as env:
            first_run(env, None, lambda text: _note(acknowledged, env.ledger.size))

    def check(home: Home) -> None:
        with open_environment(home, read_passphrase(home)) as env:
            env.ledger.audit()
            assert env.ledger.size >= int(acknowledged.read_text()), "an acknowledged step is lost"
            first_run(env, None, lambda text: None)
            publish_release(env, "smollm2-135m-instruct")
            deployed = deploy_release(env, "smollm2-135m-instruct", None)
            kinds = [row.kind for row in env.ledger.entries()]
            for once in ("candidate/v1", "release/v1", "deployment/v1"):
                assert kinds.count(once) == 1, kinds
            assert kinds.count("approval/v1") == 3, kinds
            loaded = load_deployment(env.ledger, env.store, deployed.subject.digest)
            os.close(loaded.descriptor)

    def copy(name: str) -> Home:
        target = folder / name
        shutil.copytree(folder / "prepared", target, ignore=shutil.ignore_patterns("store"))
        shutil.copytree(folder / "prepared" / "store", target / "store", copy_function=os.link)
        acknowledged.write_text("0")
        return Home(target)

    def prepare(number: int) -> tuple[Callable[[], None], Callable[[], None]]:
        home = copy(f"home{number}")

        def after() -> None:
            forked(lambda: check(home))
            shutil.rmtree(home.root)

        return lambda: release(home), after

    home = copy("measure")
    kill_points(points, chance, prepare, elapsed(lambda: release(home)))


def _note(path: Path, size: int) -> None:
    partial = path.with_suffix(".new")
    partial.write_text(str(size))
    partial.replace(path)


def _ignore(_: object) -> None:
    """Give a deed without a result."""


if __name__ == "__main__":
    run = {"init": init_points, "release": release_points}[sys.argv[1]]
    run(int(sys.argv[2]), Path(sys.argv[3]), random.Random(20261125))
