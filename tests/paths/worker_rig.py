# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A founded environment whose services run as `bastide up` starts them, without any model."""

import json
import os
import re
import ssl
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bastide.adapters.clock.system import SystemClock
from bastide.app.config import Home, Settings, read_settings
from bastide.app.services import running_pid, start_services, stop_services
from paths.demo import Demo, environment


@dataclass(frozen=True)
class Services:
    demo: Demo
    home: Home

    @property
    def settings(self) -> Settings:
        return read_settings(self.home)

    @property
    def tls_port(self) -> int:
        return int(self.settings.tls_listen.rpartition(":")[2])

    @property
    def port(self) -> int:
        return int(self.settings.listen.rpartition(":")[2])

    def key(self) -> dict[str, Any]:
        return self.demo.json("key", "new", "--tenant", "acme")

    def trusting(self, *alpn: str) -> ssl.SSLContext:
        """What a client has that was given `public/ca.pem` and nothing else."""
        context = ssl.create_default_context(cafile=str(self.home.authority))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def workers(self) -> list[psutil.Process]:
        pid = running_pid(self.home)
        children = psutil.Process(pid).children() if pid else []
        return [child for child in children if "bastide.gateway" in command(child)]

    def log(self, name: str = "gateway") -> list[dict[str, Any]]:
        lines = (self.home.log / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def command(process: psutil.Process) -> list[str]:
    """What a process runs; nothing if it is over, though its parent has not been told yet."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def set_values(home: Home, **values: Any) -> None:
    """Change settings as a person does, in the file."""
    text = home.config.read_text()
    for name, value in values.items():
        shown = json.dumps(value)
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {shown}", text)
        assert count == 1, name
    home.config.write_text(text)


@contextmanager
def services(root: Path, **values: Any) -> Generator[Services]:
    demo, home = Demo(root), Home(root)
    demo.json("init")
    set_values(home, **values)
    demo.json("tenant", "add", "acme")
    clock = SystemClock()
    # Services inherit it: the sources of this tree, not an installed copy.
    os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
    started = start_services(home, home.unlock.read_text().strip(), clock, time.sleep)
    try:
        started.wait_ready(0, clock, time.sleep)
        yield Services(demo, home)
    finally:
        stop_services(home, clock, time.sleep)
