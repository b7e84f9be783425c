# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Keys change under running services: none of them loses an answer or a receipt, and a key that is
compromised stops what rests on it, also streams that run.

To see these tests fail I once broke the code: without `_follow_keyring` in the supervisor no
receipt was sealed after the ledger's key was replaced; with key statements left out of `_JUDGED`
the stream ran to its end.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from paths.demo import ROOT, Demo
from paths.furnished import running_copy
from paths.test_revoking import PATIENCE_S, Stream, stated_s

PURPOSES = ("evidence", "ledger", "model-signing", "release")
CALLERS = 3


class Callers:
    """Threads that ask without a pause; every answer's receipt, and whatever failed."""

    def __init__(self, up: dict[str, Any]) -> None:
        self._up = up
        self._stop = threading.Event()
        self.receipts: list[str] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(CALLERS)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def wait_for(self, more: int) -> None:
        """Until so many answers more have come."""
        wanted, deadline = len(self.receipts) + more, time.monotonic() + PATIENCE_S
        while len(self.receipts) < wanted:
            assert time.monotonic() < deadline, self.failed
            time.sleep(0.02)

    def _ask(self) -> None:
        body = {
            "model": self._up["model"],
            "max_tokens": 4,
            "messages": [{"role": "user", "content": "Hello"}],
        }
        head = {"Authorization": f"Bearer {self._up['key']}"}
        with httpx.Client(base_url=self._up["gateway_url"], timeout=PATIENCE_S) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/v1/chat/completions", json=body, headers=head)
                    answer.raise_for_status()
                    self.receipts.append(answer.headers["x-bastide-receipt"])
                except (httpx.HTTPError, KeyError) as error:
                    self.failed.append(repr(error))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, dict[str, str]]]:
    with running_copy(tmp_path_factory, "rotating") as running:
        yield running


def _verify(made: Demo, receipt: str, folder: Path) -> None:
    """With both verifiers, against the anchors of the founding."""
    bundle = folder / f"{receipt}.json"
    bundle.write_text(made.run("receipt", "export", receipt).stdout)
    anchors = str(made.home / "public" / "keys.json")
    made.run("verify", str(bundle), "--keys", anchors)
    argv = [sys.executable, ROOT / "tools" / "verify_receipt.py", bundle, "--keys", anchors]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.attacks("C136")
def test_all_service_keys_change_under_requests(demo, tmp_path: Path) -> None:
    made, up = demo
    with Callers(up) as callers:
        callers.wait_for(CALLERS)
        for purpose in PURPOSES:
            made.run("signing-key", "rotate", purpose, "--reason", "a year is over")
            callers.wait_for(2 * CALLERS)
    assert callers.failed == []
    assert len(set(callers.receipts)) == len(callers.receipts)
    for receipt in (callers.receipts[0], callers.receipts[-1]):
        _verify(made, receipt, tmp_path)
    home = Home(made.home)
    with open_environment(home, read_passphrase(home)) as env:
        assert env.book.holds(callers.receipts) == set(callers.receipts)
        assert env.book.pending == 0
    made.run("ledger", "audit")
    log = (made.home / "log" / "supervisor.log").read_text()
    assert '"event": "restart"' not in log, "the handover needs no restart"


@pytest.mark.attacks("C135")
def test_a_compromised_key_of_the_guardian_ends_what_it_approved(demo) -> None:
    made, up = demo
    stream = Stream().start(up["gateway_url"], up["key"], up["model"])
    (key,) = (row["id"] for row in made.json("signing-key", "ls") if row["party"] == "guardian")
    stop = ("--state", "compromised", "--reason", "stolen")
    made.run("signing-key", "revoke", key, *stop)
    stream.verify_cut(stated_s(made, "key-state/v1"), "deployment was revoked")
    body = {"model": up["model"], "messages": [{"role": "user", "content": "?"}]}
    head = {"Authorization": f"Bearer {up['key']}"}
    answer = httpx.post(f"{up['gateway_url']}/v1/chat/completions", json=body, headers=head)
    assert answer.status_code == 404
    (reasons,) = made.json("status")["stopped"].values()
    assert any("guardian" in reason for reason in reasons), reasons
    made.run("ledger", "audit")
