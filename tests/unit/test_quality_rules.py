# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The quality rules fall on the same documents as datatrove's, and count exactly what they say.

tests/vectors/corpus_quality.jsonl was recorded by tools/record_quality_vectors.py.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.document import Document
from bastide.filters.c4 import C4
from bastide.filters.chain import run_filters
from bastide.filters.filter import Filter
from bastide.filters.fineweb import FineWeb
from bastide.filters.gopher_quality import GopherQuality
from bastide.filters.gopher_repetition import GopherRepetition
from bastide.filters.ngrams import Repeats
from bastide.filters.stop_words import STOP_WORDS

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "vectors/corpus_quality.jsonl").read_text().split("\n")
    if line
]
ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
FILTERS: tuple[Filter, ...] = (
    GopherQuality(stop_words=ENGLISH),
    GopherRepetition(),
    FineWeb(),
    C4(),
)
# datatrove's names of the rules.
NAMES = {
    "gopher_short_doc": "too-few-words",
    "gopher_long_doc": "too-many-words",
    "gopher_below_avg_threshold": "words-too-short",
    "gopher_above_avg_threshold": "words-too-long",
    "gopher_too_many_hashes": "hashes",
    "gopher_too_many_ellipsis": "ellipses",
    "gopher_too_many_bullets": "bullet-lines",
    "gopher_too_many_end_ellipsis": "ellipsis-lines",
    "gopher_below_alpha_threshold": "non-alphabetic-words",
    "gopher_enough_stop_words": "stop-words",
    "dup_para_frac": "paragraphs",
    "dup_para_char_frac": "paragraph-characters",
    "dup_line_frac": "lines",
    "dup_line_char_frac": "line-characters",
    **{f"top_{n}_gram": f"top-{n}-gram" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"repeated-{n}-grams" for n in range(5, 11)},
    "lorem_ipsum": "lorem-ipsum",
    "curly_bracket": "curly-bracket",
    "too_few_sentences": "too-few-sentences",
    "empty": "empty",
    "line_punct_ratio": "line-punctuation",
    "short_line_ratio": "short-lines",
    "char_dup_ratio": "repeated-characters",
    "list_ratio": "line-breaks",
}


def document(text: str, language: str = "") -> Document:
    return Document(ident="d", text=text, source="test", language=language)


@pytest.mark.parametrize("one", FILTERS, ids=lambda one: one.ident)
def test_the_same_documents_fall_by_the_same_rule_as_in_datatrove(one: Filter) -> None:
    for row in ROWS:
        outcome = one.apply(document(row["text"]))
        said = row[one.ident]
        assert outcome.reason == (said and f"{one.ident}/{NAMES[said]}"), row["id"]
        if one.ident == "c4" and outcome.document is not None:
            assert outcome.document.text == row["c4-text"], row["id"]


def test_the_vectors_break_most_rules() -> None:
    rules = {(one.ident, rule) for one in FILTERS for rule in one.rules}
    broken = {
        (one.ident, NAMES[row[one.ident]]) for row in ROWS for one in FILTERS if row[one.ident]
    }
    assert broken <= rules
    assert len(rules - broken) <= 7, rules - broken


def test_a_text_without_words_is_removed_where_datatrove_divides_by_zero() -> None:
    for one in FILTERS:
        for text in ("", " \n \n"):
            assert one.apply(document(text)).document is None


def test_a_reason_is_always_one_of_the_listed_rules() -> None:
    for row in ROWS:
        for one in FILTERS:
            reason = one.apply(document(row["text"])).reason
            assert not reason or reason in {f"{one.ident}/{rule}" for rule in one.rules}


@given(st.lists(st.sampled_from(["a", "bb", "c", "dd", "e"]), max_size=80), st.integers(2, 10))
def test_repeats_count_as_the_plain_definition_does(words: list[str], n: int) -> None:
    grams = Repeats(words, dict.fromkeys(words))
    for _ in range(n - 1):
        grams.longer()
    all_grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    top = 0
    if all_grams:
        first, most = Counter(all_grams).most_common(1)[0]
        top = (sum(map(len, first)) + n - 1) * most
    assert grams.top_chars() == top
    seen: set[tuple[str, ...]] = set()
    chars = at = 0
    while at < len(all_grams):
        if all_grams[at] in seen:
            chars += sum(map(len, all_grams[at]))
            at += n
        else:
            seen.add(all_grams[at])
            at += 1
    assert grams.repeated_chars(-1) == chars
    assert grams.repeated_chars(chars) in (0, chars)


@given(st.text(max_size=400))
def test_no_text_makes_a_filter_fail(text: str) -> None:
    for one in FILTERS:
        one.apply(document(text))


def test_function_words_are_those_of_the_language() -> None:
    row = next(row for row in ROWS if "Menschenrechte" in row["text"])
    assert GopherQuality().apply(document(row["text"], "deu_Latn")).document is not None
    english = GopherQuality().apply(document(row["text"], "eng_Latn"))
    assert english.reason == "gopher-quality/stop-words"
    assert GopherQuality().apply(document(row["text"], "xyz_Latn")).document is not None
    assert len(STOP_WORDS) >= 26


def test_words_are_split_once_for_all_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    from bastide.filters import words as module

    made = []
    whole = module.Words.__init__
    monkeypatch.setattr(
        module.Words, "__init__", lambda self, text: (made.append(text), whole(self, text))[1]
    )
    good = next(row["text"] for row in ROWS if not any(row[one.ident] for one in FILTERS[:3]))
    outcome = run_filters(FILTERS[:3], document(good))
    assert outcome.document is not None
    assert len(made) == 1
    # C4 takes lines out: what comes after it needs the words of the new text.
    made.clear()
    run_filters((C4(sentences_min=0), FineWeb()), document("One is here. Two.\nThree four {\n"))
    assert len(made) <= 2


def test_the_chain_gives_the_first_removal_with_all_notes() -> None:
    text = "This line is whole.\nno\n" * 3
    outcome = run_filters((C4(sentences_min=1), GopherQuality()), document(text))
    assert outcome.document is None
    assert outcome.reason == "gopher-quality/too-few-words"
    assert outcome.notes == {"c4-lines": 3}
