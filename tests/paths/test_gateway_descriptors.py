# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A real gateway with few descriptors: it says how many connections they allow, and keeps to it."""

import contextlib
import json
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bastide.core.errors import Misconfigured
from bastide.core.limits import CONNECTIONS_MAX, DESCRIPTORS_KEPT
from bastide.gateway.doors import connections_within
from paths.certificates import Site
from paths.gateway_rig import PEPPER, read_response, request_bytes
from paths.test_gateway_process import BODY, Control, runner, start

LIMIT = 64
BOUND = LIMIT // 2
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def few() -> Generator[tuple[subprocess.Popen[str], dict[str, Any], dict[str, Any]]]:
    """A gateway under a hard limit of LIMIT descriptors, and the first two lines it logged."""
    issued = Site.make().issue()
    with tempfile.TemporaryDirectory() as folder, runner(Path(folder) / "runner.sock"):
        serving = Control(Path(folder) / "control.sock", Path(folder) / "runner.sock")
        serving.start()
        assert serving.listening.wait(10)
        process = start(
            {
                "listen": "127.0.0.1:0",
                "tls_listen": "127.0.0.1:0",
                "tls": {"certificate": issued.certificate.decode(), "key": issued.key.decode()},
                "control_socket": str(Path(folder) / "control.sock"),
                "pepper": PEPPER.hex(),
            }
        )
        # Before it gets its orders to the end of its imports it has not looked at its limits.
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (LIMIT // 2, LIMIT))
        try:
            assert process.stderr is not None
            yield (
                process,
                json.loads(process.stderr.readline()),
                json.loads(process.stderr.readline()),
            )
        finally:
            process.terminate()
            assert process.wait(20) == 0
            serving.stop()


def at(place: str) -> socket.socket:
    host, port = place.split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def status(client: socket.socket, request: bytes) -> int:
    client.sendall(request)
    return read_response(client).status


def open_files(process: subprocess.Popen[str]) -> int:
    return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())


@pytest.mark.attacks("C162", "C163")
def test_few_descriptors_bound_the_connections_and_nobody_is_dropped() -> None:
    with few() as (process, ready, told):
        assert ready["event"] == "ready", ready
        assert (told["event"], told["descriptors"]) == ("few-descriptors", LIMIT)
        assert told["connections_max"] == BOUND
        # Half of them say nothing on the port of TLS: handshakes that do not end count too.
        silent = [at(ready["tls_listen"]) for _ in range(BOUND // 2)]
        time.sleep(0.3)
        many = [at(ready["listen"]) for _ in range(3 * LIMIT)]
        first, last = many[0], many[-1]
        deadline = time.monotonic() + 10
        while status(first, HEALTH) != 200:  # until the first snapshot has come
            assert time.monotonic() < deadline
        # An answer needs a connection to the runner, which there is still a descriptor for.
        assert status(first, request_bytes(BODY)) == 200
        assert open_files(process) < LIMIT - 2
        before = sum(psutil.Process(process.pid).cpu_times()[:2])
        last.sendall(HEALTH)
        last.settimeout(1)
        with pytest.raises(TimeoutError):  # it waits in the kernel's queue, and is not refused
            last.recv(1)
        assert sum(psutil.Process(process.pid).cpu_times()[:2]) - before < 0.3  # nothing spins
        for client in (*silent, *many[:-1]):
            client.close()
        last.settimeout(10)
        assert read_response(last).status == 200
        with at(ready["listen"]) as later:
            assert status(later, HEALTH) == 200
        last.close()


@pytest.mark.parametrize(
    ("descriptors", "most"),
    [
        (resource.RLIM_INFINITY, CONNECTIONS_MAX),
        (1_048_576, CONNECTIONS_MAX),
        (CONNECTIONS_MAX, CONNECTIONS_MAX - DESCRIPTORS_KEPT),
        (1_024, 1_024 - DESCRIPTORS_KEPT),
        (100, 50),
    ],
)
def test_how_many_connections_descriptors_allow(descriptors: int, most: int) -> None:
    assert connections_within(descriptors) == most


def test_too_few_descriptors_for_anything_are_told() -> None:
    with pytest.raises(Misconfigured, match="LimitNOFILE"):
        connections_within(0)
