# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A running environment with attested runners, witnesses of two parties, and a sealed proxy."""

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.first_run import embedded_model
from bastide.app.founding import free_address
from bastide.app.models import add_model
from bastide.app.sealed_client import SealedClient
from bastide.app.sealed_gateway import Gateway
from bastide.app.sealed_proxy import SealedProxy
from bastide.ledger.verify_nodes import Trust
from bastide.stages.admit import Claim
from paths.demo import ARGV, Demo, environment
from paths.furnished import move_addresses
from paths.loading_rig import state_scores
from paths.swtpm_rig import SoftTpm

PATIENCE_S = 60
BUILT_IN = Claim("smollm2-135m-instruct", "a package", "Apache-2.0")


@dataclass
class SealedWorld:
    """A home that serves, its TPM and its witnesses."""

    folder: Path
    demo: Demo
    tpm: SoftTpm
    witnesses: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    up: dict[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> Path:
        return self.demo.home / "public" / "keys.json"

    def client(self, url: str = "", **more: Any) -> SealedClient:
        anchors = json.loads(self.keys.read_bytes())
        given = {"trust": Trust(2), "tokens_max": 256, **more}
        gateway = Gateway(url or self.up["gateway_url"])
        return SealedClient(gateway, anchors, SystemClock(), SystemEntropy(), **given)

    def asking(self) -> tuple[str, ...]:
        """The options of `bastide sealed`."""
        key = self.folder / "api-key"
        key.write_text(self.up["key"] + "\n")
        where = ("--gateway", self.up["gateway_url"], "--keys", str(self.keys))
        return (*where, "--api-key-file", str(key), "--state", str(self.folder / "head.json"))

    def processes(self) -> dict[str, list[int]]:
        """The environment's processes by what they are."""
        found: dict[str, list[int]] = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not entry.name.isdecimal():
                    continue
                words = (entry / "cmdline").read_bytes().split(b"\0")
                for kind in ("gateway", "app.control", "app.runner_main"):
                    if f"bastide.{kind}".encode() in words and self._mine(int(entry.name)):
                        found.setdefault(kind.removeprefix("app."), []).append(int(entry.name))
        return found

    def _mine(self, pid: int) -> bool:
        """Whether a process has something of this home open."""
        folder = Path(f"/proc/{pid}/fd")
        for fd in folder.iterdir():
            with contextlib.suppress(OSError):
                if str(fd.readlink()).startswith(str(self.demo.home)):
                    return True
        return False


@contextlib.contextmanager
def sealed_world(folder: Path) -> Generator[SealedWorld]:
    """From nothing to a served, attested and cosigned model."""
    world = SealedWorld(folder, Demo(folder / "home"), SoftTpm())
    demo = world.demo
    try:
        demo.run("init", "--attested", "--listen", free_address(0))
        with open_environment(Home(demo.home), read_passphrase(Home(demo.home))) as env:
            state_scores(env, add_model(env, embedded_model(), BUILT_IN, None))
        for party in ("firm", "guardian"):
            _enrol(world, party)
        urls = ", ".join(f"{name}=http://{at}" for name, at in world.witnesses.items())
        config = demo.home / "config.toml"
        config.write_text(config.read_text().replace('witnesses = ""', f'witnesses = "{urls}"'))
        values = folder / "machines.json"
        demo.json("node", "measure", "--tpm", world.tpm.tcti, "--out", str(values))
        demo.json("node", "reference", str(values))
        demo.json("node", "join", "--tpm", world.tpm.tcti)
        move_addresses(demo.home)
        world.up = demo.json("up")
        _await_nodes(world)
        yield world
    finally:
        demo.run("down", status=None)
        for process in world.running:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        world.tpm.remove()


@contextlib.contextmanager
def sealed_proxy(client: SealedClient) -> Generator[str]:
    """A proxy on a thread; its URL."""
    server = SealedProxy("127.0.0.1:0", client)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _enrol(world: SealedWorld, party: str) -> None:
    where = ("--dir", str(world.folder / party))

    def run(*args: str) -> None:
        subprocess.run([*ARGV, *args], env=environment(), capture_output=True, check=True)

    run("witness", "init", *where, "--name", f"{party}.example/w1")
    run("witness", "watch", str(world.keys), *where)
    world.demo.json("witness", "enrol", *where, "--party", party)
    listen = world.witnesses[party] = free_address(0)
    process = subprocess.Popen(
        [*ARGV, "witness", "run", *where, "--listen", listen],
        env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    world.running.append(process)
    assert process.stderr is not None and "listens on" in process.stderr.readline()


def _await_nodes(world: SealedWorld) -> None:
    """Wait until a head with the node's statement was cosigned."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(Exception):
            if world.client().nodes(world.up["key"]).nodes:
                return
        if time.monotonic() > deadline:
            assert world.client().nodes(world.up["key"]).nodes, "no node was proven"
        time.sleep(0.3)
