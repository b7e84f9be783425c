# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The draw of the step `budget` over random corpora, and every contradiction that it refuses.

Broken once to prove the tests: with a draw that goes on behind the first document that does not
fit, with one that counts duplicates, and with ranges that begin at nothing, they fail.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.app import wiring
from bastide.app.corpus_budget import Draw, verify_budgets
from bastide.app.corpus_objects import RunWriter, read_rows
from bastide.app.corpus_part import SIZE_WIDTH, PartReport, place_of
from bastide.app.corpus_removed import GONE_WIDTH, SPENT_WIDTH
from bastide.core.dataset import document_key
from bastide.core.document import Document
from bastide.core.errors import Misconfigured, Refused
from bastide.filters.budget import Budget, Budgeter
from bastide.filters.catalogue import build
from bastide.filters.sample import rank
from unit.corpus_team import team_of

PLACES = ("web crawl/*.jsonl", "mail in/mix-mail", "law law.parquet")
LANGUAGES = ("ces_Latn", "deu_Latn", "")


def budgeter(files: dict[str, bytes] | None = None, **values: Any) -> Budgeter:
    values = {"unit": "bytes", "seed": "s", "places": PLACES, **values}
    return build("budget", values).given(files or {})


Rows = list[tuple[int, int, int]]  # source, language, size
CORPUS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 40)), max_size=40)


def draw(
    one: Budgeter, rows: Rows, gone: set[int], parts: int, memory: int, ranges: int = 1
) -> tuple[Draw, set]:
    """What goes, and the reason's number, by the number of a document."""
    store = wiring.open_scratch(SeededEntropy(b"budget"))
    documents = [
        Document(str(number), "x" * size, PLACES[source].split()[0], language=LANGUAGES[language])
        for number, (source, language, size) in enumerate(rows)
    ]
    reports = []
    for part in range(parts):
        name = f"c/parts/{part:06d}/sizes"
        writer = RunWriter(store, name, SIZE_WIDTH, memory=memory, keep_order=True)
        for number, document in enumerate(documents):
            if number % parts == part:
                key = document_key(document.source, document.ident)
                writer.add(one.counted(document, key, place_of(part, number), {}))
        reports.append(PartReport(part, "", objects={"sizes": writer.close()}))
    team = team_of(store, ranges, memory)
    places = RunWriter(store, "c/merge/left-0", GONE_WIDTH, memory=memory)
    for number in gone:
        places.add(place_of(number % parts, number) + b"\0")
    drawn = Draw(one)
    runs = drawn.spent(team, reports, team.made("left", [places.close()])).names
    found = []
    for name in runs:
        own = list(read_rows(store, name, SPENT_WIDTH))
        assert own == sorted(own)
        found += own
    return drawn, {(int.from_bytes(row[36:40], "big"), row[40]) for row in found}


def expected(one: Budgeter, rows: Rows, gone: set[int]) -> set[tuple[int, int]]:
    """The same in memory, by the words of the reference."""

    def name(number: int) -> tuple[str, str]:
        source, language, _ = rows[number]
        return PLACES[source].split()[0], LANGUAGES[language]

    def order(number: int) -> tuple[int, bytes]:
        key = document_key(name(number)[0], str(number))
        return rank(key.hex(), "s"), key

    left = sorted(set(range(len(rows))) - gone, key=order)
    went = set()
    for rule_number, rule in enumerate(Budget.rules):
        room = {ask.name: ask.amount for ask in one.asks if ask.rule == rule}
        full = set()
        stay = []
        for number in left:
            source, language = name(number)
            names = {"source": [source, f"{source}/{language}"], "language": [language],
                     "total": [""]}[rule]  # fmt: skip
            own = next((one for one in names if one in room), None)
            split = rule == "source" and any(key.startswith(f"{source}/") for key in room)
            if own is None:
                (went.add((number, rule_number)) if split else stay.append(number))
                continue
            if own in full or rows[number][2] > room[own]:
                full.add(own)
                went.add((number, rule_number))
                continue
            room[own] -= rows[number][2]
            stay.append(number)
        left = stay
    return went


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "total": st.integers(1, 500),
        "sources": st.sampled_from(
            [("90 web",), ("60 web/ces_Latn", "30 mail"), ("0 law", "100 mail/deu_Latn")]
        ),
        "languages": st.sampled_from([("70 ces_Latn",), ("50 deu_Latn", "9 ces_Latn")]),
    },
).filter(bool)


@settings(max_examples=60)
@given(CORPUS, SETTINGS, st.sets(st.integers(0, 39), max_size=8), st.sampled_from([1, 3]),
       st.sampled_from([400, 1 << 20]), st.sampled_from([1, 2, 5]))  # fmt: skip
def test_what_goes_depends_on_nothing_but_names_and_sizes(
    rows: Rows, values: dict[str, Any], gone: set[int], parts: int, memory: int, ranges: int
) -> None:
    one = budgeter(short="take", **values)
    gone = {number for number in gone if number < len(rows)}
    drawn, went = draw(one, rows, gone, parts, memory, ranges)
    assert went == expected(one, rows, gone)
    assert drawn.counts == draw(one, rows, gone, 1, 1 << 20)[0].counts
    for count in drawn.counts:
        assert count.taken <= min(count.asked, count.there)
        assert count.epochs_thousandths == 1_000


def test_a_larger_budget_holds_the_smaller() -> None:
    rows = [(number % 3, 0, 7 + number % 5) for number in range(60)]
    kept = []
    for total in (50, 200, 350):
        _, went = draw(budgeter(total=total), rows, set(), 2, 1 << 20)
        kept.append(set(range(60)) - {number for number, _ in went})
    assert kept[0] < kept[1] < kept[2]


def counted(rows: Rows, **values: Any) -> list[Any]:
    one = budgeter(**values)
    drawn, _ = draw(one, rows, set(), 1, 1 << 20)
    verify_budgets(one, drawn.counts)
    return drawn.counts


def test_what_is_missing_is_refused_taken_or_repeated() -> None:
    rows = [(0, 0, 10)] * 10 + [(1, 1, 10)] * 10
    asked = {"sources": ("150 web", "50 mail")}
    with pytest.raises(Refused) as caught:
        counted(rows, **asked)
    assert caught.value.reasons == ("source web: 150 bytes are asked for, 100 are there",)
    web, mail = counted(rows, short="take", **asked)
    assert (web.there, web.taken, web.documents, web.epochs_thousandths) == (100, 100, 10, 1_000)
    assert (mail.there, mail.taken, mail.documents) == (100, 50, 5)
    web, mail = counted(rows, short="repeat", **asked)
    assert (web.taken, web.epochs_thousandths, mail.epochs_thousandths) == (100, 1_500, 1_000)
    with pytest.raises(Refused, match="cannot be met"):
        counted(rows, short="repeat", epochs_max=1.4, **asked)
    with pytest.raises(Refused) as caught:
        counted(rows, short="take", total=9)
    assert caught.value.reasons == ("total: the first document that is drawn is larger than 9",)


def test_budgets_that_fill_the_total_are_met_though_documents_do_not_fit_exactly() -> None:
    rows = [(0, 0, 10)] * 10 + [(1, 1, 10)] * 10
    web, mail, whole = counted(rows, sources=["65 web", "35 mail"], total=100)
    assert (web.taken, mail.taken, whole.there, whole.taken) == (60, 30, 90, 90)
    with pytest.raises(Refused) as caught:
        counted(rows, sources=["65 web"], total=170)
    assert caught.value.reasons == ("total: 170 bytes are asked for, 160 are there",)


def test_a_mix_shares_out_the_total() -> None:
    mix = b"# weights\n1.5 web\n0.5 mix-mail/source/deu_Latn # the folder\n\n0 law\n"
    one = budgeter({"datamix.txt": mix}, mix=["datamix.txt"], total=1_000)
    assert [(ask.name, ask.amount) for ask in one.asks] == [
        ("web", 750), ("mail/deu_Latn", 250), ("law", 0),
    ]  # fmt: skip
    same = budgeter(weights=["3 web", "1 mail/deu_Latn", "0 law"], total=1_000)
    assert same.asks == one.asks
    assert one.numbers("mail", "ces_Latn")[0] == 0xFFFE  # of a language that the mix has not


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "states no budget"),
    "unit": ({"unit": "lines", "total": 1}, "unit is one of"),
    "tokens without a tokenizer": ({"unit": "tokens", "total": 1}, "needs one tokenizer"),
    "two ways": ({"sources": ["1 web"], "weights": ["1 web"], "total": 1}, "contradict"),
    "no total": ({"weights": ["1 web"]}, "there is none"),
    "repeat of two kinds": (
        {"sources": ["1 web"], "languages": ["1 ces_Latn"], "short": "repeat"}, "one kind",
    ),
    "unknown": ({"sources": ["1 wep"]}, "names no source"),
    "no amount": ({"sources": ["web 1"]}, "not an amount and a name"),
    "twice": ({"sources": ["1 web", "2 web"]}, "twice"),
    "two names of one": ({"sources": ["1 mail", "2 mix-mail"]}, "two budgets"),
    "whole and part": ({"sources": ["1 web", "2 web/ces_Latn"]}, "as a whole"),
    "more than the total": ({"sources": ["7 web", "4 law"], "total": 10}, "the total is 10"),
    "more languages": ({"languages": ["11 ces_Latn"], "total": 10}, "the total is 10"),
    "not all": ({"weights": ["1 web"], "total": 10}, "no weight is stated for law, mail"),
    "no weight": ({"weights": ["0 web", "0 mail", "0 law"], "total": 9}, "all weights are 0"),
    "negative": ({"total": -1}, "not a size"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(WRONG))
def test_contradictions_are_named(case: str) -> None:
    values, told = WRONG[case]
    with pytest.raises(Misconfigured, match=told):
        budgeter(**values)


@pytest.mark.parametrize("text", ["", "# nothing\n", "web\n", "1 web more\n", "-1 web\n"])
def test_a_broken_mix_is_named_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"datamix\.txt"):
        budgeter({"datamix.txt": text.encode()}, mix=["datamix.txt"], total=9)
