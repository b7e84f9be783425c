# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster of several nodes on one machine, each with a loopback address and a certificate.

Begun as docs/guides/corpus-ray.md says: one authority, one token, a certificate for each machine.
"""

import contextlib
import ipaddress
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from cryptography import x509

from bastide.adapters.compute import ray_link
from bastide.adapters.entropy.system import SystemEntropy
from paths.certificates import Authority

HEAD = "127.0.0.2"
_STARTS_S = 120.0
_TRIES = 3
_OBJECTS_BYTES = 80 << 20


class RayNodes:
    """One head and any number of other nodes, one CPU each. environment: of every process."""

    def __init__(self, environment: dict[str, str]) -> None:
        # Short, because the paths of Ray's sockets hold 107 bytes at most (unix(7)).
        self.folder = Path(tempfile.mkdtemp(prefix="ray-nodes-"))
        self._environment = environment
        self._authority = Authority("ray authority")
        self._token = SystemEntropy().token(32).hex()
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.port, self.clients = _free_port(), _free_port()

    @property
    def begun(self) -> list[str]:
        """The nodes that were begun and not killed."""
        return list(self._nodes)

    @property
    def address(self) -> str:
        """What the setting `compute` names."""
        return f"ray://{HEAD}:{self.clients}"

    def keys(self, node: str = HEAD) -> Path:
        """The folder with the token and a node's certificate."""
        folder = self.folder / node
        if not folder.exists():
            folder.mkdir()
            # 127.0.0.1 too: there the head's server for clients meets the one that it begins for
            # each. No constraints of names: Ray's TLS library refuses those of addresses.
            names = [x509.IPAddress(ipaddress.ip_address(one)) for one in (node, "127.0.0.1")]
            chain, key = self._authority.issue(x509.Name([]), *names)
            contents = (self._token.encode(), self._authority.pem.encode(), chain, key)
            for name, content in zip(ray_link._FILES, contents, strict=True):
                (folder / name).write_bytes(content)
                (folder / name).chmod(0o600)
        return folder

    def begin(self, node: str = HEAD) -> None:
        """Start a node. Again if Ray ends its own start, as it does on a busy machine."""
        options = [f"--address={HEAD}:{self.port}"]
        if node == HEAD:
            options = [
                "--head", f"--port={self.port}", f"--ray-client-server-port={self.clients}",
                "--include-dashboard=false", "--no-monitor", f"--temp-dir={self.folder / 'ray'}",
            ]  # fmt: skip
        for left in reversed(range(_TRIES)):
            if self._started(node, options):
                return
            self.kill(node)
            if not left:
                raise ChildProcessError((self.folder / f"{node}.log").read_text()[-2000:])

    def _started(self, node: str, options: list[str]) -> bool:
        log = self.folder / f"{node}.log"
        with log.open("wb") as file:
            self._nodes[node] = subprocess.Popen(
                [
                    sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
                    f"--node-ip-address={node}", "--num-cpus=1", "--num-gpus=0",
                    f"--object-store-memory={_OBJECTS_BYTES}", "--disable-usage-stats",
                    "--include-log-monitor=false", *options,
                ],
                env={
                    **self._environment, **ray_link._QUIET, **ray_link._security(self.keys(node))
                },
                stdout=file,
                stderr=file,
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + _STARTS_S
        while b"Ray runtime started" not in log.read_bytes():
            if self._nodes[node].poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def raylet(self, node: str) -> psutil.Process:
        """The process that is the node for the others."""
        (found,) = [one for one in self._family(node) if one.name() == "raylet"]
        return found

    def workers(self, node: str) -> set[int]:
        """The processes that do what a build asks for."""
        return {
            one.pid for one in self._family(node) if one.name().startswith("ray::RayWorker")
        }  # Ray gives its workers such a title

    def kill(self, node: str) -> None:
        """As a power cut would: all processes of a node."""
        family = self._family(node)
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive
        self._nodes.pop(node).wait()

    def close(self) -> None:
        """End all nodes, the head last."""
        for node in reversed(self.begun):
            self.kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _family(self, node: str) -> list[psutil.Process]:
        try:
            leader = psutil.Process(self._nodes[node].pid)
        except psutil.NoSuchProcess:
            return []
        return [*leader.children(recursive=True), leader]


def _free_port() -> int:
    with socket.create_server((HEAD, 0)) as free:
        return free.getsockname()[1]
