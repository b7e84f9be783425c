# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Three custodians hold the keyring: two start the services, one does not; nothing is on the disk.

To see these tests fail I once broke the code: with the passphrase also written to a file of the
home, `test_no_plaintext_on_the_disk` failed; without a share's digest, that of wrong shares.
"""

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bastide.app.quorum import Collected, open_share
from paths.demo import Demo
from paths.quorum_rig import PARTIES, found_quorum, identity, share_of


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    """An environment of three custodians, and the folder of their own keys."""
    return found_quorum(tmp_path_factory.mktemp("quorum"))


def _secrets(people: Path, record: Any) -> list[bytes]:
    """All that must be nowhere: the passphrase and every share, in hex and as bytes."""
    collected = Collected(record)
    for number, party in enumerate(PARTIES, start=1):
        text = (people / f"{party}.share.age").read_text()
        collected.add(open_share(text, [identity(number)]))
    found = [bytes.fromhex(collected.passphrase()), collected.passphrase().encode()]
    for share in collected.shares.values():
        found += [share.data, share.data.hex().encode()]
    return found


def test_locked_is_locked(founded: tuple[Demo, Path]) -> None:
    demo, _ = founded
    row = demo.json("ledger", "ls", status=4)
    assert "two custodians" in row["fix"]


@pytest.mark.attacks("C124")
def test_one_custodian_starts_nothing(founded: tuple[Demo, Path]) -> None:
    demo, people = founded
    party = "operator"
    row = demo.json("unseal", *share_of(people, party), "--wait", "0", status=4)
    assert row["message"] == f"1 of 2 shares: {party}"
    twice = share_of(people, party) * 2
    assert demo.json("unseal", *twice, "--wait", "0", status=4)["message"] == row["message"]
    assert not demo.json("status")["running"]


def test_two_start_the_services(founded: tuple[Demo, Path]) -> None:
    """Which two does not matter: unit/test_quorum.py has every pair."""
    demo, people = founded
    pair = ("firm", "guardian")
    first = demo.popen("unseal", *share_of(people, pair[0]), "--for", "2", "--json")
    assert first.stderr is not None
    assert "1 more to come" in first.stderr.readline()
    while not (demo.home / "run" / "unseal.sock").exists():
        assert first.poll() is None
    # Who has no share gets nothing meanwhile, and a wrong share is refused by name.
    assert demo.json("ledger", "ls", status=4)["error"] == "not-allowed"
    handed = demo.json("unseal", *share_of(people, pair[1]))
    assert handed == {"handed_over": [pair[1]], "missing": 0}
    assert first.stdout is not None
    told = [first.stdout.readline() for _ in range(8)]
    assert '"unsealed": true' in "".join(told)
    try:
        assert demo.json("status")["running"]
        # The third is not needed any more, and a socket that answers is not taken away.
        late = demo.json("unseal", *share_of(people, "operator"))
        assert late == {"handed_over": ["operator"], "missing": 0}
        # Commands work for the two minutes, also the ceremony's.
        audited = demo.json("ledger", "audit")
        _ceremony(demo, people, pair, audited["entries"])
    finally:
        first.terminate()
        first.wait(10)
        demo.run("down")
    assert demo.json("ledger", "ls", status=4)["error"] == "not-allowed", "forgotten"


def test_a_socket_that_a_kill_left_behind(founded: tuple[Demo, Path]) -> None:
    demo, people = founded
    path = demo.home / "run" / "unseal.sock"
    for _ in range(2):
        first = demo.popen("unseal", *share_of(people, "firm"))
        assert first.stderr is not None
        first.stderr.readline()
        # The second removes what the first left, and makes its own: not to be killed in between.
        while not _listens(path):
            assert first.poll() is None
        first.kill()
        first.wait(10)
    assert path.exists()
    row = demo.json("unseal", *share_of(people, "operator"), "--wait", "0", status=4)
    assert row["message"] == "1 of 2 shares: operator"
    assert not path.exists()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _ceremony(demo: Demo, people: Path, pair: tuple[str, str], entry: int) -> None:
    out = people / f"{'-'.join(pair)}.md"
    held = demo.json("ceremony", "--present", "Ada Byron, firm", "--out", str(out))
    text = out.read_text()
    assert held["entry"] == entry
    keys = json.loads((demo.home / "public" / "keys.json").read_text())
    assert keys["charter"] in text
    assert all(key["id"] in text for key in keys["keys"])
    assert "Ada Byron" in text
    assert "Ada" not in demo.run("ledger", "show", str(entry)).stdout
    assert demo.json("ceremony", "--check", str(out))["entry"] == entry
    out.with_suffix(".forged").write_text(text.replace("Ada", "Eve"))
    forged = demo.json("ceremony", "--check", str(out.with_suffix(".forged")), status=None)
    assert forged["error"] == "not-proven"


@pytest.mark.attacks("C124")
def test_wrong_shares_are_named(founded: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, people = founded
    swapped = (
        "--share",
        str(people / "firm.share.age"),
        "--identity",
        str(people / "guardian.txt"),
    )
    row = demo.json("unseal", *swapped, "--wait", "0", status=4)
    assert "another custodian's key" in row["message"]
    opened = subprocess.run(
        [shutil.which("age") or "age", "-d", "-i", people / "firm.txt", people / "firm.share.age"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    share = json.loads(opened)
    both = ("--share", "-", *share_of(people, "operator"), "--wait", "0")
    damaged = json.dumps({**share, "share": "00" + share["share"][2:]})
    row = demo.json("unseal", *both, status=None, stdin=damaged)
    assert "share of the firm is damaged" in row["message"]
    foreign = json.dumps({**share, "environment": "bastide.local/other"})
    row = demo.json("unseal", *both, status=None, stdin=foreign)
    assert "share of the firm is of another environment" in row["message"]
    # An opened share comes through a pipe, never from a disk.
    (tmp_path / "opened").write_text(opened)
    row = demo.json("unseal", "--share", str(tmp_path / "opened"), status=None)
    assert "delete it" in row["message"]
    # Right shares of a keyring that was exchanged: said so, and nothing starts.
    keyring = demo.home / "keyring.age"
    kept = keyring.read_bytes()
    other = Demo(tmp_path / "other")
    other.json("init")
    keyring.write_bytes((other.home / "keyring.age").read_bytes())
    row = demo.json("unseal", "--share", "-", *share_of(people, "guardian"), stdin=opened, status=4)
    assert "does not open" in row["message"]
    keyring.write_bytes(kept)
    assert not demo.json("status")["running"]


@pytest.mark.attacks("C125")
def test_no_plaintext_on_the_disk(founded: tuple[Demo, Path]) -> None:
    """After founding, unsealing, ceremonies and errors: no passphrase and no share, anywhere."""
    demo, people = founded
    hunted = _secrets(people, json.loads((demo.home / "public" / "quorum.json").read_text()))
    files = [path for path in demo.home.parent.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        data = path.read_bytes()
        assert not any(secret in data for secret in hunted), path


@pytest.mark.attacks("C124")
def test_a_quorum_leaves_no_other_door(tmp_path: Path) -> None:
    recipients = [f"{party}={identity(n).recipient()}" for n, party in enumerate(PARTIES, 1)]
    quorum = [word for text in recipients for word in ("--quorum", text)]
    demo = Demo(tmp_path / "home")
    exit_ = ("--exit-recipient", str(identity(9).recipient()))
    for wrong, why in (
        (("--parties", "separate", *quorum), "exit-recipient"),
        (("--parties", "solo", *exit_, *quorum), "separate"),
        (("--parties", "separate", *exit_, *quorum[:4]), "three custodians"),
        (("--parties", "separate", *exit_, *quorum[:4], *quorum[:2]), "PARTY=VALUE"),
    ):
        row = demo.json("init", *wrong, status=None)
        assert why in row["message"], row
        assert not demo.home.exists()
