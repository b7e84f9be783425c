# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A promise is kept by a real control over a real ledger, and the command line proves it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import uvloop
from msgspec import structs

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.app.config import Home, Settings, read_settings
from bastide.app.control import Control
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.promises import delegate, trace_promise, verify_kept
from bastide.core.errors import NotProven
from bastide.core.key import Purpose
from bastide.core.merge_promise import MergePromise
from bastide.core.receipt import Receipt
from bastide.crypto.dsse import Signer
from bastide.crypto.promises import PromiseKey
from bastide.gateway.promising import PROMISE_HEADER, Promised, Promises
from bastide.ledger.bundle import export_bundle
from paths.demo import Demo
from paths.passes import callers, passing
from paths.worker_rig import set_values
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import ORIGIN

WITHIN_S = 20


class Keys:
    """A keyring of which control asks for the evidence key only."""

    def __init__(self, chain: ChainWorld) -> None:
        self._signers = chain.world.signers

    def signers(self, purpose: Purpose) -> list[Signer]:
        return [self._signers[purpose]]


def log(event: str, **fields: Any) -> None:
    print(event, fields)


async def promised(link: ControlLink, promises: Promises, make: Any) -> tuple[Receipt, str]:
    """Put receipts until one is promised; it, and the promise."""
    for _ in range(WITHIN_S * 20):
        receipt, sink = make(), Promised(promises, link)
        await sink.put(receipt)
        if headers := sink.headers(()):
            return receipt, dict(headers)[PROMISE_HEADER]
        await asyncio.sleep(0.05)
    raise AssertionError("nothing was promised")


async def story(folder: Path, chain: ChainWorld) -> tuple[str, dict[str, Any]]:
    home, clock = Home(folder), SystemClock()
    home.run.mkdir()
    settings = Settings(environment=ORIGIN, receipts="promised")
    keys: Any = Keys(chain)
    known = callers(chain.world.ledger)
    control = Control(chain.world.ledger, chain.book, keys, settings, clock, callers=known)
    stop, numbers = asyncio.Event(), iter(range(10_000))
    running = asyncio.create_task(control.run(home, stop))
    link = ControlLink(str(home.control_socket), clock, credential=passing("gateway"))
    await link.start()
    promises = Promises(link, clock, b"s" * 32, log)

    def make() -> Receipt:
        ident = f"r_{next(numbers):026}"
        return structs.replace(chain.receipts[0], ident=ident, time_ms=clock.now_ms())

    try:
        receipt, text = await promised(link, promises, make)
        async with asyncio.timeout(WITHIN_S):
            await promises.settle(WITHIN_S)
            while chain.book.pending:
                await asyncio.sleep(0.02)
        assert link.snapshot is not None
        assert link.snapshot.receipts == "promised"
        return text, export_bundle(chain.world.ledger, chain.book, receipt.ident)
    finally:
        await link.close()
        stop.set()
        await running


def test_a_promise_is_merged_and_the_command_line_proves_it(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, receipts=1)
    text, bundle = uvloop.run(story(tmp_path, chain))
    promise = trace_promise(text, chain.anchors)
    assert promise.receipt == bundle["receipt"]["ident"]
    # How soon is no matter of a test on a busy machine: the promise is given the time that it took.
    verify_kept(structs.replace(promise, merge_by_ms=2**52), bundle, chain.anchors)
    with pytest.raises(NotProven, match="broken"):
        verify_kept(structs.replace(promise, merge_by_ms=0), bundle, chain.anchors)

    kept, keys = tmp_path / "promise.txt", tmp_path / "keys.json"
    proof, other = tmp_path / "receipt.json", tmp_path / "other.json"
    kept.write_text(f"{PROMISE_HEADER}: {text}\n")
    keys.write_text(json.dumps(chain.anchors))
    proof.write_text(json.dumps(bundle))
    other.write_text(json.dumps(chain.bundle(0)))
    command, demo = ("receipt", "verify-promise", str(kept), "--keys", str(keys)), Demo(tmp_path)
    said = demo.json(*command)
    assert (said["promised"], said["kept"], said["receipt"]) == (True, False, promise.receipt)
    late = json.loads(demo.run(*command, "--receipt", str(proof), "--json", status=None).stdout)
    assert late.get("kept") or "broken" in json.dumps(late)
    demo.run(*command, "--receipt", str(other), status=6)
    kept.write_text(text[:-1] + ("A" if text[-1] != "A" else "B"))
    demo.run(*command, status=6)


@pytest.mark.attacks("C100")
def test_a_promise_whose_receipt_never_came_is_reported(tmp_path: Path) -> None:
    demo, home, key = Demo(tmp_path / "home"), Home(tmp_path / "home"), PromiseKey(b"g" * 32)
    demo.json("init")
    assert demo.json("status")["receipts"] == "durable"
    set_values(home, receipts="promised")
    assert demo.json("status")["receipts"] == "promised"
    with open_environment(home, read_passphrase(home)) as env:
        now_ms = env.clock.now_ms()
        signer = env.keyring.signer(Purpose.EVIDENCE)
        delegation = delegate(read_settings(home), key.public, signer, now_ms - 1_000)

    def check(merge_by_ms: int, status: int) -> str:
        leaf = "sha256:" + "0" * 64
        promise = MergePromise("r_" + "0" * 26, leaf, key.ident, now_ms, merge_by_ms)
        (tmp_path / "promise").write_text(key.sign(promise, delegation))
        done = demo.run("receipt", "verify-promise", str(tmp_path / "promise"), status=status)
        return done.stdout + done.stderr

    assert "not there yet" in check(now_ms + 3_600_000, 0)
    assert "broken: its time is over" in check(now_ms, 6)
    set_values(home, receipts="sometimes")
    demo.run("status", status=2)
