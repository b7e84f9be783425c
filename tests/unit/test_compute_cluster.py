# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A cluster is refused that is open to anybody, and what it carries is sealed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.compute import ray_compute, ray_guard, ray_link
from bastide.adapters.compute.channel import (
    ANSWER,
    CALL,
    hand_over,
    open_message,
    seal_message,
)
from bastide.adapters.compute.ray_compute import RayCompute
from bastide.adapters.compute.ray_link import RayLink
from bastide.adapters.compute.ray_worker import RayWorker
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.memory import new_identities
from bastide.app import corpus_pool
from bastide.app.config import Settings
from bastide.app.corpus_part import Workbench
from bastide.app.corpus_plan import made_with
from bastide.core.errors import Misconfigured, NotAllowed, NotProven, Unavailable
from contracts import compute_tasks as tasks

SECRET = "AGE-SECRET-KEY-OF-A-TEST-WHICH-NO-CLUSTER-MAY-SEE"


def served(credentials: Any, folder: Path) -> tuple[Any, int]:
    """A server with these credentials that takes everything for a question and says yes."""
    import grpc

    class Yes(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda asked, context: b"")

    server = grpc.server(ThreadPoolExecutor(1), [Yes()])
    port = (
        server.add_insecure_port("127.0.0.2:0")
        if credentials is None
        else server.add_secure_port("127.0.0.2:0", credentials)
    )
    server.start()
    return server, port


@pytest.mark.parametrize("kind", ["no token", "no TLS"])
def test_a_cluster_that_is_open_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both before anything of a build goes there."""
    import grpc

    monkeypatch.setattr(ray_guard, "COMPUTE_START_S", 8.0)
    ray_link._make_files(tmp_path, SystemClock(), SystemEntropy())
    chain, key = ((tmp_path / name).read_bytes() for name in ("cert.pem", "key.pem"))
    proof = grpc.ssl_server_credentials([(key, chain)], chain, True) if kind == "no token" else None
    server, port = served(proof, tmp_path)
    for name, value in ray_link._security(tmp_path).items():
        monkeypatch.setenv(name, value)
    why = "lets in who shows no token" if kind == "no token" else "nobody answers there with TLS"
    try:
        with pytest.raises(ConnectionError, match=why):
            ray_guard.refuse_open(f"127.0.0.2:{port}", ray_guard.CLIENTS)
    finally:
        server.stop(None)


def test_keys_of_a_cluster_must_be_there_and_private(tmp_path: Path) -> None:
    def link() -> None:
        RayLink("ray://127.0.0.2:1", str(tmp_path), 1, {}, SystemClock(), SystemEntropy())

    with pytest.raises(Misconfigured, match="token cannot be read"):
        link()
    ray_link._make_files(tmp_path, SystemClock(), SystemEntropy())
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(Misconfigured, match="others may read"):
        link()


def test_a_node_that_is_open_gets_no_key() -> None:
    link = Carried([("answer", 0, 0, ("age1...", "it lets in who shows no token"))])
    compute = RayCompute(link, 1, {"secret": SECRET}, lambda: None, SystemEntropy())  # type: ignore[arg-type]
    with pytest.raises(NotAllowed, match="token authentication or TLS off"):
        list(compute.each(tasks.echo, [b""]))
    assert [order[0] for order in link.sent] == ["hello"]


def test_what_a_worker_of_an_ended_build_says_is_not_taken_for_the_next() -> None:
    """Both are worker 0 of theirs, and a link carries what the first said after its end."""
    late, now = (str(RayWorker(SystemEntropy())._identity.recipient()) for _ in range(2))
    link = Carried([("answer", 0, 0, (late, "")), ("answer", 1, 0, (now, ""))])
    first = RayCompute(link, 1, {}, lambda: None, SystemEntropy())  # type: ignore[arg-type]
    first.close()
    second = RayCompute(link, 1, {}, lambda: None, SystemEntropy())  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        list(second.each(tasks.echo, [b""]))
    begun = [order[1] for order in link.sent if order[0] == "begin"]
    assert begun == [1]


class Carried:
    """A link that says what it is told to."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.sent = answers, list[Any]()
        self.numbers = count()

    def send(self, *order: Any) -> None:
        self.sent.append(order)

    def receive(self, timeout_s: float) -> Any:
        return self.answers.pop(0) if self.answers else None


LATE = ("failed", "ConnectionError: Starting Ray client server failed. See ray_client_server.err")
OTHER = ("failed", "PermissionError: the token is wrong")
ANSWERED = ("connected",)


class Slow(RayLink):
    """A link whose drivers say what they are told to, one after the other; None: no answer."""

    def __init__(self, address: str, answers: list[Any]) -> None:
        self.answers, self.started, self.ended = answers, 0, 0
        self._connect(address, 1, {})

    def _start(self, *given: Any) -> None:
        self.started += 1

    def receive(self, timeout_s: float) -> Any:
        return self.answers.pop(0)

    def _end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize(
    ("address", "answers"),
    [
        ("ray://head:1", [LATE, LATE, ANSWERED]),
        (ray_link.LOCAL, [LATE, None, ANSWERED]),
        (ray_link.LOCAL, [OTHER, ANSWERED]),
    ],
    ids=["late cluster", "late local", "local, whatever it says"],
)
def test_who_was_only_too_busy_is_asked_again(address: str, answers: list[Any]) -> None:
    """Each driver that failed has ended before the next begins."""
    wanted = len(answers)
    link = Slow(address, answers)
    assert (link.started, link.ended) == (wanted, wanted - 1)


@pytest.mark.parametrize(
    ("address", "answers", "left"),
    [
        ("ray://head:1", [OTHER, ANSWERED], 1),
        ("ray://head:1", [None, ANSWERED], 1),
        ("ray://head:1", [LATE, OTHER, ANSWERED], 1),
        ("ray://head:1", [LATE, LATE, LATE, ANSWERED], 1),
        (ray_link.LOCAL, [None, None, None, ANSWERED], 1),
    ],
    ids=["another reason", "no answer", "then another reason", "late thrice", "local thrice"],
)
def test_who_refuses_or_stays_busy_is_not_asked_for_ever(
    address: str, answers: list[Any], left: int
) -> None:
    with pytest.raises(Unavailable, match="there is no Ray cluster"):
        Slow(address, answers)
    assert len(answers) == left


def test_a_message_fits_one_call_in_one_direction() -> None:
    worker = RayWorker(SystemEntropy())
    recipient = str(worker._identity.recipient())
    key, sealed = hand_over(recipient, {"secret": SECRET}, SystemEntropy().token)
    assert SECRET.encode() not in sealed
    worker.begin(sealed)
    first = seal_message(key, CALL, 1, (tasks.double, 4))
    answer = worker.run(1, first)
    assert open_message(key, ANSWER, 1, answer) == (SECRET, 8)
    for direction, number, message in [
        (ANSWER, 2, answer), (CALL, 1, answer), (ANSWER, 1, answer[:-1] + b"x"),
    ]:  # fmt: skip
        with pytest.raises(NotProven):
            open_message(key, direction, number, message)
    with pytest.raises(NotAllowed):
        worker.run(1, first)
    with pytest.raises(NotProven):
        worker.run(2, first)
    with pytest.raises(NotAllowed):
        worker.begin(sealed)


@pytest.mark.parametrize(
    ("place", "keys", "why"),
    [
        ("threads", "", "names no workers"),
        ("ray://head", "/k", "is no address"),
        ("ray://head:1", "", "needs compute_keys"),
    ],
)
def test_a_setting_that_names_no_workers(place: str, keys: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        Settings("test", compute=place, compute_keys=keys)


def test_a_worker_of_other_versions_or_without_the_store_refuses(tmp_path: Path) -> None:
    keys = new_identities(SystemEntropy())
    bench = Workbench(
        str(tmp_path / "store"), keys, (), "corpora/" + "a" * 32, (), b"", made_with={}
    )
    ok, told = corpus_pool._do(bench, (tasks.echo, b"", ()))
    assert not ok
    assert "a worker has other versions of bastide" in told[1]
    ok, told = corpus_pool._do(replace(bench, made_with=made_with()), (tasks.echo, b"", ()))
    assert not ok
    assert "does not see the store" in told[1]


def test_a_cluster_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_compute, "COMPUTE_START_S", 3.0)
    compute = RayCompute(Carried([]), 1, {}, lambda: None, SystemEntropy())  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="no room for a worker"):
        list(compute.each(tasks.echo, [b""]))


def test_a_cluster_whose_workers_do_not_start_ends_the_build() -> None:
    answers = [("lost", number, 0, "RuntimeEnvSetupError") for number in range(9)]
    compute = RayCompute(Carried(answers), 1, {}, lambda: None, SystemEntropy())  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="no worker of the Ray cluster starts"):
        list(compute.each(tasks.echo, [b""]))
