# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invariant 8, zero outbound connections: the whole road, from `up` to a verified answer, in a
network namespace where the kernel counts every attempt to reach another machine.

Broken once to prove the test: a control process that looks up one name, or connects to one address
outside, at its start and forgets about it, is counted.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paths.demo import ARGV, environment
from paths.test_offline_verify import UNSHARE, refusal

DRIVER = Path(__file__).with_name("outbound_driver.py")
pytestmark = pytest.mark.skipif(bool(refusal), reason=f"no network namespace: {refusal}")


def run(commands: list[list[str]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*UNSHARE, sys.executable, str(DRIVER)],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        ("AF_INET", "SOCK_STREAM", "192.0.2.1"),
        ("AF_INET", "SOCK_DGRAM", "192.0.2.1"),
        ("AF_INET6", "SOCK_STREAM", "2001:db8::1"),
    ],
)
def test_an_attempt_is_counted(family: str, kind: str, address: str) -> None:
    code = (
        "import socket\n"
        f"with socket.socket(socket.{family}, socket.{kind}) as probe:\n"
        f"    probe.connect_ex(('{address}', 443))\n"
    )
    (result,) = run([[sys.executable, "-c", code]])
    assert result["status"] == 0, result["output"]
    assert result["unroutable"] >= 1


@pytest.mark.attacks("C59")
@pytest.mark.slow
def test_nothing_ever_tries_to_leave_the_machine(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    deeds = (
        ("up",),
        ("chat", "What is the capital of Sweden?", "--max-tokens", "8"),
        ("verify", "newest"),
        ("status",),
        ("doctor", "--json"),
        ("ledger", "audit"),
        ("down",),
    )
    results = run([[*ARGV, *deed, *home] for deed in deeds])
    for deed, result in zip(deeds, results, strict=True):
        if deed[0] == "doctor":  # its exit status is about this machine
            findings = {row["ident"]: row for row in json.loads(result["output"])["findings"]}
            seen = findings["sockets"]["seen"]
            # An ordinary user's namespace does not see into the engine's own, inner one.
            inner = os.geteuid() != 0 and seen.startswith("1 of ")
            assert findings["sockets"]["state"] == ("warn" if inner else "ok"), seen
        else:
            assert result["status"] == 0, (deed, result["output"])
        assert result["unroutable"] == 0, (deed, result["output"])
