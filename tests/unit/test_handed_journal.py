# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The journal of what a runner handed over: cut anywhere, it says what was begun before."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.handed import Handed, HandedAnswer
from bastide.app.handed_journal import HandedJournal, Row
from bastide.core.chat import Delta, GenerateRequest, Usage
from bastide.core.errors import Unavailable
from bastide.core.limits import UNSETTLED_S
from bastide.core.receipt import commit
from bastide.core.standing import Cut, Standing

SALT = b"s" * 32
GATEWAY = 7


def ident(number: int) -> str:
    return f"r_{number:026}"


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def answer(number: int) -> HandedAnswer:
    asked = GenerateRequest("id", "demo", prompt="a secret question")
    return HandedAnswer(asked, Standing(ident(number), "k", SALT, commit(SALT, "prompt", b"x")))


def cut(number: int, tokens: int = 1) -> Cut:
    made = answer(number)
    made.hand(Delta("a secret answer", usage=Usage(3, tokens)))
    return made.cut(1)


def test_what_was_begun_or_rewritten_is_read_and_the_last_word_counts(tmp_path: Path) -> None:
    journal = HandedJournal(tmp_path / "j", FixedClock())
    journal.begin(1, cut(1))
    journal.begin(2, cut(2))
    journal.begin(1, cut(1, 5))
    again = HandedJournal(tmp_path / "j", FixedClock())
    assert again.read() == {1: [cut(1, 5)], 2: [cut(2)]}
    journal.rewrite([(2, cut(2, 9))])
    journal.begin(1, cut(3))
    assert again.read() == {2: [cut(2, 9)], 1: [cut(3)]}
    journal.rewrite([])
    assert again.read() == {}
    at_rest = (tmp_path / "j").stat().st_ino
    journal.rewrite([])
    assert (tmp_path / "j").stat().st_ino == at_rest  # nothing to say, nothing written
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


@pytest.mark.attacks("C196")
def test_cut_at_every_byte_or_damaged_it_gives_what_is_whole_before_that(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = HandedJournal(path, FixedClock())
    ends = [0]
    for number in range(3):
        journal.begin(GATEWAY, cut(number))
        ends.append(path.stat().st_size)
    data = path.read_bytes()
    for size in range(len(data)):
        whole = sum(end <= size for end in ends) - 1
        for damaged in (data[:size], data[:size] + bytes([data[size] ^ 1]) + data[size + 1 :]):
            path.write_bytes(damaged)
            rows = journal.read().get(GATEWAY, [])
            assert rows == [cut(number) for number in range(whole)], size


@pytest.mark.attacks("C195")
def test_neither_text_nor_salt_is_in_it(tmp_path: Path) -> None:
    journal = HandedJournal(tmp_path / "j", FixedClock())
    journal.begin(GATEWAY, cut(1))
    data = (tmp_path / "j").read_bytes()
    assert b"secret" not in data and SALT not in data and ident(1).encode() in data


def test_an_answer_is_in_it_before_its_first_piece_and_none_that_failed_before(
    tmp_path: Path,
) -> None:
    clock = FixedClock()
    journal = HandedJournal(tmp_path / "j", clock)
    handed = Handed(clock, GATEWAY, journal)
    begun, failed = answer(1), answer(2)
    for one in (begun, failed):
        handed.begin(one)
        handed.note(one)
    assert journal.read() == {} and list(handed.rows()) == []
    begun.hand(Delta("The ", usage=Usage(3, 1)))
    handed.note(begun)
    begun.hand(Delta("tower.", usage=Usage(3, 2)))
    handed.note(begun)
    handed.end(failed, failed=True)
    (row,) = journal.read()[GATEWAY]
    assert row.completion_tokens == 1
    journal.rewrite(handed.rows())
    (row,) = journal.read()[GATEWAY]
    assert row.completion_tokens == 2
    assert row.answer_commitment == commit(SALT, "answer", b"The tower.")
    handed.end(begun, failed=False)
    assert [kept for _, kept in handed.rows()] == [structs.replace(row, time_ms=clock.now_ms())]


def test_what_begins_while_it_is_rewritten_is_in_the_file_of_before_and_in_the_next(
    tmp_path: Path,
) -> None:
    """At every turn of the rewrite the file says all that was begun, and so does the new one."""
    rows = [(GATEWAY, cut(number)) for number in range(200)]
    journal = HandedJournal(tmp_path / "j", FixedClock())
    journal.rewrite(rows)
    journal.begin(GATEWAY, cut(200))
    begun = {ident(number) for number in range(201)}
    for turn, _ in enumerate(journal._turns([*rows, (GATEWAY, lambda: cut(200))])):
        journal.begin(GATEWAY, cut(1_000 + turn))
        begun.add(ident(1_000 + turn))
        assert {row.receipt for row in journal.read()[GATEWAY]} == begun
    assert turn > 3
    assert {row.receipt for row in journal.read()[GATEWAY]} == begun
    journal.rewrite(rows)  # and what has ended goes with the next
    assert {row.receipt for row in journal.read()[GATEWAY]} == {row.receipt for _, row in rows}


def test_a_rewrite_that_is_left_or_torn_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = HandedJournal(tmp_path / "j", FixedClock())
    journal.begin(GATEWAY, cut(1))
    left = journal._turns([(GATEWAY, cut(2))])
    next(left)
    left.close()
    journal.begin(GATEWAY, cut(3))
    assert [row.receipt for row in journal.read()[GATEWAY]] == [ident(1), ident(3)]
    torn = journal._turns([(GATEWAY, cut(2))])
    next(torn)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Unavailable):
            journal.begin(GATEWAY, cut(4))
    with pytest.raises(Unavailable, match="cannot be kept"):
        next(torn)
    assert [row.receipt for row in journal.read()[GATEWAY]] == [ident(1), ident(3)]
    journal.rewrite([(GATEWAY, cut(5))])
    assert [row.receipt for row in journal.read()[GATEWAY]] == [ident(5)]


def test_where_it_cannot_be_written_no_answer_begins(tmp_path: Path) -> None:
    clock = FixedClock()
    journal = HandedJournal(tmp_path / "gone" / "j", clock)
    handed = Handed(clock, GATEWAY, journal)
    begun = answer(1)
    handed.begin(begun)
    begun.hand(Delta("The "))
    with pytest.raises(Unavailable, match="cannot be kept"):
        handed.note(begun)
    with pytest.raises(Unavailable):
        journal.rewrite([(1, cut(1))])
    (tmp_path / "gone").mkdir()
    with pytest.raises(Unavailable):  # a part of a record may be there: not before it is anew
        handed.note(begun)
    journal.rewrite([])
    handed.note(begun)
    assert [row.receipt for row in journal.read()[GATEWAY]] == [ident(1)]


def keep(journal: HandedJournal, rows: Sequence[Row]) -> None:
    """As it does every HANDED_JOURNAL_S."""
    for _ in journal._kept(rows):
        pass


def test_only_what_has_changed_is_added_until_most_of_it_is_old(tmp_path: Path) -> None:
    """Broken once to prove it: without the look at what is written, every row comes again."""
    clock, path = FixedClock(), tmp_path / "j"
    journal = HandedJournal(path, clock)
    for number in range(40):
        journal.begin(GATEWAY, cut(number))
    rows: list[Row] = [(GATEWAY, one) for one in journal.read()[GATEWAY]]
    journal.rewrite(rows)
    size, made = path.stat().st_size, path.stat().st_ino
    running = answer(40)
    running.hand(Delta("The ", usage=Usage(3, 1)))
    known = [*rows, (GATEWAY, lambda: running.cut(1))]
    for _ in range(3):
        keep(journal, known)
    one = path.stat().st_size - size
    running.hand(Delta("tower.", usage=Usage(3, 2)))
    keep(journal, known)
    assert size < path.stat().st_size == size + 2 * one and path.stat().st_ino == made
    assert [row.completion_tokens for row in journal.read()[GATEWAY]] == [1] * 40 + [2]
    keep(journal, rows[:20])  # more than half of it is old
    assert journal.read()[GATEWAY] == [row for _, row in rows[:20]]
    clock.advance(int(UNSETTLED_S * 1000))
    journal.begin(GATEWAY, cut(41))
    keep(journal, rows[:20])  # and nothing old stays for ever
    assert len(journal.read()[GATEWAY]) == 20


def test_what_a_killed_life_tore_hides_nothing_once_a_rewrite_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken once to prove it: a life that takes the file for made anew adds behind the tear."""
    path = tmp_path / "j"
    HandedJournal(path, FixedClock()).begin(GATEWAY, cut(1))
    with path.open("ab") as file:
        file.write(b"\x50\x01\0\0abc")  # it was killed in the middle of a record
    journal = HandedJournal(path, FixedClock())
    rows: list[Row] = [(GATEWAY, one) for one in journal.read()[GATEWAY]]
    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(os, "open", full)
        keep(journal, rows)
    journal.begin(GATEWAY, cut(2))
    keep(journal, [*rows, (GATEWAY, cut(2))])
    assert [row.receipt for row in journal.read()[GATEWAY]] == [ident(1), ident(2)]


def test_it_holds_no_more_old_rows_than_a_next_life_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken once to prove it: by their part alone, 15 rows that are known let 30 be there."""
    monkeypatch.setattr("bastide.app.handed_journal.CUTS_MAX", 20)
    journal = HandedJournal(tmp_path / "j", FixedClock())
    known: list[Row] = [(GATEWAY, cut(number)) for number in range(15)]
    journal.rewrite(known)
    for number in range(15, 25):
        journal.begin(GATEWAY, cut(number))
    keep(journal, known)
    assert len(journal.read()[GATEWAY]) == 15
