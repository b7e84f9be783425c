# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The join and the root of random corpora: into however many ranges they are cut, and by whoever
they are worked on, every object that is left has the same bytes.

Broken once to prove the tests: with ranges that begin one row late, with signatures of the parts of
another range, with subtrees that are not aligned, and with a join that is noted without the keys
that documents have in the dataset, they fail.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app import corpus_ranges, wiring
from bastide.app.config import Home
from bastide.app.corpora import export_dataset
from bastide.app.corpus_budget import Draw
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_duplicates import find_duplicates, merge_keys
from bastide.app.corpus_join import join
from bastide.app.corpus_objects import RunWriter, read_object
from bastide.app.corpus_part import (
    BAND_WIDTH,
    KEY_WIDTH,
    OWN_WIDTH,
    SIGNATURE_WIDTH,
    SIZE_WIDTH,
    TEXT_WIDTH,
    PartReport,
    Workbench,
    place_of,
)
from bastide.app.corpus_ranges import ranges_for
from bastide.app.corpus_removed import REMOVED_WIDTH, owned_range
from bastide.app.corpus_root import write_leaves
from bastide.app.corpus_shards import LEAF_WIDTH, BatchReport
from bastide.core.errors import NotProven, Refused
from bastide.crypto.merkle import leaf_hash, root
from bastide.filters.budget import NONE, Budget
from bastide.filters.near_duplicate import NearDuplicate, bands
from bastide.ports import SealingStore
from paths.corpus_rig import copied, found_home, seeded, write_corpus
from unit.corpus_team import Here, Stop, team_of

WIDTHS = {
    "keys": KEY_WIDTH, "texts": TEXT_WIDTH, "bands": BAND_WIDTH, "signatures": SIGNATURE_WIDTH,
}  # fmt: skip

# A document: its part, which text it has, and in how many places its signature is another.
Document = tuple[int, int, int]
CORPUS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12), st.integers(0, 30)), max_size=60)


def hashed(*values: object) -> bytes:
    return hashlib.sha256(repr(values).encode()).digest()


def signature_of(text: int, changed: int) -> bytes:
    plain = b"".join(hashed(text, at)[:4] for at in range(128))
    return b"".join(hashed(changed, at)[:4] for at in range(changed)) + plain[4 * changed :]


def written(store: SealingStore, corpus: list[Document], memory: int) -> list[PartReport]:
    reports = []
    for part in range(5):
        runs = {
            kind: RunWriter(store, f"c/parts/{part:06d}/{kind}", width, memory=memory,
                            keep_order=kind == "signatures")
            for kind, width in WIDTHS.items()
        }  # fmt: skip
        own = [(at, row) for at, row in enumerate(corpus) if row[0] == part]
        for position, (at, (_, text, changed)) in enumerate(own):
            key, digest = hashed("key", at), hashed("text", text, changed)
            place, signature = place_of(part, position), signature_of(text, changed)
            runs["keys"].add(key + place)
            runs["texts"].add(digest + key + place)
            runs["signatures"].add(place + signature)
            for band in bands(signature):
                runs["bands"].add(band.to_bytes(8, "big") + digest[:16] + key + place)
        counts = {kind: run.close() for kind, run in runs.items()}
        reports.append(PartReport(part, "s", read=len(own), objects=counts))
    return reports


def joined(corpus: list[Document], ranges: int, memory: int) -> dict[str, Any]:
    store = wiring.open_scratch(SeededEntropy(b"ranges"))
    reports = written(store, corpus, memory)
    one = team_of(store, ranges, memory)
    merge_keys(one, reports)
    counts = find_duplicates(one, reports, NearDuplicate())
    one.clear()
    assert not store.names("c/merge")
    kept = ("keys", "duplicates", "gone")
    return {"counts": counts, **{name: read_object(store, f"c/{name}") for name in kept}}


@settings(max_examples=40)
@given(CORPUS, st.sampled_from([2, 3, 5, 64]), st.sampled_from([4_000, 1 << 22]))
def test_any_number_of_ranges_finds_the_same(
    corpus: list[Document], ranges: int, memory: int
) -> None:
    assert joined(corpus, ranges, memory) == joined(corpus, 1, 1 << 22)


def test_the_corpora_have_duplicates_of_both_kinds() -> None:
    corpus = [(at % 5, at % 7, (at * at) % 9) for at in range(60)]
    assert min(joined(corpus, 3, 4_000)["counts"].values()) > 3


def test_two_documents_of_one_name_are_refused_in_any_range() -> None:
    for ranges in (1, 4):
        store = wiring.open_scratch(SeededEntropy(b"ranges"))
        reports = written(store, [(part, 1, 0) for part in range(5)], 1 << 20)
        run = RunWriter(store, "c/parts/000004/keys", KEY_WIDTH)
        run.add(hashed("key", 0) + place_of(4, 0))
        run.close()
        with pytest.raises(Refused, match="the same name") as caught:
            merge_keys(team_of(store, ranges, 1 << 20), reports)
        assert caught.value.reasons == (f"s: key {hashed('key', 0).hex()}",)


@settings(max_examples=60)
@given(st.integers(0, 130), st.sampled_from([1, 2, 3, 7, 64]), st.integers(1, 4))
def test_any_number_of_ranges_gives_the_root_of_the_whole(
    count: int, ranges: int, batches: int
) -> None:
    store = wiring.open_scratch(SeededEntropy(b"root"))
    rows = [hashed("leaf", at) + hashed(at) + bytes(12) for at in range(count)]
    reports = []
    for number in range(batches):
        writer = RunWriter(store, f"c/batches/{number:06d}/leaves", LEAF_WIDTH, memory=3_000)
        for row in rows[number::batches]:
            writer.add(row)
        reports.append(BatchReport(number, "", leaves=writer.close()))
    found, size = write_leaves(team_of(store, ranges, 1 << 20), reports)
    assert size == count
    ordered = sorted(rows)
    assert read_object(store, "c/leaves") == b"".join(ordered)
    assert found == root([leaf_hash(row[:64]) for row in ordered])
    assert not store.names("c/merge")


def test_a_key_that_stands_twice_has_no_root() -> None:
    store = wiring.open_scratch(SeededEntropy(b"root"))
    writer = RunWriter(store, "c/batches/000000/leaves", LEAF_WIDTH)
    for text in (b"a", b"b"):
        writer.add(hashed("leaf") + hashed(text) + bytes(12))
    report = BatchReport(0, "", leaves=writer.close())
    with pytest.raises(NotProven, match="twice"):
        write_leaves(team_of(store, 4, 1 << 20), [report])


def test_few_rows_are_not_divided() -> None:
    assert ranges_for(8, 1_000) == 1
    assert ranges_for(8, 10_000_000_000) == 32
    assert ranges_for(256, 10_000_000_000) == 1_024


BUDGET = Budget(
    unit="documents", sources=("14 s",), total=11, seed="1", places=("s s",), short="take"
).given({})


def drawable(store: SealingStore, corpus: list[Document]) -> list[PartReport]:
    """What parts write of a corpus whose documents have sizes, and most have keys of their own."""
    reports = written(store, corpus, 1 << 20)
    for report in reports:
        sizes = RunWriter(store, f"c/parts/{report.number:06d}/sizes", SIZE_WIDTH, keep_order=True)
        own = RunWriter(store, f"c/parts/{report.number:06d}/own", OWN_WIDTH, keep_order=True)
        rows = [at for at, row in enumerate(corpus) if row[0] == report.number]
        for position, at in enumerate(rows):
            place = place_of(report.number, position)
            numbers = (0).to_bytes(2, "big") + NONE.to_bytes(2, "big")
            rank, one = hashed("rank", at)[:8], (1).to_bytes(8, "big")
            sizes.add(place + rank + hashed("key", at) + numbers + one)
            if at % 3:
                own.add(place + hashed("own", at))
        report.objects |= {"sizes": sizes.close(), "own": own.close()}
    return reports


def drawn(ranges: int, most: int) -> tuple[dict[str, Any], int]:
    """What a join with keys of the dataset and a draw makes, and how often it was stopped."""
    corpus = [(at % 5, at % 23, (at * at) % 9) for at in range(40)]
    store = wiring.open_scratch(SeededEntropy(b"drawn"))
    reports, stops = drawable(store, corpus), 0
    while True:
        plain = team_of(store, ranges, 1 << 20)
        one = replace(plain, pool=cast("Any", Here(plain.bench, most)))
        draw = Draw(BUDGET)
        try:
            merge_keys(one, reports)
            counts = find_duplicates(one, reports, NearDuplicate(), draw)
        except Stop:
            stops += 1
            continue
        made = {name: read_object(store, f"c/{name}") for name in ("keys", "duplicates", "gone")}
        return {"counts": counts, "budgets": draw.counts, **made}, stops


@pytest.mark.parametrize(("ranges", "most"), [(4, 3), (7, 1)])
def test_a_join_that_is_stopped_after_any_job_goes_on(ranges: int, most: int) -> None:
    whole, stops = drawn(1, 1_000)
    assert not stops
    assert len(whole["counts"]) == 4  # equal, similar, by source, by total
    assert hashed("own", 4) in whole["duplicates"]
    found, stops = drawn(ranges, most)
    assert stops > 10
    assert found == whole


class Counting(Here):
    """A pool that counts the rows of the ranges that get keys of the dataset, by turn."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.rows: dict[int, list[int]] = {}

    def each(
        self, task: Callable[[Workbench, Any], Any], jobs: Sequence[Any]
    ) -> Iterator[tuple[Any, Any]]:
        for job in jobs:
            if task is owned_range:
                rows = job.rows(self._bench, self._bench.open(), REMOVED_WIDTH)
                counts = self.rows.setdefault(job.turn, [])
                counts.append(sum(1 for _ in rows))
        return super().each(task, jobs)


def test_what_no_budget_has_room_for_is_divided_among_the_ranges() -> None:
    corpus = [(at % 5, at, 0) for at in range(200)]  # none is the duplicate of another
    store = wiring.open_scratch(SeededEntropy(b"divided"))
    reports = drawable(store, corpus)
    plain = team_of(store, 5, 1 << 20)
    pool = Counting(plain.bench)
    one = replace(plain, pool=cast("Any", pool))
    merge_keys(one, reports)
    counts = find_duplicates(one, reports, None, Draw(BUDGET))
    gone = sum(counts.values())
    assert gone == 189  # all but the eleven of the budget
    assert set(pool.rows) == {0, 1}
    for rows in pool.rows.values():
        assert sum(rows) == gone
        assert min(rows) > gone // 10  # of five ranges


def test_a_join_that_is_noted_is_one_of_the_same_own_keys() -> None:
    store = wiring.open_scratch(SeededEntropy(b"own"))
    reports = written(store, [(0, 1, 0), (1, 1, 0)], 1 << 20)
    plain = team_of(store, 1, 1 << 20)
    one = replace(plain, pool=cast("Any", Here(plain.bench)))
    counts = join(one, reports, (), ()).removed
    assert counts == {"exact-duplicate/equal": 1}
    before = read_object(store, "c/duplicates")
    for part in (0, 1):
        run = RunWriter(store, f"c/parts/{part:06d}/own", OWN_WIDTH, keep_order=True)
        run.add(place_of(part, 0) + hashed("own", part))
        reports[part].objects["own"] = run.close()
    for name in store.names("c/merge"):
        if not name.endswith("done-joined"):
            store.delete(name)  # what the ranges noted would be asked for first
    assert join(one, reports, (), ()).removed == counts
    after = read_object(store, "c/duplicates")
    assert hashed("own", 0) in after
    assert hashed("own", 1) in after
    assert before != after


@pytest.mark.slow
def test_workers_make_of_ranges_the_dataset_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, recipe = found_home(tmp_path), write_corpus(tmp_path / "corpus")
    found = []
    for name, least in (("one", 1_000_000), ("many", 9)):
        monkeypatch.setattr(corpus_ranges, "_ROWS_MIN", least)
        home = copied(empty, tmp_path / name)
        with seeded(home) as env:
            build_dataset(env, recipe, 2)
            files = export_dataset(env, "tiny", tmp_path / f"{name}-out", "jsonl")
            found.append({path.name: path.read_bytes() for path in files})
        assert not list(Home(home.root).store.glob("corpora/*/merge/*"))
    assert found[0] == found[1]
    assert ranges_for(2, 60) == 6
