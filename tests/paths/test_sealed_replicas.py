# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A sealed client before two attested replicas, over TLS of the environment's own authority.

Real processes: services, two engines, a TPM emulator, two witnesses. One replica is killed while
clients ask; at the end its machine is revoked.
"""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app.sealed_client import SealedClient
from bastide.app.sealed_gateway import Gateway
from bastide.core.errors import BastideError, NotFound
from bastide.ledger.verify_nodes import KnownNode, Trust
from paths.demo import ARGV, ROOT, environment
from paths.sealed_rig import SealedWorld, sealed_world
from paths.swtpm_rig import needs_swtpm

pytestmark = [needs_swtpm, pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE_S = 150


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealedWorld]:
    with sealed_world(tmp_path_factory.mktemp("replicas")) as made:
        made.demo.json("deploy", made.up["model"], "--replicas", "2")
        yield made


@pytest.fixture(scope="module")
def client(world: SealedWorld) -> SealedClient:
    """It has `keys.json`, `ca.pem` and an API key, and nothing else."""
    context = ssl.create_default_context(cafile=str(world.demo.home / "public" / "ca.pem"))
    anchors = json.loads(world.keys.read_bytes())
    gateway = Gateway(https(world), context)
    made = SealedClient(
        gateway, anchors, SystemClock(), SystemEntropy(), Trust(2), None, tokens_max=64
    )
    proven(made, world)
    return made


def https(world: SealedWorld) -> str:
    config = (world.demo.home / "config.toml").read_text()
    address = next(row for row in config.splitlines() if row.startswith("tls_listen = "))
    return f"https://{json.loads(address.partition(' = ')[2])}"


def proven(client: SealedClient, world: SealedWorld) -> tuple[KnownNode, ...]:
    """The nodes of both replicas, once they are proven."""
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(BastideError):
            found = client.nodes(world.up["key"], fresh=True).nodes
            told = len({row.deployment for row in found})
            assert told <= 1, "what loads to take another's place is asked by nobody yet"
            if sorted(row.replica for row in found) == [1, 2]:
                return found
        assert time.monotonic() < end, "the nodes were not proven"
        time.sleep(0.3)


def ask(client: SealedClient, world: SealedWorld) -> KnownNode:
    """One answer, opened and verified to its end; who gave it."""
    row = {"role": "user", "content": "What is a bastide?"}
    body = {"model": world.up["model"], "max_tokens": 4, "messages": [row]}
    answer = client.ask(world.up["key"], "/v1/chat/completions", "", {}, json.dumps(body).encode())
    told: dict[str, Any] = json.loads(answer.read())
    assert answer.status == 200 and told["choices"][0]["message"]["content"]
    assert answer.end is not None
    return answer.node


def runner(node: KnownNode) -> int:
    """The process of a replica, by the socket that it listens at."""
    name = f"runner-{node.deployment.removeprefix('sha256:')[:16]}"
    name += "" if node.replica == 1 else f"-{node.replica}"
    inodes = {
        row.split()[6]
        for row in Path("/proc/net/unix").read_text().splitlines()[1:]
        if row.endswith(f"/{name}.sock") and row.split()[5] == "01"
    }
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"bastide.app.runner_main" not in words:
                continue
            links = {str(path.readlink()) for path in (folder / "fd").iterdir()}
            if any(f"socket:[{inode}]" in links for inode in inodes):
                return int(folder.name)
    raise AssertionError(f"nobody listens at {name}.sock")


def test_both_replicas_are_proven_and_used(world: SealedWorld, client: SealedClient) -> None:
    nodes = {row.statement: row.replica for row in client.nodes(world.up["key"]).nodes}
    assert sorted(nodes.values()) == [1, 2]
    used = {ask(client, world).replica for _ in range(10)}
    assert used == {1, 2}, "by chance: one of two is not chosen in one of 512 runs"


@pytest.mark.attacks("C248")
def test_one_that_dies_is_passed_over_and_comes_back_with_another_key(
    world: SealedWorld, client: SealedClient
) -> None:
    before = {row.replica: row for row in proven(client, world)}
    os.kill(runner(before[1]), signal.SIGKILL)
    # The client still holds the dead one for proven: it finds out by asking.
    answered = [ask(client, world) for _ in range(6)]
    assert any(node.statement == before[2].statement for node in answered)
    assert all(node.statement != before[1].statement for node in answered), "its key is gone"
    end = time.monotonic() + PATIENCE_S
    while not any(
        row.replica == 1 and row.hpke != before[1].hpke
        for row in client.nodes(world.up["key"], fresh=True).nodes
    ):
        assert time.monotonic() < end, "it did not join again"
        time.sleep(0.3)
    while ask(client, world).replica != 1:
        assert time.monotonic() < end, "it is not asked again"


def test_the_commands_ask_over_tls_and_trust_no_other_authority(
    world: SealedWorld, client: SealedClient
) -> None:
    assert len(proven(client, world)) == 2
    home = world.demo.home
    key = world.folder / "api-key"
    key.write_text(world.up["key"])
    where = ("--gateway", https(world), "--keys", str(world.keys), "--api-key-file", str(key))
    asked = [*ARGV, "sealed", "nodes", *where, "--state", str(world.folder / "tls-head.json")]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*asked, *more, "--json"], env=environment(), capture_output=True, text=True, cwd=ROOT,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    done = run("--ca", str(home / "public" / "ca.pem"))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["nodes"]) == 2
    refused = run()
    assert refused.returncode != 0
    assert "certificate" in refused.stdout + refused.stderr
    assert "--ca" in refused.stdout + refused.stderr, "it says what to do"


@pytest.mark.attacks("C248")
def test_when_no_node_is_proven_nothing_is_sent(world: SealedWorld, client: SealedClient) -> None:
    """Last: it ends the service. One machine has both replicas, and is revoked."""
    (name,) = {row.name for row in client.nodes(world.up["key"]).nodes}
    world.demo.json("revoke", "node", name, "--reason", "stolen at night")
    end = time.monotonic() + PATIENCE_S
    while client.nodes(world.up["key"], fresh=True).nodes:
        assert time.monotonic() < end, "they are told and proven still"
        time.sleep(0.3)
    with pytest.raises(NotFound, match="no proven node serves the model"):
        ask(client, world)
