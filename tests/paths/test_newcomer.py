# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a newcomer does wrong or interrupts: every answer says what, where and the remedy."""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from paths.conftest import Running
from paths.demo import ARGV, Demo, environment, heard_interrupts

SECRET = "bst_first-line\nsecond-line-of-a-secret"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """An environment that was founded and never started."""
    demo = Demo(tmp_path_factory.mktemp("newcomer") / "home")
    demo.json("init")
    return demo


def shell(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, env=environment(), check=False
    )


@pytest.mark.parametrize(
    "words", [("nope",), ("ledger", "nope"), ("status", "--nope"), ("tenant", "add")]
)
def test_a_usage_error_is_json_too(founded: Demo, words: tuple[str, ...]) -> None:
    row = founded.json(*words, status=2)
    assert set(row) == {"error", "message", "reasons", "fix"}
    assert row["error"] == "misconfigured"
    assert row["fix"].endswith("--help")


def test_a_wrong_api_key_file_shows_no_traceback_and_no_secret(
    running: Running, tmp_path: Path
) -> None:
    file = tmp_path / "key.txt"
    file.write_text(SECRET)
    done = running.run("chat", "Hi", "--api-key-file", str(file), status=2)
    assert "Traceback" not in done.stderr
    assert "second-line" not in done.stderr + done.stdout
    assert "one line" in done.stderr


def test_an_exit_recipient_is_checked_before_anything_is_made(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "home")
    row = demo.json("init", "--exit-recipient", "age1bogus", status=2)
    assert "exit recipient 'age1bogus'" in row["message"]
    assert "age-keygen" in row["fix"]
    assert list(tmp_path.iterdir()) == []


def test_two_that_found_at_once_make_one_environment(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "home")
    both = [demo.popen("init", "--json") for _ in range(2)]
    told = [process.communicate(timeout=60) for process in both]
    assert sorted(process.returncode for process in both) == [0, 3], told
    assert demo.json("ledger", "audit")["entries"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def open_once_read(fifo: Path) -> int:
    """A descriptor that writes to a FIFO, once somebody reads from it: then they wait for us."""
    end = time.monotonic() + 30
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO and time.monotonic() < end, "nobody reads it"
            time.sleep(0.02)


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    os.mkfifo(secret)  # whoever reads it waits
    with heard_interrupts():
        process = Demo(tmp_path / "home").popen("init", "--passphrase-file", str(secret))
    writer = open_once_read(secret)
    os.killpg(process.pid, signal.SIGINT)
    printed, told = process.communicate(timeout=30)
    os.close(writer)
    assert process.returncode == 130
    assert printed == ""
    assert told.strip() == "Interrupted"
    assert not (tmp_path / "home").exists()


def test_a_reader_that_goes_away_is_no_error(founded: Demo) -> None:
    words = " ".join((ARGV[0], ARGV[1], f'"{ARGV[2]}"', "ledger show 0 --home", str(founded.home)))
    done = shell(f"{words} | true; exit ${{PIPESTATUS[0]}}")
    assert done.returncode in (0, 141)
    assert done.stderr == ""


def test_a_taken_port_is_said_before_anything_starts(founded: Demo) -> None:
    listen = next(
        line.split('"')[1]
        for line in (founded.home / "config.toml").read_text().splitlines()
        if line.startswith("listen")
    )
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody else has it: as good
            other.bind(("127.0.0.1", int(listen.rpartition(":")[2])))
        other.listen()
        row = founded.json("up", status=7)
    assert f"cannot listen on {listen}" in row["message"]
    assert "config.toml" in row["fix"]
    assert founded.json("status")["running"] is False


def test_listen_at_a_later_start_is_refused(founded: Demo) -> None:
    row = founded.json("up", "--listen", "127.0.0.1:1", status=2)
    assert "--listen is for the first start" in row["message"]
    assert "config.toml" in row["fix"]


def test_doctor_before_the_first_start_says_so(tmp_path: Path) -> None:
    found = Demo(tmp_path / "deep" / "home").json("doctor")["findings"]
    rows = {row["ident"]: row for row in found}
    assert "there is no environment" in rows["keys"]["seen"]
    assert "bastide up" in rows["keys"]["fix"]
    assert not (tmp_path / "deep").exists()


def test_doctor_warns_of_party_keys_without_a_passphrase(tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    demo = Demo(tmp_path / "home")
    demo.json("init", "--parties", "separate", "--passphrase-file", str(secret))
    seen = [row["seen"] for row in demo.json("doctor")["findings"] if row["ident"] == "parties"]
    assert seen == ["party keys still lie here: firm.key, guardian.key, operator.key"]


def test_what_has_no_such_name_gets_a_remedy(founded: Demo) -> None:
    assert "26 characters" in founded.json("verify", "r_short", status=1)["fix"]
    founded.json("tenant", "add", "acme")
    done = founded.run("key", "new", "--tenant", "acme", "--model", "nope")
    assert "no model is named 'nope'" in done.stderr
    assert done.stdout.startswith("bst_")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_first_start_is_taken_up_by_two_at_once(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "home")
    first = demo.popen("up")
    try:
        deadline = time.monotonic() + 240
        while demo.run("status", status=None).returncode or not demo.json("status")["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        first.kill()
        first.communicate()
        both = [demo.popen("up", "--json") for _ in range(2)]
        told = [process.communicate(timeout=140) for process in both]
        assert [process.returncode for process in both] == [0, 0], told
        rows = [json.loads(printed) for printed, _ in told]
        assert sum(row["key"] is not None for row in rows) == 1, "a key is shown once"
        assert all(row["model"] for row in rows)
        kinds = [row["kind"] for row in demo.json("ledger", "ls")]
        for kind in ("admission/v1", "evaluation/v1", "candidate/v1", "deployment/v1"):
            assert kinds.count(kind) == 1
        demo.json("undeploy", rows[0]["model"])
        assert demo.json("up")["model"] is None, "what was taken out of service stays out"
    finally:
        demo.run("down", status=None)
