# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Two machines in one: a second home whose processes cannot see the first one's folder.

B's commands run under bubblewrap, with an empty folder where A's home is, and in a network of their
own whose one cable goes to A and can be pulled, where this machine lets us make one (root); else
over loopback. The TPM is B's.
"""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.first_run import embedded_model
from bastide.app.founding import free_address
from bastide.app.models import add_model
from bastide.stages.admit import Claim
from paths.demo import ARGV, Demo, environment
from paths.loading_rig import state_scores
from paths.swtpm_rig import SoftTpm

__all__ = ["NAME", "Two", "apart", "eventually", "two_machines"]

PATIENCE_S = 90
NAME = "b"
BUILT_IN = Claim("smollm2-135m-instruct", "a package", "Apache-2.0")


class Cable:
    """A network of B's own: a namespace, and two ends of a cable."""

    def __init__(self) -> None:
        mark = os.getpid() % 50_000
        self.namespace, self._ends = f"bastide-b{mark}", (f"bsa{mark}", f"bsb{mark}")
        net = f"10.213.{mark % 250}"
        self.a, self.b = f"{net}.1", f"{net}.2"
        here, there = self._ends
        try:
            self._ip("netns", "add", self.namespace)
            self._ip("link", "add", here, "type", "veth", "peer", "name", there)
            self._ip("link", "set", there, "netns", self.namespace)
            self._ip("addr", "add", f"{self.a}/30", "dev", here)
            self._ip("link", "set", here, "up")
            for words in (
                ("addr", "add", f"{self.b}/30", "dev", there),
                ("link", "set", there, "up"),
                ("link", "set", "lo", "up"),
            ):
                self._ip("-n", self.namespace, *words)
            self.real = True
        except (OSError, subprocess.CalledProcessError):
            self.remove()
            self.real, self.a, self.b = False, "127.0.0.1", "127.0.0.1"

    @property
    def prefix(self) -> tuple[str, ...]:
        """The beginning of a command in B's network."""
        return ("ip", "netns", "exec", self.namespace) if self.real else ()

    def pull(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        self._ip("link", "set", self._ends[0], "down")

    def plug(self) -> None:
        """As before."""
        self._ip("link", "set", self._ends[0], "up")

    def remove(self) -> None:
        """Take it away."""
        for words in (("link", "del", self._ends[0]), ("netns", "del", self.namespace)):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                self._ip(*words)

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Two:
    """Home A with control and gateways, home B with runners."""

    a: Demo
    b: Demo
    tpm: SoftTpm
    cable: Cable
    control: str
    runners: str
    up: dict[str, Any] = field(default_factory=dict)
    agent: subprocess.Popen[bytes] | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        return (*self.cable.prefix, *apart(self.a.home))

    def b_run(self, *args: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """A command on B."""
        return self.b.run(*args, status=status, prefix=self.hidden)

    def start_b(self) -> None:
        """`bastide machine run` on B, in the background."""
        with (self.b.home.parent / "agent.log").open("ab") as file:
            self.agent = subprocess.Popen(
                [*self.hidden, *ARGV, "machine", "run", "--home", str(self.b.home)],
                stdout=file, stderr=file, env=environment(),
            )  # fmt: skip

    def stop_b(self) -> int | None:
        """End it; its exit status."""
        agent, self.agent = self.agent, None
        if agent is None:
            return None
        agent.terminate()
        return agent.wait(PATIENCE_S)

    def told_b(self) -> list[dict[str, Any]]:
        """What B's agent logged."""
        text = (self.b.home.parent / "agent.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def runner_log(self) -> list[dict[str, Any]]:
        """What B's runners logged."""
        paths = sorted((self.b.home / "log").glob("runner-*.log"))
        lines = [line for path in paths for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logs(self) -> str:
        """All of it, for whoever reads why a test failed."""
        found = [*self.a.home.glob("log/*.log"), *self.b.home.glob("log/*.log")]
        found.append(self.b.home.parent / "agent.log")
        parts = (f"== {p}\n{p.read_text()[-3000:]}" for p in found if p.exists())
        return "\n".join(parts)


def apart(folder: Path) -> tuple[str, ...]:
    """The beginning of a command that cannot see a folder."""
    return ("bwrap", "--dev-bind", "/", "/", "--tmpfs", str(folder), "--")


def eventually(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait for a condition; what it gave."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


@contextmanager
def two_machines(factory: pytest.TempPathFactory, name: str) -> Generator[Two]:
    """A runs with `control_listen`, and B has not joined."""
    folder = factory.mktemp(name)
    a, b, tpm = Demo(folder / "a" / "home"), Demo(folder / "b" / "home"), SoftTpm()
    a.run("init", "--listen", free_address(0))
    with open_environment(Home(a.home), read_passphrase(Home(a.home))) as env:
        state_scores(env, add_model(env, embedded_model(), BUILT_IN, None))
    b.home.parent.mkdir()
    cable = Cable()
    control = f"{cable.a}:{free_address(0).rpartition(':')[2]}"
    port = int(free_address(0).rpartition(":")[2])
    config = a.home / "config.toml"
    text, found = re.subn(
        "(?m)^control_listen = .*$", f'control_listen = "{control}"', config.read_text()
    )
    assert found == 1
    config.write_text(text)
    two = Two(a, b, tpm, cable, control, f"{cable.b}:{port}-{port + 3}")
    try:
        two.up = a.json("up")
        yield two
    finally:
        two.stop_b()
        a.run("down", status=None)
        tpm.remove()
        cable.remove()
