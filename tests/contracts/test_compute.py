# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Workers keep the port's promises, and a dataset is the same whoever makes it.

One Ray cluster, of this machine and with token and TLS on, serves the whole file: it takes several
seconds of processor time to begin.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.compute import ray_link
from bastide.adapters.compute.processes import ProcessCompute
from bastide.adapters.compute.ray_compute import RayCompute
from bastide.adapters.compute.ray_link import LOCAL, RayLink
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app import wiring_compute
from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from bastide.app.corpus_build import build_dataset
from bastide.core.errors import Unavailable
from bastide.ports import Compute
from contracts import compute_tasks as tasks
from paths.corpus_rig import CANARY, PLANTED, copied, found_home, seeded, sentence, write_corpus
from paths.test_sealed_at_rest import forms, views

# Ray may have to begin three times, on a machine that does much else.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
TESTS = Path(__file__).parents[1]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]),
}
ATTEMPTS = 3
SECRET = "AGE-SECRET-KEY-OF-A-TEST-WHICH-NO-CLUSTER-MAY-SEE"
Open = Callable[..., contextlib.AbstractContextManager[Compute]]


@pytest.fixture(scope="module")
def link() -> Iterator[RayLink]:
    # Ray gives its own processes 15 s to begin, and then ends itself: on a busy machine, too early.
    for attempt in range(1, ATTEMPTS + 1):
        try:
            link = RayLink(LOCAL, "", 2, ENVIRONMENT, SystemClock(), SystemEntropy())
        except Unavailable:
            if attempt == ATTEMPTS:
                raise
            time.sleep(15)
        else:
            break
    yield link
    folder = link.folder
    family = psutil.Process(link.driver).children(recursive=True)
    link.close()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "what Ray began must end with the link"
    assert not folder.exists()


@pytest.fixture(params=["processes", "ray"])
def opened(request: pytest.FixtureRequest) -> Open:
    @contextlib.contextmanager
    def with_workers(
        bench: object, workers: int = 2, lost: Callable[[], None] = lambda: None
    ) -> Generator[Compute]:
        if request.param == "processes":
            compute: Compute = ProcessCompute(workers, bench, lost)
        else:
            link = request.getfixturevalue("link")
            compute = RayCompute(link, workers, bench, lost, SystemEntropy())
        try:
            yield compute
        finally:
            compute.close(cancel=True)
            compute.close()

    return with_workers


def test_every_job_is_done_once_with_the_bench(opened: Open) -> None:
    with opened({"secret": SECRET}) as compute:
        assert list(compute.each(tasks.double, [])) == []
        rows = dict(compute.each(tasks.double, range(20)))
        assert rows == {job: (SECRET, 2 * job) for job in range(20)}
        pids = {pid for _, pid in compute.each(tasks.pid, range(8))}
        assert len(pids) == 2
        assert os.getpid() not in pids


def test_jobs_are_drawn_as_there_is_room(opened: Open) -> None:
    drawn: list[int] = []

    def jobs() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield number

    with opened({"secret": ""}) as compute:
        next(iter(compute.each(tasks.double, jobs())))
        assert len(drawn) < 20
        # Whoever did not wait for the end gets nothing of it afterwards.
        assert dict(compute.each(tasks.echo, [b"one", b"two"])) == {b"one": b"one", b"two": b"two"}


def test_what_a_lost_worker_had_is_done_again(opened: Open, tmp_path: Path) -> None:
    lost: list[int] = []
    with opened({"folder": str(tmp_path)}, lost=lambda: lost.append(1)) as compute:
        rows = list(compute.each(tasks.die_once, range(9)))
    assert sorted(rows) == [(job, job) for job in range(9)]
    assert lost


def test_a_job_that_kills_its_workers_ends(opened: Open) -> None:
    with opened({}, 1) as compute, pytest.raises(Unavailable, match="3 workers were killed"):
        list(compute.each(tasks.die, [1]))


def test_who_cancels_does_not_wait(opened: Open, tmp_path: Path) -> None:
    with opened({"folder": str(tmp_path)}) as compute:
        assert next(iter(compute.each(tasks.slow, [0, 1]))) == (0, 0)
        while not (begun := list(tmp_path.glob("pid-*"))):
            time.sleep(0.05)
        worker = psutil.Process(int(begun[0].name[4:]))
        compute.close(cancel=True)
        worker.wait(20)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("compute"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("letters") / "corpus")


@pytest.fixture
def on_ray(link: RayLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds take the cluster that is there already."""

    @contextlib.contextmanager
    def choose(
        settings: object, workers: int, bench: object, lost: Callable[[], None]
    ) -> Generator[Compute]:
        compute = RayCompute(link, workers, bench, lost, SystemEntropy())
        try:
            yield compute
        finally:
            compute.close()

    monkeypatch.setattr(wiring_compute, "open_compute", choose)


def build(
    home: Home,
    recipe: Path,
    target: Path,
    told: Callable[[str, int], None] = lambda what, done: None,
) -> tuple[str, dict[str, bytes]]:
    """The root of the dataset, and the bytes of its export."""
    with seeded(home) as env:
        row = build_dataset(env, recipe, 2, lambda what, done, total: told(what, done))
        files = export_dataset(env, "tiny", target, "jsonl")
        return row.body["root"], {path.name: path.read_bytes() for path in files}


def actors(link: RayLink) -> list[psutil.Process]:
    family = psutil.Process(link.driver).children(recursive=True)
    return [one for one in family if "RayWorker" in " ".join(one.cmdline())]


@pytest.fixture(scope="module")
def alone(empty: Home, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What worker processes make."""
    folder = tmp_path_factory.mktemp("alone")
    return build(copied(empty, folder / "home"), recipe, folder / "out")


@pytest.mark.attacks("C190")
def test_ray_makes_the_same_bytes_and_sees_no_text_no_value_and_no_key(
    on_ray: None, link: RayLink, alone: Any, empty: Home, recipe: Path, tmp_path: Path
) -> None:
    home = copied(empty, tmp_path / "home")
    assert build(home, recipe, tmp_path / "out") == alone
    with seeded(home) as env:
        secrets = [CANARY, sentence(5), *PLANTED, *env.keyring.identities(), SECRET]
    compute = RayCompute(link, 1, {"secret": SECRET}, lambda: None, SystemEntropy())
    large = (CANARY.encode() + b" ") * 8_000  # so large that it goes through the object store
    assert [result for _, result in compute.each(tasks.echo, [large])] == [large]
    held = object_store(link).replace(b"\0", b"")  # most of it was never used
    compute.close()
    assert len(held) > len(large)  # the messages are there, sealed
    logs = [path for path in link.folder.rglob("*") if path.is_file()]
    assert any("raylet" in path.name for path in logs)
    for path in logs:
        seen = [held, *views(path)]
        found = [one for one in secrets for form in forms(one.encode())
                 if any(form in view for view in seen)]  # fmt: skip
        assert found == [], path
        held = b""


@pytest.mark.attacks("C192")
def test_a_worker_killed_in_the_middle_changes_nothing(
    on_ray: None, link: RayLink, alone: Any, empty: Home, recipe: Path, tmp_path: Path
) -> None:
    events: list[str] = []

    def told(what: str, done: int) -> None:
        events.append(what)
        if what == "reading" and events.count(what) == 2:
            actors(link)[-1].kill()

    assert build(copied(empty, tmp_path / "home"), recipe, tmp_path / "out", told) == alone
    assert any("worker was lost" in what for what in events)


def object_store(link: RayLink) -> bytes:
    """What Ray's object store holds in shared memory, though its file has no name."""
    for process in psutil.Process(link.driver).children(recursive=True):
        if process.name() == "raylet":
            for entry in Path(f"/proc/{process.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if "plasma" in str(entry.readlink()) and entry.stat().st_size > 1_000_000:
                        return entry.read_bytes()
    raise AssertionError("no object store was found")


def test_ray_reports_and_shows_nothing(link: RayLink) -> None:
    family = psutil.Process(link.driver).children(recursive=True)
    for process in [psutil.Process(link.driver), *family]:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in process.net_connections("inet"):
                assert not one.raddr or one.raddr.ip.startswith(("127.", "::ffff:127.")), one
                assert one.laddr.port != 8265
    log = next(link.folder.rglob("dashboard.log")).read_text()
    assert "Usage reporting is disabled" in log
    assert "http server disabled" in log


def control_port(link: RayLink) -> int:
    (server,) = [
        process
        for process in psutil.Process(link.driver).children(recursive=True)
        if process.name() == "gcs_server"
    ]
    (port,) = [
        one.laddr.port for one in server.net_connections("inet") if one.status == psutil.CONN_LISTEN
    ]
    return port


def test_a_cluster_by_its_address(link: RayLink, tmp_path: Path) -> None:
    """Ray's own server for clients, before the same cluster, with its token and certificate."""
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable, "-m", "ray.util.client.server", "--host", "127.0.0.2",
            "--port", str(port), "--mode", "specific-server",
            "--address", f"127.0.0.2:{control_port(link)}",
        ],
        env={**ENVIRONMENT, **ray_link._QUIET, **ray_link._security(link.folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    lost: list[int] = []
    try:
        with contextlib.closing(
            RayLink(
                f"ray://127.0.0.2:{port}", str(link.folder), 1, ENVIRONMENT, SystemClock(),
                SystemEntropy(),
            )
        ) as far:  # fmt: skip
            bench = {"folder": str(tmp_path)}
            compute = RayCompute(far, 1, bench, lambda: lost.append(1), SystemEntropy())
            assert dict(compute.each(tasks.die_once, range(5))) == {job: job for job in range(5)}
            assert lost
            compute.close()
    finally:
        server.kill()
        server.wait()


@pytest.mark.attacks("C191")
def test_who_has_no_certificate_or_no_token_is_not_let_in(link: RayLink, tmp_path: Path) -> None:
    """The control server of the cluster itself, asked with everything but one of them."""
    import grpc

    authority, chain, key = (
        (link.folder / name).read_bytes() for name in ("ca.pem", "cert.pem", "key.pem")
    )
    token = (link.folder / "token").read_text()
    whole = grpc.ssl_channel_credentials(authority, key, chain)
    anybody = grpc.ssl_channel_credentials(authority)
    shown = [("authorization", f"Bearer {token}")]

    def ask(channel: Any, metadata: Any) -> Any:
        call = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
        try:
            call(b"", metadata=metadata, timeout=5)
        except grpc.RpcError as error:
            return error.code()
        return "let in"

    address = f"127.0.0.2:{control_port(link)}"
    assert ask(grpc.secure_channel(address, whole), shown) == "let in"
    assert ask(grpc.secure_channel(address, whole), []) == grpc.StatusCode.UNAUTHENTICATED
    wrong = [("authorization", "Bearer " + "0" * 64)]
    assert ask(grpc.secure_channel(address, whole), wrong) == grpc.StatusCode.UNAUTHENTICATED
    for channel in (grpc.secure_channel(address, anybody), grpc.insecure_channel(address)):
        assert ask(channel, shown) == grpc.StatusCode.UNAVAILABLE
