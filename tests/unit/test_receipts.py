# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The book of receipts: durable, sealed once, provable; the ledger holds no word of anybody."""

import json
import re
import threading
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import text

from bastide.adapters.records.sql import open_records
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound, NotProven, Refused, Unavailable
from bastide.core.key import Purpose
from bastide.core.limits import RECEIPT_DISORDER_MS
from bastide.core.receipt import Receipt
from bastide.crypto import merkle
from bastide.ledger import receipts as receipts_module
from bastide.ledger.ledger import Ledger
from bastide.ledger.receipts import ReceiptBook
from unit.chain_fixture import ANSWER, API_KEY, PROMPT, make_chain, make_receipt
from unit.ledger_fixture import DATABASE_KEY, World, make_ledger

SHA = "sha256:" + "0" * 64


def _book(world: World) -> ReceiptBook:
    return ReceiptBook(world.records, world.ledger, world.signers[Purpose.EVIDENCE], world.clock)


def _receipts(count: int, start: int = 0) -> list[Receipt]:
    return [
        structs.replace(make_receipt(0, SHA, SHA, SHA, 1_000 + number), ident=f"r_{number:026}")
        for number in range(start, start + count)
    ]


def test_put_is_seen_by_another_process_at_once(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    _book(world).put(_receipts(5))
    other = ReceiptBook(
        open_records(world.path, DATABASE_KEY),
        world.reopen(),
        world.signers[Purpose.EVIDENCE],
        world.clock,
    )
    assert other.pending == 5
    assert other.newest() == f"r_{4:026}"
    assert other.find(f"r_{2:026}") == _receipts(3)[2]


@given(
    times=st.lists(st.integers(0, 20), max_size=40),
    jitter=st.lists(st.integers(0, 1), min_size=40, max_size=40),
    wanted=st.integers(0, 25),
)
def test_no_receipt_since_a_time_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], jitter: list[int], wanted: int
) -> None:
    # In the order of time but for one unit of what is allowed, early or late.
    ended = [row + early for row, early in zip(sorted(times), jitter, strict=False)]
    world = make_ledger(tmp_path_factory.mktemp("book"))
    book = _book(world)
    made = [
        structs.replace(row, time_ms=time * RECEIPT_DISORDER_MS)
        for row, time in zip(_receipts(len(ended)), ended, strict=True)
    ]
    book.put(made)
    start = book.since(wanted * RECEIPT_DISORDER_MS)
    assert all(time < wanted for time in ended[:start])
    # And not much is read that is older.
    assert all(time >= wanted - 3 for time in ended[start:])
    assert list(book.receipts(start)) == made[start:]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 100])
def test_every_receipt_of_a_batch_is_proven(tmp_path: Path, count: int) -> None:
    world = make_ledger(tmp_path)
    book = _book(world)
    receipts = _receipts(count)
    book.put(receipts)
    batch = book.seal_batch()
    assert batch is not None
    assert batch.body["count"] == count
    assert (batch.body["first_ms"], batch.body["last_ms"]) == (1_000, 999 + count)
    root = bytes.fromhex(batch.body["root"])
    for receipt in receipts:
        place = book.inclusion(receipt.ident)
        assert place.batch_index == batch.entry
        leaf = merkle.leaf_hash(receipt.leaf())
        merkle.verify_inclusion(leaf, place.leaf_index, place.size, place.proof, root)
    book.audit()


def test_nothing_pending_seals_nothing(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    book = _book(world)
    book.put([])
    assert book.newest() is None
    assert book.seal_batch() is None
    assert world.ledger.size == 1


def test_batches_follow_each_other_without_gaps(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    book = _book(world)
    sealed = []
    for start, count in ((0, 3), (3, 1), (4, 10)):
        book.put(_receipts(count, start))
        batch = book.seal_batch()
        assert batch is not None
        sealed.append(batch.entry)
        assert book.pending == 0
    places = [book.inclusion(f"r_{number:026}") for number in range(14)]
    assert [place.batch_index for place in places] == (
        [sealed[0]] * 3 + [sealed[1]] + [sealed[2]] * 10
    )
    assert [place.leaf_index for place in places] == [0, 1, 2, 0, *range(10)]
    book.audit()


def test_a_long_queue_is_sealed_in_bounded_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts_module, "RECEIPT_BATCH_MAX", 4)
    world = make_ledger(tmp_path)
    book = _book(world)
    book.put(_receipts(10))
    counts = []
    while (batch := book.seal_batch()) is not None:
        counts.append(batch.body["count"])
    assert counts == [4, 4, 2]
    book.audit()


def test_a_pending_receipt_says_so(tmp_path: Path) -> None:
    book = _book(make_ledger(tmp_path))
    book.put(_receipts(2))
    with pytest.raises(Unavailable, match="sealed within a second"):
        book.inclusion(f"r_{1:026}")
    book.seal_batch()
    book.put(_receipts(1, start=2))
    with pytest.raises(Unavailable, match="sealed within a second"):
        book.inclusion(f"r_{2:026}")
    for lookup in (book.find, book.inclusion):
        with pytest.raises(NotFound, match="r_none"):
            lookup("r_none")


def test_sending_again_is_harmless_and_another_receipt_of_that_id_is_refused(
    tmp_path: Path,
) -> None:
    book = _book(make_ledger(tmp_path))
    book.put(_receipts(3))
    book.put(_receipts(5))
    assert book.pending == 5
    evil = structs.replace(_receipts(1)[0], completion_tokens=999)
    for batch in ([*_receipts(2, start=7), evil], [evil, *_receipts(1)]):
        with pytest.raises(Refused):
            book.put(batch)
    assert book.pending == 5, "a refused list is refused as a whole"
    book.seal_batch()
    book.put(_receipts(5))
    assert book.pending == 0
    book.audit()


def test_many_threads_put_and_seal_without_loss(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    book = _book(world)
    errors: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for number in range(10):
                book.put(_receipts(3, start + number * 3))
                book.seal_batch()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 120, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    book.seal_batch()
    assert errors == []
    assert book.pending == 0
    assert sum(row.body["count"] for row in world.ledger.find("receipts/v1")) == 120
    book.audit()
    world.ledger.audit()


@pytest.mark.parametrize("more", [0, 1], ids=["the-same-batch", "a-longer-batch"])
def test_two_processes_never_seal_a_receipt_twice(tmp_path: Path, more: int) -> None:
    world = make_ledger(tmp_path)
    first, records = _book(world), open_records(world.path, DATABASE_KEY)
    ledger = Ledger(records, world.signers[Purpose.LEDGER], world.clock)
    second = ReceiptBook(records, ledger, world.signers[Purpose.EVIDENCE], world.clock)
    first.put(_receipts(4))

    # The other process seals between this one's look and its commit.
    original = ledger.append

    def slow(*args, **options):
        first.put(_receipts(more, start=4))
        assert first.seal_batch() is not None
        return original(*args, **options)

    ledger.append = slow  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="another process") as raised:
        second.seal_batch()
    assert raised.value.fix
    assert len(world.ledger.find("receipts/v1")) == 1
    assert first.pending == 0
    first.audit()


def test_a_batch_that_cannot_be_appended_stays_pending(tmp_path: Path) -> None:
    world = make_ledger(tmp_path)
    wrong = ReceiptBook(world.records, world.ledger, world.signers[Purpose.RELEASE], world.clock)
    wrong.put(_receipts(2))
    with pytest.raises(Unavailable, match="not held"):
        wrong.seal_batch()
    assert wrong.pending == 2
    assert world.ledger.size == 1
    right = _book(world)
    assert right.seal_batch() is not None
    right.audit()


@pytest.mark.attacks("C5")
def test_rebuild_gives_the_same_batches(tmp_path: Path) -> None:
    """DESIGN.md invariant 1: a batch's range of receipts is a projection like any other."""
    world = make_ledger(tmp_path)
    book = _book(world)
    for start, count in ((0, 3), (3, 1), (4, 2)):
        book.put(_receipts(count, start))
        book.seal_batch()
    book.put(_receipts(2, 6))
    proofs = [book.inclusion(receipt.ident) for receipt in _receipts(6)]
    for harm in ("DELETE FROM receipt_batch", "UPDATE receipt_batch SET size = 1 WHERE first = 0"):
        with world.records.begin() as connection:
            connection.execute(text(harm))
        with pytest.raises(NotProven):
            book.audit()
        book.rebuild()
        book.audit()
        assert [book.inclusion(receipt.ident) for receipt in _receipts(6)] == proofs
        assert book.pending == 2
    book.seal_batch()
    assert book.inclusion(_receipts(1, 7)[0].ident).size == 2


@pytest.mark.attacks("C4")
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("UPDATE receipt SET leaf = x'00' WHERE number = 1", "not those of the batch"),
        ("DELETE FROM receipt WHERE number = 4", "not those of the batch"),
        ("DELETE FROM receipt_batch WHERE first = 3", "does not know this batch"),
        ("INSERT INTO receipt_batch VALUES (5, 2, 99)", "without an entry"),
    ],
)
def test_the_audit_finds_a_changed_book(tmp_path: Path, harm: str, message: str) -> None:
    world = make_ledger(tmp_path)
    book = _book(world)
    for start, count in ((0, 3), (3, 2)):
        book.put(_receipts(count, start))
        book.seal_batch()
    book.audit()
    with world.records.begin() as connection:
        connection.execute(text(harm))
    with pytest.raises(NotProven, match=message):
        book.audit()


@pytest.mark.attacks("C23")
def test_no_prompt_answer_or_key_is_in_the_ledger_or_in_the_book(tmp_path: Path) -> None:
    """DESIGN.md invariants 5 and 6."""
    chain = make_chain(tmp_path)
    stored = b"".join(
        chain.world.ledger.envelope(index).payload for index in range(chain.world.ledger.size)
    )
    with chain.world.records.connect() as connection:
        tables = ("entry", "receipt", "receipt_batch", "evidence", "subject")
        rows = [
            row for table in tables for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    stored += b"".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
    )
    assert b"hmac-sha256:" in stored, "the commitments themselves are there"
    question = json.loads(PROMPT)["messages"][0]["content"]
    for secret in (PROMPT, question.encode(), b"bastide ?", ANSWER.encode(), b"Monpazier"):
        assert secret not in stored
    for secret in (API_KEY.encode(), b"AGE-SECRET-KEY", b"PRIVATE KEY", DATABASE_KEY):
        assert secret not in stored
    assert chain.ident(0).encode() in stored
    entries = b"".join(
        chain.world.ledger.envelope(index).payload for index in range(chain.world.ledger.size)
    )
    assert chain.ident(0).encode() not in entries, "a receipt itself is no entry"
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for visible in (b"acme", b"hmac-sha256", b"receipt", chain.ident(0).encode()):
        assert visible not in files, "the database is sealed"


def test_receipts_read_back_as_they_were_written() -> None:
    receipt = make_receipt(1, SHA, SHA, SHA, 5)
    assert Receipt.from_json(json.loads(receipt.leaf())) == receipt


@pytest.mark.attacks("C168")
@given(
    texts=st.lists(st.text(), min_size=14, max_size=14),
    numbers=st.lists(st.integers(0, 2**53 + 1), min_size=5, max_size=5),
    guard=st.lists(st.text(), max_size=3),
    flags=st.tuples(st.booleans(), st.booleans()),
    version=st.sampled_from((1, 2, 3)),
    attestations=st.lists(st.text() | st.just('"attestations":[],'), max_size=2),
)
def test_a_leaf_is_canonical_json_whatever_stands_in_it(
    texts: list[str],
    numbers: list[int],
    guard: list[str],
    flags: tuple[bool, bool],
    version: int,
    attestations: list[str],
) -> None:
    """It is written by a faster way than other JSON that we sign; the bytes are the same."""
    fields = dict(make_receipt(1, SHA, SHA, SHA, 5).to_json())
    names = [name for name, value in fields.items() if isinstance(value, str) and name != "type"]
    counts = [name for name, value in fields.items() if type(value) is int]
    assert (len(names), len(counts)) == (14, 5)
    receipt = structs.replace(
        make_receipt(1, SHA, SHA, SHA, 5),
        guard=tuple(guard),
        delivered=flags[0],
        retry=flags[1],
        version=version,
        attestations=tuple(attestations),
        **dict(zip(names, texts, strict=True)),
        **dict(zip(counts, numbers, strict=True)),
    )
    try:
        expected = canonical(receipt.to_json())
    except Misconfigured as refused:
        with pytest.raises(Misconfigured, match=re.escape(refused.message)):
            receipt.leaf()
    else:
        assert receipt.leaf() == expected


def test_a_leaf_refuses_half_a_surrogate_pair() -> None:
    with pytest.raises(Misconfigured, match="surrogate"):
        structs.replace(make_receipt(1, SHA, SHA, SHA, 5), node="\ud800").leaf()


@given(
    st.sampled_from(sorted(make_receipt(1, SHA, SHA, SHA, 5).to_json())),
    st.none()
    | st.booleans()
    | st.integers(max_value=-1)
    | st.floats()
    | st.lists(st.integers(), min_size=1),
)
def test_receipts_of_another_shape_are_refused(name: str, value: object) -> None:
    assume(not isinstance(value, bool) or name not in {"delivered", "retry"})
    row = make_receipt(1, SHA, SHA, SHA, 5).to_json()
    with pytest.raises(Misconfigured, match="receipt"):
        Receipt.from_json({**row, name: value})
    del row[name]
    with pytest.raises(Misconfigured, match="receipt"):
        Receipt.from_json(row)
    with pytest.raises(Misconfigured, match="receipt"):
        Receipt.from_json({**row, name: 1, "more": 2})
