# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A runner on another machine, from the invitation to an answer and to its removal: real services,
a real model, a TPM emulator that speaks for machine B, and a B that cannot see A's folder.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paths.demo import Demo
from paths.furnished import MODEL
from paths.machine_rig import NAME, PATIENCE_S, Two, eventually, two_machines
from paths.swtpm_rig import needs_swtpm
from paths.test_revoking import Stream, stated_s

pytestmark = needs_swtpm


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with two_machines(tmp_path_factory, "machines") as made:
        yield made


@pytest.mark.attacks("C264")
def test_1_a_machine_joins_with_an_invitation(two: Two) -> None:
    a, invitation = two.a, two.b.home.parent / "b.invitation"
    a.json("machine", "add", NAME, "--out", str(invitation))
    assert [row["standing"] for row in a.json("machine", "ls")] == ["invited"]
    tpm = ("--runners", two.runners, "--tpm", two.tpm.tcti)
    two.b_run("machine", "join", str(invitation), *tpm)
    (row,) = a.json("machine", "ls")
    assert row["standing"] == "joined"
    # Nothing of A's is there but public keys: no keyring, no passphrase, no database yet.
    names = {path.name for path in two.b.home.rglob("*") if path.is_file()}
    assert names == {"config.toml", "keys.json", "secrets.json", "certificate.json"}
    # Not a second time with another key, from another place.
    other = two.b.home.parent / "other"
    refused = Demo(other).run("machine", "join", str(invitation), *tpm, status=4)
    assert "was used by another key" in refused.stderr
    assert not (other / "config.toml").exists()


@pytest.mark.attacks("C264")
def test_2_its_runner_answers_and_the_receipt_names_it(two: Two) -> None:
    a = two.a
    values = two.b.home.parent / "values.json"
    two.b_run("node", "measure", "--name", "b", "--out", str(values))
    a.json("node", "reference", str(values))
    old = two.b.home / "store" / "models" / f"replaced.{'0' * 32}.body"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"sealed")  # of a deployment of before
    two.start_b()
    eventually(lambda: any(row["event"] == "follows" for row in two.told_b()), "no replica")
    a.json("deploy", MODEL, "--machine", NAME)
    try:
        told = eventually(lambda: a.json("status")["elsewhere"].get(MODEL), "B does not serve")
    except AssertionError:
        raise AssertionError(two.logs()) from None
    assert told == {"machine": NAME, "connected": True, "loaded": True}
    assert not old.exists()
    answer = a.json("chat", "What is a bastide?", "--max-tokens", "8")
    assert answer["answer"], two.logs()
    bundle = a.json("receipt", "export", answer["receipt"])
    assert bundle["receipt"]["node"] == NAME
    path = two.b.home.parent / "receipt.json"
    path.write_text(json.dumps(bundle))
    anchors = str(two.b.home / "public" / "keys.json")
    assert "software TPM" in two.b_run("verify", str(path), "--keys", anchors).stdout


def runner_of_b(two: Two) -> int:
    """The process id of B's runner."""
    told = subprocess.run(
        ["pgrep", "-f", "bastide.app.runner_main"], capture_output=True, text=True
    )
    for pid in map(int, told.stdout.split()):
        if Path(f"/proc/{pid}/cwd").readlink() == two.b.home / "run":
            return pid
    raise AssertionError("B has no runner")


def answers(two: Two) -> bool:
    """Whether the model on B answers."""
    asked = two.a.run("chat", "Say yes.", "--max-tokens", "4", "--json", status=None)
    return asked.returncode == 0


def verify_ended(two: Two, stream: Stream) -> None:
    """A stream ended with an error event, and its receipt says what was sent, no more."""
    assert stream.over.wait(PATIENCE_S), "the stream goes on"
    last = json.loads(stream.lines[-1][1])
    assert last["error"]["message"], last
    receipt = two.a.json("receipt", "export", "newest")["receipt"]
    assert (receipt["node"], receipt["finish"]) == (NAME, "error")
    assert receipt["completion_tokens"] >= len(stream.lines) - 3 > 0


@pytest.mark.attacks("C265")
def test_3_a_killed_runner_ends_its_streams_and_comes_back(two: Two) -> None:
    stream = Stream().start(two.up["gateway_url"], two.up["key"], MODEL)
    os.kill(runner_of_b(two), signal.SIGKILL)
    verify_ended(two, stream)
    eventually(lambda: answers(two), "B does not come back")
    # Both operators read what happened: why here, from where there.
    restarts = [row for row in two.told_b() if row["event"] == "restart"]
    assert restarts[-1]["why"] == "it was killed by SIGKILL"
    rows = map(json.loads, (two.a.home / "log" / "gateway.log").read_text().splitlines())
    away = [row for row in rows if row["event"] == "runner-away"]
    assert away and away[0]["runner"].startswith(two.runners.partition("-")[0].rpartition(":")[0])


def test_3_what_a_killed_gateway_was_sent_is_billed(two: Two) -> None:
    """The runner on B says what it handed over, to which process, and control knows that one."""
    stream = Stream().start(two.up["gateway_url"], two.up["key"], MODEL)
    (gateway,) = services_of(two, "bastide.gateway\0")
    os.kill(gateway, signal.SIGKILL)
    assert stream.over.wait(PATIENCE_S)

    def newest() -> Any:
        row = two.a.json("receipt", "export", "newest")["receipt"]
        return row if row["finish"] == "cut" else None

    receipt = eventually(newest, "nobody states the answer")
    assert receipt["node"] == NAME
    assert receipt["completion_tokens"] >= len(stream.lines) - 2 > 0


@pytest.mark.attacks("C265")
def test_4_control_may_be_killed(two: Two) -> None:
    fetched = [row for row in two.runner_log() if row["event"] == "fetched"]
    (control,) = services_of(two, "bastide.app.control\0")
    os.kill(control, signal.SIGKILL)
    eventually(lambda: answers(two), "nobody answers")
    assert two.a.json("status")["elsewhere"][MODEL]["connected"]
    assert fetched[0]["bytes"] > 1_000_000
    assert all(row["bytes"] == 0 for row in fetched[1:]), "weights were fetched twice"


@pytest.mark.attacks("C265")
def test_5_a_cut_network_is_noticed_and_heals(two: Two) -> None:
    if not two.cable.real:
        pytest.skip("no network namespace can be made here")
    stream = Stream().start(two.up["gateway_url"], two.up["key"], MODEL)
    two.cable.pull()
    began = time.monotonic()
    verify_ended(two, stream)
    assert time.monotonic() - began < PATIENCE_S
    two.cable.plug()
    eventually(lambda: answers(two), "B does not come back")


@pytest.mark.attacks("C262")
def test_6_a_removed_machine_is_cut_off_within_a_second(two: Two) -> None:
    stream = Stream().start(two.up["gateway_url"], two.up["key"], MODEL)
    assert bodies_of(two)
    two.a.json("machine", "remove", NAME, "--reason", "sold")
    stream.verify_cut(stated_s(two.a, "machine-end/v1"), "deployment was revoked")
    (reasons,) = two.a.json("status")["stopped"].values()
    assert any("the machine b was removed" in reason for reason in reasons)
    assert two.agent is not None
    assert two.agent.wait(PATIENCE_S) == 4
    text = (two.b.home.parent / "agent.log").read_text()
    assert "the machine b was removed in entry" in text
    # It talks to control, so it hears that it shall keep nothing.
    assert bodies_of(two) == []
    # It does not come back, and nothing is deployed there.
    late = two.b.home / "store" / "models" / f"late.{'0' * 32}.body"
    late.write_bytes(b"sealed")  # as if it had been off when it was removed
    refused = two.b_run("machine", "run", status=4)
    assert "was removed" in refused.stderr
    assert bodies_of(two) == []
    two.a.run("deploy", MODEL, "--machine", NAME, "--replicas", "2", status=3)
    two.a.run("ledger", "audit")


def bodies_of(two: Two) -> list[Path]:
    """The sealed bodies on B's disk, and what has come of others."""
    return [*two.b.home.rglob("*.body"), *two.b.home.glob("machine/fetched/*/*")]


def services_of(two: Two, module: str) -> list[int]:
    """A's processes of one module."""
    pid = int((two.a.home / "run" / "supervisor.lock").read_text())
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    found = [int(text) for text in told.split()]
    return [child for child in found if module in Path(f"/proc/{child}/cmdline").read_text()]
