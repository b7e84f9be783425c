# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Witnesses in processes of their own, beside running services.

Receipts are cosigned, and an operator who rolls the ledger back or forks it is refused, found out
and told.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paths.demo import ARGV, ROOT, Demo, environment
from paths.furnished import served_copy

PATIENCE_S = 60
TOOL = ROOT / "tools" / "verify_receipt.py"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    demo: Demo
    folders: dict[str, Path]
    ports: dict[str, int]

    @contextlib.contextmanager
    def witnesses(self) -> Generator[None]:
        running = [
            subprocess.Popen(
                [*ARGV, "witness", "run", "--dir", str(folder), "--listen", f"127.0.0.1:{port}"],
                env=environment(),
                stderr=subprocess.PIPE,
                text=True,
            )
            for folder, port in zip(self.folders.values(), self.ports.values(), strict=True)
        ]
        try:
            for process in running:
                assert process.stderr is not None
                assert "listens on" in process.stderr.readline()
            yield
        finally:
            for process in running:
                process.terminate()
                process.wait(10)

    def told(self, party: str, words: str) -> str:
        """What the status says of a witness, once it says so."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            said = str(self.demo.json("status")["witnesses"].get(party, ""))
            if words in said:
                return said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def bastide(self, *args: str) -> dict:
        done = subprocess.run(
            [*ARGV, *args, "--json"], env=environment(), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A founded and served demo, with witnesses of firm and guardian that run and are enrolled."""
    folder = tmp_path_factory.mktemp("witnessing")
    demo, _ = served_copy(tmp_path_factory, folder / "home")
    made = World(demo, {}, {})
    for party in ("firm", "guardian"):
        made.folders[party], made.ports[party] = folder / party, _free_port()
        where = ("--dir", str(made.folders[party]))
        made.bastide("witness", "init", *where, "--name", f"{party}.example/w1")
        made.bastide("witness", "watch", str(demo.home / "public" / "keys.json"), *where)
        demo.json("witness", "enrol", *where, "--party", party)
    urls = ", ".join(f"{party}=http://127.0.0.1:{port}" for party, port in made.ports.items())
    config = demo.home / "config.toml"
    config.write_text(config.read_text().replace('witnesses = ""', f'witnesses = "{urls}"'))
    try:
        with made.witnesses():
            demo.json("up")
            yield made
    finally:
        demo.run("down", status=None)


def test_receipts_are_under_heads_that_two_parties_have_seen(world: World, tmp_path: Path) -> None:
    demo = world.demo
    demo.run("chat", "Which town has a wall?")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        bundle = demo.run("receipt", "export", "newest").stdout
        if "witnesses" in json.loads(bundle)["entries"]:
            break
        assert time.monotonic() < deadline, "no head was cosigned"
        time.sleep(0.2)
    file, keys = tmp_path / "receipt.json", demo.home / "public" / "keys.json"
    file.write_text(bundle)
    row = world.bastide("verify", str(file), "--keys", str(keys), "--witnessed", "2")
    assert sorted(row["witnessed"]) == ["firm", "guardian"]
    told = demo.run("verify", str(file), "--keys", str(keys)).stdout
    assert "witnessed by firm, guardian" in told
    short = demo.run("verify", str(file), "--keys", str(keys), "--witnessed", "3", status=6)
    assert "of 2 parties cosigned the head, not of 3" in short.stderr
    done = subprocess.run(
        [sys.executable, "-I", str(TOOL), str(file), "--keys", str(keys), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["witnessed"] == row["witnessed"]


def test_a_tlog_proof_names_both_witnesses(world: World, tmp_path: Path) -> None:
    world.told("guardian", "cosigned")
    file = tmp_path / "0.tlog-proof"
    world.demo.json("ledger", "prove", "0", "--tlog-proof", str(file))
    lines = file.read_text().splitlines()
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 0"]
    assert {line.split()[1] for line in lines if line.startswith("— ")} >= {
        "firm.example/w1", "guardian.example/w1",
    }  # fmt: skip


@pytest.mark.attacks("C106")
def test_a_ledger_that_is_rolled_back_is_refused_and_found(world: World, tmp_path: Path) -> None:
    """The operator puts an older copy of everything in the ledger's place and goes on with it."""
    demo = world.demo
    world.told("firm", "cosigned")
    demo.run("down")
    kept = tmp_path / "older.db"
    shutil.copy(demo.home / "ledger.db", kept)
    demo.json("up")
    demo.json("tenant", "add", "vanishing")
    size = demo.json("ledger", "audit")["entries"]
    world.told("firm", f"cosigned {size} entries")
    head = tmp_path / "head.txt"
    (log,) = world.bastide("witness", "show", "--dir", str(world.folders["firm"]))["logs"]
    head.write_text(log["head"])
    demo.run("down")
    for stale in demo.home.glob("ledger.db-*"):
        stale.unlink()
    shutil.copy(kept, demo.home / "ledger.db")
    demo.json("up")
    for party in world.folders:
        assert "rolled back" in world.told(party, "rolled back")
    refused = demo.run("ledger", "audit", "--head", str(head), status=6)
    assert "rolled back" in refused.stderr

    # It adds other entries until it is longer: a fork, of which the witnesses keep the proof.
    for number in range(6):
        demo.json("tenant", "add", f"other-{number}")
    assert "refused the head (422)" in world.told("firm", "refused the head (422)")
    refused = demo.run("ledger", "audit", "--head", str(head), status=6)
    assert "forked or changed" in refused.stderr
    shown = world.bastide("witness", "show", "--dir", str(world.folders["firm"]))
    assert shown["refused"], "the forked head, signed by the ledger's own key"
