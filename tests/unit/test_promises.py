# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Merge promises: who may sign them, what spoils one, and when one was kept."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bastide.app.config import Settings
from bastide.app.promises import delegate, read_promise, trace_promise, verify_kept
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.key import Purpose
from bastide.core.limits import PROMISE_KEY_S
from bastide.core.merge_promise import PROMISE_TYPE, MergePromise
from bastide.core.subject import Digest
from bastide.crypto.dsse import Signer
from bastide.crypto.promises import PromiseKey
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import ORIGIN, make_signer

PROMISING = Settings(environment=ORIGIN, receipts="promised")
KEY = PromiseKey(b"k" * 32)
DAY_MS = int(PROMISE_KEY_S * 1000)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> ChainWorld:
    return make_chain(tmp_path_factory.mktemp("chain"))


def evidence(chain: ChainWorld) -> Signer:
    return chain.world.signers[Purpose.EVIDENCE]


def make(chain: ChainWorld, number: int = 3, **changes: Any) -> MergePromise:
    receipt = chain.receipts[number]
    leaf = str(Digest.of(receipt.leaf()))
    made = MergePromise(
        receipt.ident, leaf, KEY.ident, receipt.time_ms, receipt.time_ms + 1_000
    )  # fmt: skip
    return structs.replace(made, **changes)


def signed(chain: ChainWorld, promise: MergePromise, signer: Signer | None = None) -> str:
    at_ms = chain.receipts[0].time_ms
    return KEY.sign(promise, delegate(PROMISING, KEY.public, signer or evidence(chain), at_ms))


def test_a_promise_names_the_receipt_and_who_may_say_so(chain: ChainWorld) -> None:
    text = signed(chain, make(chain))
    assert trace_promise(text, chain.anchors) == make(chain)
    assert KEY.raw.hex() not in repr(KEY)


def test_what_is_signed_is_canonical(chain: ChainWorld) -> None:
    promise = make(chain)
    assert promise.payload() == canonical({"type": PROMISE_TYPE, **structs.asdict(promise)})


@pytest.mark.attacks("C100")
@pytest.mark.parametrize("part", range(4))
def test_no_part_can_be_changed(chain: ChainWorld, part: int) -> None:
    parts = signed(chain, make(chain)).split(".")
    for place in range(0, len(parts[part]), 7):
        old = parts[part]
        spoiled = old[:place] + ("A" if old[place] != "A" else "B") + old[place + 1 :]
        text = ".".join([*parts[:part], spoiled, *parts[part + 1 :]])
        with pytest.raises(NotProven):
            trace_promise(text, chain.anchors)


@pytest.mark.parametrize("text", ["", "....", "a.b.c", "a.b.c.d", "." * 5_000, "é.b.c.d"])
def test_what_is_no_promise(chain: ChainWorld, text: str) -> None:
    with pytest.raises(NotProven):
        trace_promise(text, chain.anchors)


def test_a_key_that_another_environment_delegated(chain: ChainWorld) -> None:
    stranger = make_signer("stranger", Purpose.EVIDENCE)
    with pytest.raises(NotProven, match="not of these anchors"):
        trace_promise(signed(chain, make(chain), stranger), chain.anchors)
    elsewhere = Settings(environment="elsewhere", receipts="promised")
    at_ms = chain.receipts[0].time_ms
    text = KEY.sign(make(chain), delegate(elsewhere, KEY.public, evidence(chain), at_ms))
    with pytest.raises(NotProven, match="elsewhere"):
        trace_promise(text, chain.anchors)


def test_a_delegation_is_over_after_a_day_and_holds_for_no_other_key(chain: ChainWorld) -> None:
    from_ms = chain.receipts[0].time_ms
    trace_promise(signed(chain, make(chain, time_ms=from_ms + DAY_MS)), chain.anchors)
    for time_ms in (from_ms - 1, from_ms + DAY_MS + 1):
        with pytest.raises(NotProven, match="outside the time"):
            trace_promise(signed(chain, make(chain, time_ms=time_ms)), chain.anchors)
    delegation = delegate(PROMISING, KEY.public, evidence(chain), from_ms)
    with pytest.raises(NotProven, match="does not hold"):
        trace_promise(PromiseKey(b"o" * 32).sign(make(chain), delegation), chain.anchors)
    with pytest.raises(NotProven, match="another key"):
        trace_promise(signed(chain, make(chain, key="SHA256:other")), chain.anchors)


def test_control_delegates_keys_only_where_it_is_to_promise(chain: ChainWorld) -> None:
    with pytest.raises(Misconfigured):
        delegate(Settings(environment=ORIGIN), KEY.public, evidence(chain), 0)
    for public in ("", "AAAA", "no base64!"):
        with pytest.raises(NotProven):
            delegate(PROMISING, public, evidence(chain), 0)


def test_a_promise_that_was_kept_and_one_that_was_not(chain: ChainWorld) -> None:
    bundle = chain.bundle(3)
    verify_kept(make(chain), bundle, chain.anchors)
    batch = json.loads(base64.b64decode(bundle["entries"]["batch"]["envelope"]["payload"]))
    sealed_ms = batch["predicate"]["sealed_ms"]
    verify_kept(make(chain, merge_by_ms=sealed_ms), bundle, chain.anchors)
    with pytest.raises(NotProven, match="broken: the receipt was merged 1 ms after"):
        verify_kept(make(chain, merge_by_ms=sealed_ms - 1), bundle, chain.anchors)
    with pytest.raises(NotProven, match="broken: the ledger has another receipt"):
        verify_kept(make(chain, leaf="sha256:" + "0" * 64), bundle, chain.anchors)
    with pytest.raises(NotProven, match="is of the receipt"):
        verify_kept(make(chain, 2), bundle, chain.anchors)
    bundle["receipt"]["completion_tokens"] += 1
    with pytest.raises(NotProven):
        verify_kept(make(chain), bundle, chain.anchors)


def test_the_files_that_a_client_keeps(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    for kept in (
        "a.b.c.d\n",
        "HTTP/1.1 200 OK\r\nX-Bastide-Promise: a.b.c.d\r\n\r\n{}",
        'data: {"x": 1}\n\n: bastide-promise a.b.c.d\n\ndata: [DONE]\n\n',
    ):
        path.write_text(kept)
        assert read_promise(path) == "a.b.c.d"
    path.write_text("data: 1\n\ndata: 2\n\n")
    with pytest.raises(Misconfigured, match="no promise"):
        read_promise(path)
    with pytest.raises(NotFound):
        read_promise(tmp_path / "absent")
