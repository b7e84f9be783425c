# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A custodian leaves: the quorum splits itself again, and the old shares open nothing.

To see these tests fail I once broke the code: with the old passphrase kept, and with no look at
the ledger, `test_a_new_custodian_opens_and_the_old_shares_are_dead` failed; with any purpose taken,
`test_nobodys_share_is_used_for_other_custodians`; without the record that names the next set, or
with it written after the keyring, `test_a_kill_leaves_one_set_of_shares_that_opens`.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paths.demo import ROOT, Demo, driver_environment
from paths.quorum_rig import PARTIES, found_quorum, identity, share_of

LEAVES = "guardian"
NEW = f"{LEAVES}={identity(7).recipient()}"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    return found_quorum(tmp_path_factory.mktemp("resplit"))


def state(demo: Demo) -> dict[str, bytes]:
    return {name: (demo.home / name).read_bytes() for name in ("keyring.age", "public/quorum.json")}


def waiting(demo: Demo, *arguments: str) -> subprocess.Popen[str]:
    """A custodian who waits for another."""
    first = demo.popen(*arguments, "--json")
    assert first.stderr is not None
    assert "1 more to come" in first.stderr.readline()
    while not (demo.home / "run" / "unseal.sock").exists():
        assert first.poll() is None
    return first


@pytest.mark.attacks("C279")
def test_one_custodian_splits_nothing(founded: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, people = founded
    before, out = state(demo), tmp_path / "shares"
    arguments = ("resplit", "--custodian", NEW, *share_of(people, "operator"), "--wait", "0")
    row = demo.json(*arguments, "--out", str(out), status=4)
    assert row["message"] == "1 of 2 shares: operator"
    assert state(demo) == before
    assert not out.exists()


def test_what_will_be_refused_is_refused_before_a_second_custodian_comes(
    founded: tuple[Demo, Path], tmp_path: Path
) -> None:
    demo, people = founded
    mine = (*share_of(people, "operator"), "--out", str(tmp_path))
    row = demo.json("resplit", "--custodian", NEW, *mine, status=2)
    assert row["message"] == f"{tmp_path} exists already"
    mine = (*share_of(people, "operator"), "--out", str(tmp_path / "new"))
    twice = f"{LEAVES}={identity(1).recipient()}"  # the firm's
    row = demo.json("resplit", "--custodian", twice, *mine, status=2)
    assert "each a key of its own" in row["message"]


@pytest.mark.attacks("C279")
def test_nobodys_share_is_used_for_other_custodians(
    founded: tuple[Demo, Path], tmp_path: Path
) -> None:
    """Neither that of who only unseals, nor that of who agreed to somebody else."""
    demo, people = founded
    before, out = state(demo), tmp_path / "shares"
    mine = share_of(people, "operator")
    first = waiting(demo, "resplit", "--custodian", NEW, *mine, "--out", str(out))
    try:
        other = f"{LEAVES}={identity(8).recipient()}"
        for said in (("unseal",), ("resplit", "--custodian", other)):
            row = demo.json(*said, *share_of(people, "firm"), status=4)
            assert "for something else" in row["message"]
    finally:
        first.kill()
        first.wait(10)
    assert state(demo) == before
    first = waiting(demo, "unseal", *mine)
    try:
        asked = ("resplit", "--custodian", NEW, *share_of(people, "firm"), "--out", str(out))
        assert "for something else" in demo.json(*asked, status=4)["message"]
    finally:
        first.kill()
        first.wait(10)
    assert not out.exists()


@pytest.mark.attacks("C279")
def test_a_new_custodian_opens_and_the_old_shares_are_dead(
    founded: tuple[Demo, Path], tmp_path: Path
) -> None:
    demo, people = founded
    before = state(demo)
    now = tmp_path / "people"
    row = split(demo, people, now)
    # The old ones are refused by name.
    for party in PARTIES:
        told = demo.json("unseal", *share_of(people, party), "--wait", "0", status=6)
        assert told["message"] == f"the share of the {party} is of another quorum"
    # Two of the new ones start the services, the new custodian too, and the ledger says so.
    opened = unsealed(demo, now, ("firm", LEAVES), "--for", "1")
    try:
        listed = demo.json("ledger", "ls", "--kind", "quorum/v1")
        assert [one["entry"] for one in listed] == [row["entry"]]
        body = demo.json("ledger", "show", str(row["entry"]))["statement"]["predicate"]
        assert {one["custodian"]: one["recipient"] for one in body["custodians"]} == {
            "firm": str(identity(1).recipient()),
            "operator": str(identity(2).recipient()),
            LEAVES: str(identity(7).recipient()),
        }
        assert str(identity(7).recipient()) in demo.run("ceremony", "--present", "Ada").stdout
        refused = demo.json(
            "resplit", "--custodian", NEW, *share_of(now, "firm"), *share_of(now, "operator"),
            "--out", str(tmp_path / "again"), "--wait", "0", status=4,
        )  # fmt: skip
        assert "no shares are collected now" in refused["message"]
    finally:
        opened.terminate()
        opened.wait(10)
        demo.run("down")
    # Nor with keyring and record put back as they were: the ledger knows better.
    after = state(demo)
    for name, data in before.items():
        (demo.home / name).write_bytes(data)
    pair = (*share_of(people, "firm"), *share_of(people, LEAVES))
    told = demo.json("unseal", *pair, status=3)
    assert told["message"] == f"these shares were replaced in entry {row['entry']}"
    assert not demo.json("status")["running"]
    for name, data in after.items():
        (demo.home / name).write_bytes(data)


def test_it_is_refused_while_the_services_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("runs")  # short: a socket's path is
    demo, people = found_quorum(folder)
    opened = unsealed(demo, people, ("firm", "operator"))
    assert opened.wait(60) == 0
    try:
        pair = (*share_of(people, "firm"), *share_of(people, "operator"))
        row = demo.json("resplit", "--custodian", NEW, *pair, "--out", str(folder / "n"), status=3)
        assert row["fix"] == "bastide down"
    finally:
        demo.run("down")


@pytest.mark.slow
@pytest.mark.attacks("C280")
def test_a_kill_leaves_one_set_of_shares_that_opens(tmp_path: Path) -> None:
    demo, people = found_quorum(tmp_path)
    demo.home.rename(tmp_path / "prepared")
    assert people == tmp_path / "people"
    driver = [sys.executable, str(ROOT / "tests/paths/resplit_driver.py")]
    done = subprocess.run(
        [*driver, str(tmp_path)],
        capture_output=True, text=True, env=driver_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def split(demo: Demo, people: Path, now: Path) -> Any:
    """Two custodians split the quorum; `now` is what everybody holds then."""
    arguments = ("resplit", "--custodian", NEW)
    first = waiting(demo, *arguments, *share_of(people, "operator"), "--out", str(now))
    handed = demo.json(*arguments, *share_of(people, "firm"))
    assert handed == {"handed_over": ["firm"], "missing": 0}
    told, _ = first.communicate(timeout=60)
    assert first.returncode == 0
    row = json.loads(told)
    assert sorted(map(Path, row["shares"])) == sorted(now / f"{one}.share.age" for one in PARTIES)
    for party in PARTIES:
        shutil.copy(people / f"{party}.txt", now)
    (now / f"{LEAVES}.txt").write_text(f"{identity(7).secret()}\n")
    return row


def unsealed(demo: Demo, people: Path, pair: tuple[str, str], *more: str) -> subprocess.Popen[str]:
    """Two custodians start the services."""
    first = waiting(demo, "unseal", *share_of(people, pair[0]), *more)
    assert demo.json("unseal", *share_of(people, pair[1]))["missing"] == 0
    assert first.stdout is not None
    assert '"unsealed": true' in "".join(first.stdout.readline() for _ in range(8))
    return first
