# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A log that nobody reads holds up no service, and what is missing from it is counted."""

import json
import os
import subprocess
import sys

import pytest

from bastide.app.process import LogLines
from paths.demo import environment

DRIVER = """
import sys
from bastide.app.process import enter_service, log
enter_service("test")
for number in range(20_000):
    log("test", "line", lambda: 1, number=number, text="x" * 100)
print("done", flush=True)
sys.stdin.readline()
log("test", "last", lambda: 1)
"""


@pytest.mark.attacks("C95")
def test_a_full_pipe_holds_up_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(json.dumps({"parent": os.getpid()}).encode() + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"done\n"  # with nobody reading its log
    os.set_blocking(process.stderr.fileno(), False)
    seen = b""
    while piece := process.stderr.read():
        seen += piece
    os.set_blocking(process.stderr.fileno(), True)
    process.stdin.write(b"\n")
    process.stdin.close()
    seen += process.stderr.read()
    assert process.wait(20) == 0
    rows = [json.loads(line) for line in seen.splitlines()]  # every line is whole
    lines = [row for row in rows if row["event"] == "line"]
    assert [row["number"] for row in lines] == list(range(len(lines)))
    assert 0 < len(lines) < 20_000
    *_, missing, last = rows
    assert (missing["event"], last["event"]) == ("log-lines-dropped", "last")
    assert missing["count"] == 20_000 - len(lines)


def test_lines_larger_than_a_pipe_are_never_torn() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    made = LogLines(writing)
    seen = b""
    for size in (100_000, 10, 70_000, 10):
        for _ in range(3):
            made.write(b"x" * size + b"\n", lambda count: b"missing %d\n" % count)
        seen += os.read(reading, 1_000_000)
    made.write(b"last\n", lambda count: b"missing %d\n" % count)
    seen += os.read(reading, 1_000_000)
    os.close(reading)
    made.write(b"to nobody\n", lambda count: b"")
    os.close(writing)
    for line in seen.splitlines():
        assert line in (b"last", b"x" * 10, b"x" * 70_000, b"x" * 100_000) or line[:7] == b"missing"
    told = sum(int(row[8:]) for row in seen.splitlines() if row.startswith(b"missing"))
    whole = sum(not row.startswith(b"missing") for row in seen.splitlines())
    assert told + whole == 13 and seen.endswith(b"last\n")
