# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A build on two nodes of a Ray cluster makes what one process makes, also if a node is killed.

Join and root are divided into more ranges than there are workers. Broken once to prove the tests:
where the jobs of a lost worker are not done again, the build fails.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.compute.ray_compute import RayCompute
from bastide.adapters.compute.ray_link import RayLink
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app import corpus_ranges, wiring_compute
from bastide.app.config import Home
from bastide.app.corpus_pool import Pool
from bastide.core.errors import Unavailable
from bastide.ports import Compute
from contracts import compute_tasks as tasks
from contracts.ray_nodes import HEAD, RayNodes
from contracts.test_compute import ENVIRONMENT, build
from paths.corpus_rig import copied, found_home, write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OTHER = "127.0.0.3"
Watch = Callable[[str], None]


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    nodes = RayNodes(ENVIRONMENT)
    try:
        nodes.begin()
        nodes.begin(OTHER)
    except ChildProcessError as error:
        nodes.close()
        # Ray gives its own processes 30 s to begin, and then ends itself.
        if os.getloadavg()[0] < (os.cpu_count() or 1):
            raise
        pytest.skip(f"Ray does not begin on a machine that is this busy: {error}")
    yield nodes
    nodes.close()


@pytest.fixture(scope="module")
def link(nodes: RayNodes) -> Iterator[RayLink]:
    keys = str(nodes.keys())
    link = RayLink(nodes.address, keys, 2, ENVIRONMENT, SystemClock(), SystemEntropy())
    yield link
    link.close()


@pytest.fixture
def on_nodes(nodes: RayNodes, link: RayLink, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Builds begin when both nodes work, and cut everything into ranges. How many there were."""
    monkeypatch.setattr(corpus_ranges, "_ROWS_MIN", 9)
    ranges: list[int] = []

    @contextlib.contextmanager
    def choose(
        settings: object, workers: int, bench: object, lost: Callable[[], None]
    ) -> Generator[Compute]:
        compute = RayCompute(link, workers, bench, lost, SystemEntropy())
        try:
            for _ in range(60):
                list(compute.each(tasks.pid, range(4)))
                if all(worker.ready for worker in compute._workers.values()):
                    break
            assert nodes.workers(HEAD)
            assert nodes.workers(OTHER)
            yield compute
        finally:
            compute.close()

    original = Pool.each

    def each(self: Pool, task: Any, jobs: Iterable[Any]) -> Iterator[Any]:
        jobs = list(jobs)
        ranges.append(len(jobs) if task.__module__ != "bastide.app.corpus_part" else 0)
        return original(self, task, jobs)

    monkeypatch.setattr(wiring_compute, "open_compute", choose)
    monkeypatch.setattr(Pool, "each", each)
    return ranges


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("nodes"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("letters") / "corpus")


@pytest.fixture(scope="module")
def alone(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What worker processes make of it, without ranges."""
    folder = tmp_path_factory.mktemp("alone")
    return build(copied(empty, folder / "home"), recipe, folder / "out")


def test_two_nodes_and_many_ranges_make_the_same_bytes(
    on_nodes: list[int], alone: Any, empty: Home, recipe: Path, tmp_path: Path
) -> None:
    assert build(copied(empty, tmp_path / "home"), recipe, tmp_path / "out") == alone
    assert max(on_nodes) == 6  # of three times as many as there are workers


@pytest.mark.attacks("C251")
@pytest.mark.parametrize(
    ("task", "whole"), [("read_part", True), ("half_range", True), ("key_range", False)]
)
def test_a_node_killed_in_the_middle_changes_nothing(
    task: str, whole: bool, on_nodes: list[int], nodes: RayNodes, alone: Any, empty: Home,
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """All of its processes at once; or the raylet alone, whose workers may still write a while."""
    killed: list[str] = []
    original = Pool.each

    def each(self: Pool, given: Any, jobs: Iterable[Any]) -> Iterator[Any]:
        for result in original(self, given, jobs):
            if given.__name__ == task and not killed:
                killed.append(task)
                if whole:
                    nodes.kill(OTHER)
                else:
                    nodes.raylet(OTHER).kill()
            yield result

    monkeypatch.setattr(Pool, "each", each)
    events: list[str] = []
    home = copied(empty, tmp_path / "home")
    try:
        made = build(home, recipe, tmp_path / "out", lambda what, done: events.append(what))
    finally:
        if killed:
            with contextlib.suppress(KeyError):
                nodes.kill(OTHER)
            nodes.begin(OTHER)  # for who comes next, which meets a node that joins a cluster
    assert made == alone
    assert killed
    # Of a node that lost its raylet a worker may end all that it had.
    assert not whole or any("worker was lost" in what for what in events)


def test_a_folder_of_keys_of_another_cluster_is_not_let_in(nodes: RayNodes, link: RayLink) -> None:
    other = RayNodes(ENVIRONMENT)
    with pytest.raises(Unavailable, match="nobody answers there with TLS under this authority"):
        RayLink(
            nodes.address, str(other.keys()), 1, ENVIRONMENT, SystemClock(), SystemEntropy()
        ).close()


def test_a_cluster_that_is_gone_is_told_and_processes_go_on(
    on_nodes: list[int], nodes: RayNodes, alone: Any, empty: Home, recipe: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The last test: it kills the head."""
    home = copied(empty, tmp_path / "home")

    def told(what: str, done: int) -> None:
        if what == "reading" and done and HEAD in nodes.begun:
            nodes.kill(HEAD)

    with pytest.raises(Unavailable, match="Ray"):
        build(home, recipe, tmp_path / "out", told)
    monkeypatch.undo()
    assert build(home, recipe, tmp_path / "out") == alone
