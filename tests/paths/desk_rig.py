# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway, a runner and control in a thread, and the desk as the process that it is."""

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.app import wiring
from bastide.app.config import Home, Settings, write_settings
from bastide.app.listening import bind_address
from bastide.app.runner import Runner
from bastide.app.shelf import Shelf
from bastide.core import apikey
from bastide.core.key import Purpose
from bastide.core.receipt import Receipt
from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.dialects import frames
from bastide.gateway.main import run_gateway
from paths.demo import environment
from paths.gateway_rig import (
    KEY,
    MODEL,
    NARROW_KEY,
    PEPPER,
    STRANGE_KEY,
    ScriptedEngine,
    make_snapshot,
)

OTHER_KEY = STRANGE_KEY  # enrolled here, for another tenant


class LiveEngine(ScriptedEngine):
    """As a runner wants it."""

    async def wait(self) -> int:
        await asyncio.sleep(3_600)
        return 0


class DeskRig:
    """`keys` are those of the next snapshot; `receipts` what control was given."""

    def __init__(self, root: Path, file_mb: int) -> None:
        self.home = Home(root)
        for folder in (self.home.run, self.home.log, self.home.desk):
            folder.mkdir(mode=0o700, parents=True)
        self.home.config.write_text(write_settings(Settings("test", file_mb=file_mb)))
        self.engine = LiveEngine()
        self.receipts: list[Receipt] = []
        self.keys = {
            apikey.mac(PEPPER, KEY): KeyGrant("k_wide", "acme", ("*",)),
            apikey.mac(PEPPER, OTHER_KEY): KeyGrant("k_other", "rival", ("*",)),
            apikey.mac(PEPPER, NARROW_KEY): KeyGrant("k_second", "acme", ("*",)),
        }
        self.port = 0
        self._keyring = MemoryKeyring.generate((), SystemEntropy())
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(),), daemon=True
        )
        self._thread.start()
        self.process = self.start_desk()
        assert self._ready.wait(20)
        self.until(self.home.desk_socket.exists)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_desk(self) -> subprocess.Popen[bytes]:
        with (self.home.log / "desk.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bastide.gateway.desk"],
                stdin=subprocess.PIPE,
                stderr=log,
                env=environment(),
            )
        keys = self._keyring.portion((Purpose.STORE,))
        orders = {"home": str(self.home.root), "parent": os.getpid(), "name": "desk", "keys": keys}
        assert process.stdin is not None
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        process.stdin.close()
        return process

    def kill_desk(self, meanwhile: Callable[[Shelf], None] | None = None) -> None:
        """Kill it as a power cut does, and start it again as the supervisor does.

        `meanwhile` may change what it keeps.
        """
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        if meanwhile is not None:
            keyring, entropy = self._keyring, SystemEntropy()
            store = wiring.open_store(self.home.desk, keyring.identities(), (), entropy, tuple)
            meanwhile(Shelf(store, SystemClock(), 86_400, 2**30))
        self.home.desk_socket.unlink(missing_ok=True)
        self.process = self.start_desk()
        self.until(self.home.desk_socket.exists)

    def until(self, true: Callable[[], Any], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, (self.home.log / "desk.log").read_text()[-3000:]
            time.sleep(0.01)

    def log(self) -> str:
        return (self.home.log / "desk.log").read_text()

    def close(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    async def _serve(self) -> None:
        socket = self.home.run / "model.sock"

        async def make() -> LiveEngine:
            return self.engine

        stop_runner = asyncio.Event()
        runner = asyncio.create_task(Runner(make, socket, SystemClock()).run(stop_runner))
        orders = {
            "control_socket": str(self.home.control_socket),
            "desk_socket": str(self.home.desk_socket),
            "pepper": PEPPER.hex(),
        }
        bound = bind_address("127.0.0.1:0")
        self.port = bound.getsockname()[1]
        orders["listen_fd"] = str(os.dup(bound.fileno()))
        async with await asyncio.start_unix_server(self._connect, self.home.control_socket):
            gateway = asyncio.create_task(run_gateway(orders, self._stop))
            await asyncio.sleep(0)
            self._ready.set()
            await gateway
        bound.close()
        stop_runner.set()
        await runner

    def _snapshot(self, version: int) -> Snapshot:
        base = make_snapshot(version)
        socket = str(self.home.run / "model.sock")
        served = {
            name: dataclasses.replace(row, socket=socket) for name, row in base.served.items()
        }
        now_ms = SystemClock().now_ms()
        return dataclasses.replace(base, keys=dict(self.keys), served=served, issued_ms=now_ms)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def push() -> None:
            version = 1
            while True:
                writer.write(frames.encode(0, "snapshot", self._snapshot(version)))
                version += 1
                await asyncio.sleep(0.1)

        pushing = asyncio.create_task(push())
        incoming = frames.FrameReader()
        try:
            while data := await reader.read(65_536):
                for frame in incoming.feed(data):
                    self.receipts.append(frames.decode(frame, Receipt))
                    writer.write(frames.encode(frame.stream, "ok"))
        except ConnectionError:
            pass
        finally:
            pushing.cancel()
            writer.close()


@contextmanager
def desk(file_mb: int = 1_024) -> Generator[DeskRig]:
    """`file_mb` is what one tenant may keep."""
    with tempfile.TemporaryDirectory() as folder:
        rig = DeskRig(Path(folder) / "h", file_mb)
        try:
            yield rig
        finally:
            rig.close()


def lines(count: int, text: str = "Hi", model: str = MODEL) -> bytes:
    """A batch's input."""
    rows = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": f"{text} {number}"}]},
        }
        for number in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
