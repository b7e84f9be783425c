# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The link to the process that speaks to Ray, with token, certificates and an environment for it.

Of a cluster on this machine that we begin, token and certificate are new and are deleted with it. A
cluster that is there already has a folder of ours: `token`, `ca.pem`, `cert.pem`, `key.pem`.
"""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.limits import COMPUTE_START_S
from bastide.crypto import p256, x509
from bastide.ports import Clock, Entropy

__all__ = ["LOCAL", "RayLink"]

LOCAL: Final = "local"
_FILES: Final = ("token", "ca.pem", "cert.pem", "key.pem")
_NAMES: Final = ("127.0.0.1", "127.0.0.2", "localhost")  # of a cluster on this machine
_END_S: Final = 20.0
_STARTS: Final = 3
_LATE: Final = "Starting Ray client server failed"  # what a cluster says whose machine is busy
# Nothing is reported, looked up or shown; and no proxy is asked.
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_grpc_enable_http_proxy": "0",
}


class RayLink:
    """A driver process and what it needs. Raises Misconfigured or Unavailable."""

    def __init__(
        self,
        address: str,
        files: str,
        workers: int,
        environment: Mapping[str, str],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        # Short, because the paths of Ray's sockets hold 107 bytes at most (unix(7)).
        self.folder = Path(tempfile.mkdtemp(prefix="bastide-ray-"))
        # Of workers, over all that use the link: what a worker of one that ended still says is not
        # taken for a word of the next.
        self.numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            if address == LOCAL:
                _make_files(self.folder, clock, entropy)
            secrets = self.folder if address == LOCAL else _verified(Path(files))
            given = {**environment, **_QUIET, **_security(secrets)}
            self._connect(address, workers, given)
        except BaseException:
            self.close()
            raise

    def _connect(self, address: str, workers: int, environment: Mapping[str, str]) -> None:
        """Start the driver. Again if Ray's own time was too short, as on a busy machine: it gives a
        new cluster 15 s, and a client's server in an old one 30 s.
        """
        for left in reversed(range(_STARTS)):
            self._start(address, workers, environment)
            told = self.receive(COMPUTE_START_S)
            if told is not None and told[0] == "connected":
                return
            self._end()
            if told is not None and told[0] == "missing":
                raise Misconfigured("Ray is not installed", fix="install the extra ray")
            why = "it did not answer in time" if told is None else str(told[1])
            if left and (address == LOCAL or _LATE in why):
                continue
            raise Unavailable(
                f"there is no Ray cluster for compute = {address!r}: {why}",
                fix="token authentication and TLS must be on: docs/guides/corpus-ray.md",
            )

    def _start(self, address: str, workers: int, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._link = Connection(ours.detach())
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "bastide.adapters.compute.ray_driver",
                    str(theirs.fileno()), address, str(workers), os.fspath(self.folder / "ray"),
                ],
                env=dict(environment),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches us, and we end it
            )  # fmt: skip

    @property
    def driver(self) -> int:
        """The process that speaks to Ray."""
        assert self._process is not None
        return self._process.pid

    def send(self, *order: object) -> None:
        """Give the driver an order. Raises Unavailable."""
        try:
            self._link.send(order)
        except OSError as error:
            raise Unavailable("the process that speaks to Ray ended", fix="run it again") from error

    def receive(self, timeout_s: float) -> Any:
        """What the driver tells next; None if it is nothing by then. Raises Unavailable."""
        try:
            return self._link.recv() if self._link.poll(timeout_s) else None
        except (EOFError, OSError) as error:
            raise Unavailable("the process that speaks to Ray ended", fix="run it again") from error

    def close(self) -> None:
        """End the driver, and a cluster that it began; delete all that they wrote."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        if self._process is not None:
            self._link.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            self._process.kill()
            self._process.wait()
            self._process = None


def _security(folder: Path) -> dict[str, str]:
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": os.fspath(folder / "token"),
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": os.fspath(folder / "ca.pem"),
        "RAY_TLS_SERVER_CERT": os.fspath(folder / "cert.pem"),
        "RAY_TLS_SERVER_KEY": os.fspath(folder / "key.pem"),
    }


def _verified(folder: Path) -> Path:
    """A folder with all four files, which nobody else may read."""
    for name in _FILES:
        path = folder / name
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise Misconfigured(
                f"compute_keys: {path} cannot be read",
                fix=f"a folder with {', '.join(_FILES)}: docs/guides/corpus-ray.md",
            ) from error
        if name in ("token", "key.pem") and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise Misconfigured(f"compute_keys: others may read {path}", fix=f"chmod 600 {path}")
    return folder


def _make_files(folder: Path, clock: Clock, entropy: Entropy) -> None:
    """A token and a certificate for one cluster."""
    secret = p256.secret_from(entropy.token(48))
    issued = x509.issue_to_self(secret, _NAMES, entropy.token(16), clock.now_ms())
    token = entropy.token(32).hex().encode()
    contents = (token, issued.certificate, issued.certificate, issued.key)
    for name, content in zip(_FILES, contents, strict=True):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
