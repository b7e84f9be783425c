# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that listen to streams of a gateway process, and how that process is started."""

import asyncio
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from paths.gateway_rig import KEY, PEPPER, request_bytes
from paths.passes import passing

PATIENCE_S = 60


@dataclass
class Heard:
    """What one client got."""

    ident: str = ""
    text: str = ""
    failed: bool = False  # an error event came
    ended: bool = False  # the answer was whole, as far as a client can tell

    @property
    def words(self) -> int:
        """How many tokens of the fake engine these are."""
        return len(self.text.split())


def asking(
    model: str,
    words: int,
    stream: bool = True,
    key: str = KEY,
    question: str = "Which town has a wall?",
) -> tuple[bytes, bytes]:
    """A request for one answer of so many words, and its body."""
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": words,
            "stream": stream,
        }
    ).encode()
    return request_bytes(body, headers="Connection: close\r\n", key=key), body


async def listen(port: int, begun: asyncio.Semaphore, ask: bytes) -> Heard:
    """Ask, and hear what comes to its end. `begun` is released at the first word."""
    heard = Heard()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ask)
    started = False
    try:
        while line := await reader.readline():
            if line.lower().startswith(b"x-bastide-receipt: "):
                heard.ident = line.split()[1].decode()
            elif line.startswith(b"data: [DONE]") or line == b"0\r\n":
                heard.ended = True
            elif line.startswith(b"data: "):
                row = json.loads(line[6:])
                heard.failed |= "error" in row
                said = "".join(
                    choice["delta"].get("content", "") for choice in row.get("choices", ())
                )
                heard.text += said
                if said and not started:
                    started = True
                    begun.release()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return heard


async def started(gateway: subprocess.Popen[str], log: Path, control: str, *runners: Path) -> int:
    """Give the gateway its orders; the port, once it and every runner are ready."""
    orders = {
        "listen": "127.0.0.1:0",
        "control_socket": control,
        "credential": passing("gateway"),
        "pepper": PEPPER.hex(),
        "parent": os.getpid(),
    }
    assert gateway.stdin is not None
    gateway.stdin.write(json.dumps(orders) + "\n")
    gateway.stdin.flush()
    async with asyncio.timeout(PATIENCE_S):
        while not (all(runner.exists() for runner in runners) and '"ready"' in log.read_text()):
            assert gateway.poll() is None, log.read_text()
            await asyncio.sleep(0.02)
    rows = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    (ready,) = (row for row in rows if row["event"] == "ready")
    port = int(ready["listen"].rpartition(":")[2])
    async with asyncio.timeout(PATIENCE_S):
        while not await _fresh(port):
            await asyncio.sleep(0.02)
    return port


async def _fresh(port: int) -> bool:
    """True once the gateway has control's snapshot: it listens before, and refuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        return (await reader.readline()).split()[1] == b"200"
    finally:
        writer.close()
