# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Revocation reaches what runs: real services, a real model, streams that are cut within a second.

To see these tests fail I once broke the code: without `recall.follow` in the gateway's link the
streams ran to their end; with `known.stopped` left out of the snapshot the model was served on;
with 1.5 s before a task is cancelled the cut came too late.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from paths.demo import Demo
from paths.furnished import running_copy

REACHES_S = 1.0  # the promise
PATIENCE_S = 60


@dataclass
class Stream:
    """One streaming call on a thread of its own: its lines with the time of each."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def listen(self, url: str, key: str, model: str) -> None:
        body = {
            "model": model,
            "stream": True,
            "max_tokens": 1500,
            "temperature": 0,
            "messages": [
                {
                    "role": "user",
                    "content": "Write a very long story about a walled town, with many chapters.",
                }
            ],
        }
        head = {"Authorization": f"Bearer {key}"}
        address = f"{url}/v1/chat/completions"
        # After the event the body breaks off, so that no client takes it for whole.
        with (
            contextlib.suppress(httpx.RemoteProtocolError),
            httpx.stream("POST", address, json=body, headers=head, timeout=PATIENCE_S) as told,
        ):
            for line in told.iter_lines():
                if line.startswith("data: "):
                    self.lines.append((time.time(), line[6:]))
                    if len(self.lines) > 3:
                        self.begun.set()
        self.over.set()

    def start(self, url: str, key: str, model: str) -> "Stream":
        threading.Thread(target=self.listen, args=(url, key, model), daemon=True).start()
        assert self.begun.wait(PATIENCE_S), "the stream did not begin"
        return self

    def verify_cut(self, stated_s: float, why: str) -> None:
        """It ended with an event that says why, in time, and never as if it were whole."""
        assert self.over.wait(PATIENCE_S), "the stream goes on"
        at, last = self.lines[-1]
        error = json.loads(last)["error"]
        assert (error["code"], why in error["message"]) == ("revoked", True), error
        assert at - stated_s <= REACHES_S


def stated_s(demo: Demo, kind: str) -> float:
    """When the newest statement of a kind was made, as it says itself: it is in the ledger later.

    The command that makes it returns later still, most often when the streams are cut already.
    """
    newest = demo.json("ledger", "ls", "--kind", kind)[-1]["entry"]
    return demo.json("ledger", "show", str(newest))["statement"]["predicate"]["time_ms"] / 1_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, dict[str, str]]]:
    with running_copy(tmp_path_factory, "revoking") as running:
        yield running


@pytest.mark.attacks("C103")
def test_a_revoked_key_ends_its_streams_and_no_others(demo) -> None:
    made, up = demo
    tenant = made.json("status")["tenants"][0]
    other = made.json("key", "new", "--tenant", tenant)
    ours = Stream().start(up["gateway_url"], up["key"], up["model"])
    theirs = Stream().start(up["gateway_url"], other["key"], up["model"])
    made.json("key", "revoke", other["id"])
    theirs.verify_cut(
        stated_s(made, "api-key-revocation/v1"), "API key of this request was revoked"
    )
    time.sleep(0.3)
    assert not ours.over.is_set(), "the other key's answer goes on"


@pytest.mark.attacks("C288")
def test_what_the_owner_denies_ends_its_streams_and_comes_back_when_it_is_let_go(demo) -> None:
    made, up = demo
    stream = Stream().start(up["gateway_url"], up["key"], up["model"])
    made.json("store", "deny", "models/", "--reason", "the contract has ended")
    (made.home / "denied").unlink()  # the operator's own file is not what stops it
    stream.verify_cut(stated_s(made, "denial/v1"), "deployment was revoked")
    (reasons,) = made.json("status")["stopped"].values()
    assert any("the contract has ended" in reason for reason in reasons)
    loads = len(made.json("ledger", "ls", "--kind", "load/v1"))
    made.json("store", "allow", "models/")
    deadline = time.monotonic() + PATIENCE_S
    while len(made.json("ledger", "ls", "--kind", "load/v1")) == loads:
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.2)
    assert made.run("chat", "Say hello").stdout.strip()
    made.json("ledger", "audit")


@pytest.mark.attacks("C288")
def test_a_denial_reaches_the_desk_which_holds_no_ledger(demo) -> None:
    made, up = demo
    head = {"Authorization": f"Bearer {up['key']}"}
    address = f"{up['gateway_url']}/v1/files"
    line = b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{}}\n'
    sent = httpx.post(
        address, headers=head, files={"file": ("a.jsonl", line)}, data={"purpose": "batch"}
    ).json()

    def content() -> int:
        return httpx.get(f"{address}/{sent['id']}/content", headers=head).status_code

    assert content() == 200
    made.json("store", "deny", "files/")
    (made.home / "denied").unlink()
    _until(lambda: content() != 200)
    made.json("store", "allow", "files/")
    _until(lambda: content() == 200)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.attacks("C102")
def test_a_revoked_release_ends_its_streams_and_its_runner(demo) -> None:
    made, up = demo
    stream = Stream().start(up["gateway_url"], up["key"], up["model"])
    row = made.json("revoke", "release", up["model"], "--reason", "poisoned data")
    stream.verify_cut(stated_s(made, "revocation/v1"), "deployment was revoked")
    assert row["what"] == "release"
    # The receipt of what was sent is there, and says that it broke off.
    newest = made.json("receipt", "export", "newest")["receipt"]
    assert newest["finish"] == "cancelled"
    # Nothing serves it now, nobody can deploy it again, and status says why.
    body = {"model": up["model"], "messages": [{"role": "user", "content": "?"}]}
    head = {"Authorization": f"Bearer {up['key']}"}
    answer = httpx.post(f"{up['gateway_url']}/v1/chat/completions", json=body, headers=head)
    assert answer.status_code == 404
    (reasons,) = made.json("status")["stopped"].values()
    assert any("poisoned data" in reason for reason in reasons)
    refused = made.run("deploy", up["model"], status=3)
    assert "was revoked in entry" in refused.stderr
    deadline = time.monotonic() + PATIENCE_S
    while list((made.home / "run").glob("runner-*.sock")):
        assert time.monotonic() < deadline, "the runner goes on"
        time.sleep(0.05)
    # The same said twice is one entry.
    assert made.json("revoke", "release", up["model"], "--reason", "again")["entry"] == row["entry"]
