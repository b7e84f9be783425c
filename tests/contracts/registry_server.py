# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A real OCI registry for tests: Debian's docker-registry, on loopback, with TLS and a password."""

import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest

from paths.certificates import Site

__all__ = ["LOGIN", "RegistryServer", "needs_registry", "registry_server"]

PROGRAM = shutil.which("docker-registry")
LOGIN = "firm:correct horse"
_PATIENCE_S = 20

needs_registry = pytest.mark.skipif(PROGRAM is None, reason="docker-registry is not installed")


@dataclass
class RegistryServer:
    """Where it is, whom to trust, and its process."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def start(self) -> None:
        assert PROGRAM is not None
        with (self.folder / "registry.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", self.folder / "config.yml"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, (self.folder / "registry.log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextmanager
def registry_server(folder: Path) -> Generator[RegistryServer]:
    """A registry that asks for LOGIN, over TLS under an authority of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = Site.make(("127.0.0.1",))
    issued = site.issue(("127.0.0.1",))
    (folder / "ca.pem").write_bytes(site.authority)
    (folder / "chain.pem").write_bytes(issued.certificate)
    (folder / "key.pem").write_bytes(issued.key)
    user, _, password = LOGIN.partition(":")
    known = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (folder / "passwords").write_text(f"{user}:{known}\n")
    (folder / "config.yml").write_text(
        f"""version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {folder / "data"}}}
http:
  addr: 127.0.0.1:{port}
  tls: {{certificate: {folder / "chain.pem"}, key: {folder / "key.pem"}}}
auth:
  htpasswd: {{realm: test, path: {folder / "passwords"}}}
"""
    )
    server = RegistryServer(folder, port)
    try:
        server.start()
        yield server
    finally:
        server.kill()
