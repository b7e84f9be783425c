# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that append to a ledger until they are killed; run by test_ledger_durability.py.

``ledger_writer.py DATABASE`` reads one JSON order per line: {"round", "threads", "entries" or
"kill_after", "delay_s", "writers"}. For each it forks fresh writers, which acknowledge every
append on a pipe as soon as it returned, kills them when `kill_after` lines have come, and prints
what was acknowledged: {"acks": [[index, digest]], "checkpoint", "alive"}.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from sqlalchemy import Connection, text

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.records.sql import open_records
from bastide.core.key import Purpose
from bastide.crypto import dsse
from bastide.ledger import Ledger
from unit.ledger_fixture import DATABASE_KEY, make_signers, refusal

SIGNERS = make_signers()


def open_ledger(path: Path) -> Ledger:
    records = open_records(path, DATABASE_KEY)
    return Ledger(records, SIGNERS[Purpose.LEDGER], FixedClock())


def keep_companion(connection: Connection, indexes: range) -> None:
    """A row outside the ledger that must exist exactly if the entry does."""
    rows = [{"entry": index} for index in indexes]
    connection.execute(text("INSERT INTO companion VALUES (:entry)"), rows)


def write(path: Path, pipe: int, name: str, threads: int, entries: int) -> None:
    """Append from several threads; each append is acknowledged with one atomic line."""
    ledger = open_ledger(path)

    def run(thread: int) -> None:
        for number in range(entries):
            accompanied = number % 5 == 4
            label = f"{name}-{thread}-{number}" + ("-companion" if accompanied else "")
            envelope = dsse.sign(refusal(label).payload(), [SIGNERS[Purpose.EVIDENCE]])
            (index,) = ledger.append([envelope], keep_companion if accompanied else None)
            line = {"ack": [index, str(envelope.digest)]}
            os.write(pipe, json.dumps(line).encode() + b"\n")
            if number % 3 == 0:
                line = {"checkpoint": ledger.checkpoint()}
                os.write(pipe, json.dumps(line).encode() + b"\n")

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def run_round(path: Path, order: dict) -> dict:
    read_end, write_end = os.pipe()
    children = []
    for writer in range(order["writers"]):
        child = os.fork()
        if child == 0:
            os.close(read_end)
            name = f"{order['round']}-{writer}"
            write(path, write_end, name, order["threads"], order.get("entries", 10**9))
            os._exit(0)
        children.append(child)
    os.close(write_end)
    lines = []
    with os.fdopen(read_end) as pipe:
        for line in pipe:
            lines.append(json.loads(line))
            if len(lines) == order.get("kill_after"):
                time.sleep(order["delay_s"])
                for child in children:
                    os.kill(child, signal.SIGKILL)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    checkpoints = [line["checkpoint"] for line in lines if "checkpoint" in line]
    return {
        "acks": [line["ack"] for line in lines if "ack" in line],
        "checkpoint": max(checkpoints, key=lambda note: int(note.split("\n")[1]), default=None),
        "statuses": statuses,
    }


def main() -> None:
    path = Path(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(run_round(path, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
