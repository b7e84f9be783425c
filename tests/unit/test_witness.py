# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A witness: the protocol of C2SP tlog-witness, and that no history but one is ever cosigned.

To see these tests fail I once broke the code: without `verify_consistency` in `_judged` a fork was
cosigned; without the comparison of the old size a rollback was; with all lines of the submitted
note kept, a forged line of the witness was given out.
"""

import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.witness.sqlite import WitnessMemory
from bastide.app.witness import Witness
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.key import Purpose
from bastide.crypto import merkle, note
from bastide.crypto.cosignature import CosignerKey, cosigned_by, read_cosigner, with_cosignatures
from bastide.crypto.note import Checkpoint
from bastide.crypto.submission import read_submission, write_submission
from bastide.crypto.tlog_proof import read_proof, write_proof
from unit.ledger_fixture import ORIGIN, make_signer

LOG = make_signer("ledger", Purpose.LEDGER)
KEY = CosignerKey.from_seeds("firm.example/w1", b"1" * 32, b"2" * 32)
TEXT = "example.com/log\n3\n" + "A" * 43 + "=\n"
LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(40)]


def head(size: int, leaves=LEAVES, signer=LOG, origin=ORIGIN) -> str:
    root = merkle.root(leaves[:size]) if size else hashlib.sha256(b"").digest()
    return note.sign_checkpoint(Checkpoint(origin, size, root), signer)


def submission(old: int, new: int, leaves=LEAVES, **signed) -> bytes:
    proof = merkle.consistency_proof(leaves, old, new) if 0 < old < new else []
    return write_submission(old, proof, head(new, leaves, **signed)).encode()


@pytest.fixture
def memory(tmp_path: Path) -> WitnessMemory:
    made = WitnessMemory(tmp_path / "witness.db")
    made.watch(ORIGIN, [note.verifier_key(ORIGIN, LOG.public)])
    return made


@pytest.fixture
def witness(memory: WitnessMemory) -> Witness:
    return Witness(KEY, memory, FixedClock(1_700_000_000_000))


def add(witness: Witness, data: bytes):
    return witness.answer("POST", "/add-checkpoint", data)


def test_it_cosigns_a_log_that_grows(witness: Witness) -> None:
    for old, new in ((0, 1), (1, 7), (7, 7), (7, 32), (32, 40)):
        answer = add(witness, submission(old, new))
        assert answer.status == 200
        assert cosigned_by(head(new) + answer.text, KEY.public) == 1_700_000_000
        assert answer.text.count("\n") == 2, "one line for each of its keys"


def test_the_newest_head_is_served(witness: Witness) -> None:
    path = f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert witness.answer("GET", path, b"").status == 404
    given = add(witness, submission(0, 5)).text
    assert witness.answer("GET", path, b"").text == head(5) + given


@pytest.mark.attacks("C107")
def test_a_fork_is_refused_and_kept(witness: Witness, memory: WitnessMemory) -> None:
    add(witness, submission(0, 10))
    forked = [*LEAVES[:4], merkle.leaf_hash(b"another"), *LEAVES[5:]]
    for data in (submission(10, 20, forked), submission(10, 10, forked)):
        assert add(witness, data).status == 422
    assert [row["origin"] for row in memory.refusals()] == [ORIGIN, ORIGIN]
    assert add(witness, submission(10, 20)).status == 200, "the honest log goes on"


@pytest.mark.attacks("C106")
def test_a_rollback_is_refused_with_the_size(witness: Witness) -> None:
    add(witness, submission(0, 10))
    for data in (submission(0, 5), submission(5, 8)):
        answer = add(witness, data)
        assert (answer.status, answer.kind, answer.text) == (409, "text/x.tlog.size", "10\n")
    assert add(witness, submission(10, 11)).status == 200


def test_who_signed_matters(witness: Witness) -> None:
    other = make_signer("other", Purpose.LEDGER)
    assert add(witness, submission(0, 5, signer=other)).status == 403
    assert add(witness, submission(0, 5, origin="elsewhere/log")).status == 404
    good = submission(0, 5).decode()
    body, _, line = good.rpartition(" ")
    flipped = line[:20] + ("A" if line[20] != "A" else "B") + line[21:]
    assert add(witness, f"{body} {flipped}".encode()).status == 403


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 0\n",
        b"old 00\n\n" + head(1).encode(),
        b"old -1\n\n" + head(1).encode(),
        b"old 1\n" + b"AAAA\n" * 2 + b"\n" + head(1).encode(),
        b"old 0\n" + b"A" * 43 + b"=\n" * 70 + b"\n" + head(1).encode(),
        b"\xff\xfe",
        write_submission(9, [], head(5)).encode(),
    ],
)
def test_what_is_malformed_is_refused(witness: Witness, data: bytes) -> None:
    assert add(witness, data).status in (400, 403)


def test_a_proof_where_there_is_nothing_to_prove(witness: Witness) -> None:
    assert add(witness, write_submission(0, [b"\0" * 32], head(5)).encode()).status == 422
    empty = note.sign_checkpoint(Checkpoint(ORIGIN, 0, b"\1" * 32), LOG)
    assert add(witness, write_submission(0, [], empty).encode()).status == 422


def test_other_paths_and_methods(witness: Witness) -> None:
    assert witness.answer("GET", "/add-checkpoint", b"").status == 405
    assert witness.answer("POST", "/" + "0" * 64 + "/checkpoint", b"").status == 405
    assert witness.answer("GET", "/", b"").status == 404


def test_it_gives_out_no_line_that_it_did_not_sign(witness: Witness) -> None:
    forged = f"— {KEY.name} {'A' * 96}\n"
    answer = add(witness, submission(0, 5) + forged.encode())
    assert answer.status == 200
    assert forged not in answer.text


def test_many_at_once_never_go_back(witness: Witness, memory: WitnessMemory) -> None:
    """The race of the specification: two submissions with one old size, at the same time."""
    add(witness, submission(0, 5))
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: statuses.append(add(witness, submission(5, n)).status))
        for n in range(6, 14)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(200) == 1
    assert set(statuses) == {200, 409}
    assert memory.log(ORIGIN).size > 5


def test_what_it_has_seen_outlives_it(witness: Witness, memory: WitnessMemory) -> None:
    add(witness, submission(0, 10))
    again = Witness(KEY, WitnessMemory(memory._path), FixedClock(1))
    assert add(again, submission(0, 10)).status == 409


@pytest.mark.attacks("C107")
@settings(max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 39))
def test_all_heads_that_were_cosigned_are_of_one_history(tmp_path_factory, sizes, where) -> None:
    """Whatever is submitted, from two histories that part at `where`: one is cosigned, no two."""
    memory = WitnessMemory(tmp_path_factory.mktemp("w") / "witness.db")
    memory.watch(ORIGIN, [note.verifier_key(ORIGIN, LOG.public)])
    witness = Witness(KEY, memory, FixedClock(1_000_000))
    forked = [*LEAVES[:where], merkle.leaf_hash(b"fork"), *LEAVES[where + 1 :]]
    cosigned: list[tuple[int, bytes]] = []
    for number, size in enumerate(sizes):
        leaves = forked if number % 2 else LEAVES
        old = memory.log(ORIGIN).size
        if old > size:
            continue
        if add(witness, submission(old, size, leaves)).status == 200:
            cosigned.append((size, merkle.root(leaves[:size])))
    for history in (LEAVES, forked):
        if all(root == merkle.root(history[:size]) for size, root in cosigned):
            return
    raise AssertionError(f"two histories were cosigned: {cosigned}")


# Cosignatures


def test_a_witness_that_is_asked_again_has_signed_once() -> None:
    """Control asks again after a restart, and the head that it keeps must stay readable."""
    other = CosignerKey.from_seeds("guardian.example/w1", b"3" * 32, b"4" * 32)
    first = head(3)
    text, _ = note.split_note(first)
    kept = with_cosignatures(first, "", KEY.cosign(text, 5) + other.cosign(text, 6))
    again = with_cosignatures(first, kept, KEY.cosign(text, 7))
    assert cosigned_by(again, KEY.public) == 7
    assert cosigned_by(again, other.public) == 6
    # What was cosigned of another head is not carried over to this one.
    grown = head(4)
    moved = with_cosignatures(grown, again, other.cosign(note.split_note(grown)[0], 8))
    assert cosigned_by(moved, KEY.public) is None
    assert cosigned_by(moved, other.public) == 8


def test_keys_are_what_other_tools_take() -> None:
    for vkey, kind in zip(KEY.public.vkeys(), (4, 6), strict=True):
        name, tag, _ = vkey.split("+", 2)
        raw = dict(KEY.public.keys)[kind]
        assert name == KEY.name
        assert tag == hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + raw).hexdigest()[:8]
    assert read_cosigner(KEY.public.vkeys()) == KEY.public
    assert CosignerKey.from_text(KEY.to_text()).public == KEY.public
    assert "CosignerKey object" in repr(KEY), "nothing secret in it"


def test_the_ed25519_message_is_that_of_the_specification() -> None:
    line = KEY.cosign(TEXT, 1_679_315_147).splitlines()[0]
    _, raws = note.split_note(f"{TEXT}\n{line}\n")
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    KEY.ed25519.public_key().verify(raws[0][1][12:], message)


def test_another_text_time_or_name_does_not_hold() -> None:
    lines = KEY.cosign(TEXT, 7)
    assert cosigned_by(f"{TEXT}\n{lines}", KEY.public) == 7
    other = CosignerKey.from_seeds("guardian.example/w1", b"3" * 32, b"4" * 32)
    assert cosigned_by(f"{TEXT}\n{lines}", other.public) is None
    with pytest.raises(NotProven, match="does not hold"):
        cosigned_by(f"{TEXT.replace('3', '4')}\n{lines}", KEY.public)
    with pytest.raises(NotProven, match="twice"):
        cosigned_by(f"{TEXT}\n{lines}{lines}", KEY.public)
    for line in lines.splitlines():  # each of the two algorithms alone
        with pytest.raises(NotProven, match="does not hold"):
            cosigned_by(f"{TEXT.replace('3', '4')}\n{line}\n", KEY.public)
        with pytest.raises(NotProven, match="one key of several"):
            cosigned_by(f"{TEXT}\n{line}\n", KEY.public)


@pytest.mark.parametrize(
    "vkeys",
    [[], ["a+b+c"], [KEY.public.vkeys()[0]] * 2, [KEY.public.vkeys()[0].replace("w1", "w2")]],
)
def test_keys_that_are_none(vkeys) -> None:
    with pytest.raises(Misconfigured):
        read_cosigner(vkeys)


def test_files_and_bodies_read_back() -> None:
    proof = merkle.inclusion_proof(LEAVES, 3)
    read = read_proof(write_proof(3, proof, head(40), b"extra"))
    assert (read.index, list(read.proof), read.checkpoint, read.extra) == (
        3, proof, head(40), b"extra",
    )  # fmt: skip
    merkle.verify_inclusion(LEAVES[3], 3, 40, read.proof, merkle.root(LEAVES))
    back = read_submission(submission(7, 32))
    assert (back.old, back.note) == (7, head(32))
    for text in ("", "c2sp.org/tlog-proof@v1\n\n", "c2sp.org/tlog-proof@v1\nindex 01\n\nx"):
        with pytest.raises(NotProven):
            read_proof(text)


def test_an_unknown_log_is_not_found(memory: WitnessMemory) -> None:
    with pytest.raises(NotFound):
        memory.log("elsewhere/log")
