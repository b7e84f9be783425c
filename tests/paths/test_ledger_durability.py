# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invariant 3, nothing acknowledged is lost: kills, a full disk, a flipped byte, two processes.

To see these tests fail I once broke the code: with the callers who wait for a leader acknowledged
before its transaction, the kill test missed an acknowledged entry; with `also` called in a
transaction of its own, it found an entry without its companion row.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from bastide.adapters.records.sql import open_records
from bastide.core.errors import BastideError, NotProven, Unavailable
from bastide.core.key import Purpose
from bastide.crypto import merkle, note
from bastide.ledger import Ledger, schema
from unit.ledger_fixture import DATABASE_KEY, ORIGIN, World, make_ledger, refusal

TESTS = Path(__file__).parents[1]
SEED = 20_261_123
KILLS = 50


class Writers:
    """The process of ledger_writer.py, one order at a time."""

    def __init__(self, path: Path) -> None:
        paths = [str(TESTS.parent / "src"), str(TESTS)]
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "paths" / "ledger_writer.py"), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def __enter__(self) -> "Writers":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def order(self, **order: object) -> dict:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture
def world(tmp_path):
    world = make_ledger(tmp_path)
    with schema.writing(world.records) as connection:
        connection.execute(text("CREATE TABLE companion (entry INTEGER PRIMARY KEY)"))
    return world


def _open_checkpoint(world: World, signed: str) -> note.Checkpoint:
    return note.open_checkpoint(signed, ORIGIN, world.signers[Purpose.LEDGER].public)


def _check_acknowledged(world: World, ledger: Ledger, result: dict) -> None:
    """All that was acknowledged is there, under a tree that the last checkpoint leads to."""
    for index, digest in result["acks"]:
        assert str(ledger.envelope(index).digest) == digest
    newest = _open_checkpoint(world, ledger.checkpoint())
    assert newest.size == ledger.size
    if result["checkpoint"]:
        old = _open_checkpoint(world, result["checkpoint"])
        proof = ledger.prove_consistency(old.size, newest.size)
        merkle.verify_consistency(old.size, newest.size, old.root, newest.root, proof)


def _check_companions(world: World, ledger: Ledger) -> None:
    """A companion row exists exactly if its entry does."""
    with world.records.connect() as connection:
        found = connection.execute(text("SELECT entry FROM companion ORDER BY entry")).scalars()
        rows = list(found)
    accompanied = ledger.find("refusal/v1")
    assert rows == [row.entry for row in accompanied if row.subject.name.endswith("-companion")]


@pytest.mark.attacks("C6")
@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_acknowledged(world):
    chance = random.Random(SEED)
    acknowledged = 0
    world.records.dispose()
    with Writers(world.path) as writers:
        for number in range(KILLS):
            result = writers.order(
                round=number,
                writers=1,
                threads=6,
                kill_after=chance.randint(1, 40),
                delay_s=chance.uniform(0, 0.003),
            )
            assert result["statuses"] == [9]
            acknowledged += len(result["acks"])
            ledger = world.reopen()
            _check_acknowledged(world, ledger, result)
            _check_companions(world, ledger)
            if number % 10 == 9:
                ledger.audit()
            ledger._records.dispose()
    assert acknowledged > 5 * KILLS
    assert acknowledged <= world.ledger.size - 1  # an entry may be durable, but not acknowledged


@pytest.mark.slow
def test_two_processes_append_together(world):
    with Writers(world.path) as writers:
        result = writers.order(round=0, writers=2, threads=4, entries=25)
        assert result["statuses"] == [0, 0]
        assert sorted(index for index, _ in result["acks"]) == list(range(1, 201))
        _check_acknowledged(world, world.ledger, result)
        # One of two is killed; the other goes on, and nothing of either is lost.
        killed = writers.order(round=1, writers=2, threads=4, kill_after=60, delay_s=0.001)
        _check_acknowledged(world, world.ledger, killed)
    _check_companions(world, world.ledger)
    world.ledger.audit()


@contextlib.contextmanager
def _small_disk(folder: Path, size: str):
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.attacks("C6")
def test_a_full_disk_writes_nothing_by_halves(tmp_path):
    with _small_disk(tmp_path / "disk", "2m") as disk:
        world = make_ledger(disk)
        ballast = disk / "ballast"
        ballast.write_bytes(b"\0" * 1_000_000)
        acknowledged: dict[int, str] = {}

        def append(number: int) -> bool:
            envelope = world.state(refusal(f"{number}-" + "x" * 2_000))
            try:
                (index,) = world.ledger.append([envelope])
            except Unavailable as error:
                assert "full" in error.message
                return False
            acknowledged[index] = str(envelope.digest)
            return True

        with ThreadPoolExecutor(8) as pool:
            worked = list(pool.map(append, range(400)))
        assert any(worked)
        assert not all(worked)
        assert sorted(acknowledged) == list(range(1, len(acknowledged) + 1))
        assert world.ledger.size == 1 + len(acknowledged)
        assert all(str(world.ledger.envelope(i).digest) == d for i, d in acknowledged.items())

        ballast.unlink()
        assert append(1_000)
        world.reopen().audit()
        world.records.dispose()


@pytest.mark.attacks("C29")
def test_a_flipped_byte_anywhere_in_the_file_is_found(tmp_path):
    world = make_ledger(tmp_path)
    world.ledger.append([world.state(refusal(number)) for number in range(120)])
    world.ledger.rebuild()  # leaves free pages behind, which must be authentic too
    world.records.dispose()
    data = world.path.read_bytes()
    chance = random.Random(SEED)
    places = [0, 15, 16, len(data) - 1, *(chance.randrange(len(data)) for _ in range(60))]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << chance.randrange(8)
        path = tmp_path / "damaged.db"
        path.write_bytes(damaged)
        with pytest.raises(NotProven):
            _audit_file(world, path)
        path.unlink()
    _audit_file(world, world.path)  # and without damage there is nothing to find


def _audit_file(world: World, path: Path) -> None:
    records = open_records(path, DATABASE_KEY)
    try:
        Ledger(records, None, world.clock).audit()
    finally:
        records.dispose()


def test_a_truncated_file_is_found(tmp_path):
    world = make_ledger(tmp_path)
    world.ledger.append([world.state(refusal(number)) for number in range(120)])
    world.records.dispose()
    data = world.path.read_bytes()
    for end in (0, 1, 4_096, len(data) // 2, len(data) - 4_096):
        path = tmp_path / f"cut-{end}.db"
        path.write_bytes(data[:end])
        with pytest.raises(BastideError):
            _audit_file(world, path)
    _audit_file(world, world.path)
