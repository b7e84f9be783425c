# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Decontamination finds what the plain rule finds, and says of which suite it is.

Broken once to prove the tests: with a stride too long by one, without the places before the one
found last, and with a question's answers counted as questions, they fail.
"""

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.document import Document
from bastide.core.errors import Misconfigured
from bastide.core.subject import Digest
from bastide.filters.catalogue import build
from bastide.filters.decontaminate import Decontaminate, Decontaminator, normal_words
from bastide.suites import FOUNDATION, SIMILARITY

LETTERS = "abcde"  # few words, so that they meet by chance
QUESTION = (
    "A train leaves Kuopio at nine and drives north for three hours at eighty kilometres an hour."
)


def step(questions: Iterable[str], **settings: Any) -> Decontaminator:
    rows = "\n".join(json.dumps({"prompt": one}) for one in questions)
    given = {"suites": [], "files": ["own.v1.jsonl"], **settings}
    return build("decontaminate", given).given({"own.v1.jsonl": rows.encode()})


def reason(one: Decontaminator, text: str) -> str:
    return one.apply(Document(ident="d", text=text, source="s")).reason


def naive(questions: list[list[str]], text: list[str], size: int, least: int, share: float) -> bool:
    """The rule as the module tells it, place by place."""

    def grams(words: list[str], length: int) -> set[tuple[str, ...]]:
        return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}

    asked = [words for words in map(list, dict.fromkeys(map(tuple, questions)))
             if len(words) >= least]  # fmt: skip
    own = [grams(words, min(size, len(words))) for words in asked]
    counts: dict[tuple[str, ...], int] = {}
    for rows in own:
        for gram in rows:
            counts[gram] = counts.get(gram, 0) + 1
    own = [{gram for gram in rows if len(gram) < size or counts[gram] <= 3} for rows in own]
    for rows in own:
        found = {gram for gram in rows if gram in grams(text, len(gram))}
        if found and len(found) >= share * len(rows):
            return True
    return False


WORDS = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=12)


@given(
    st.lists(WORDS, min_size=1, max_size=6),
    st.lists(st.sampled_from(LETTERS), max_size=60),
    st.integers(3, 8),
    st.integers(3, 5),
    st.sampled_from([0.0, 0.5, 0.7, 1.0]),
)
def test_it_finds_what_the_plain_rule_finds(
    questions: list[list[str]], text: list[str], size: int, least: int, share: float
) -> None:
    least = min(least, size)
    one = step(map(" ".join, questions), ngram=size, words_min=least, overlap_min=share)
    found = bool(reason(one, " ".join(text)))
    assert found == naive(questions, text, size, least, share)


@pytest.mark.parametrize("at", range(30))
def test_a_question_is_found_wherever_it_stands(at: int) -> None:
    draw = random.Random(at)
    noise = [f"w{draw.randrange(50)}" for _ in range(60)]
    text = " ".join([*noise[:at], QUESTION, *noise[at:]])
    one = step([QUESTION])
    outcome = one.apply(Document(ident="d", text=text, source="s"))
    assert outcome.reason == "decontaminate/own"
    assert outcome.notes == {"decontaminate/n-grams": len(normal_words(QUESTION)) - 12}
    assert not reason(one, " ".join(noise))


@pytest.mark.parametrize(
    "text",
    [
        QUESTION.upper(),
        QUESTION.replace(" ", "\n* "),
        QUESTION.replace(" at", ", at"),
        "Ａ train leaves Kuopio" + QUESTION.removeprefix("A train leaves Kuopio"),
    ],
)
def test_letters_and_marks_do_not_hide_it(text: str) -> None:
    assert reason(step([QUESTION]), text) == "decontaminate/own"


def test_a_short_question_is_found_as_a_whole_and_a_phrase_is_not() -> None:
    short, phrase = "Which river flows through the town of Turku?", "Good day to you all."
    one = step([short, phrase])
    assert reason(one, f"He asked: {short} Aura.") == "decontaminate/own"
    assert not reason(one, "Which river flows through the town of Turin?")
    assert not reason(one, f"She said: {phrase}")
    (row,) = one.covered
    assert (row.questions, row.searched) == (2, 1)


def test_each_suite_is_a_reason_of_its_own() -> None:
    one = Decontaminate().given({})
    for suite in (FOUNDATION, SIMILARITY):
        item = max(suite.items, key=lambda item: len(item.prompt))
        text = f"Before it. {item.prompt} {item.targets[0] if item.targets else ''} After it."
        assert reason(one, text) == f"decontaminate/{suite.name}"
    assert [(row.suite, row.digest, row.ngram) for row in one.covered] == [
        (suite.name, str(suite.digest), 13) for suite in (FOUNDATION, SIMILARITY)
    ]
    assert [row.questions for row in one.covered] == [len(FOUNDATION.items), len(SIMILARITY.items)]


def test_a_form_that_many_questions_share_is_none_of_them() -> None:
    form = "Read the following text and then say in one single word what it is about"
    many = [f"{form}: {name}" for name in ("bread", "rain", "boats", "snow", "wool")]
    assert not reason(step(many), f"{form}?")
    assert reason(step(many), f"{form}: rain") == "decontaminate/own"
    assert reason(step(many[:3]), f"{form}?") == "decontaminate/own"


def test_the_right_answers_of_one_question_are_no_form() -> None:
    answers = tuple(f"{QUESTION}\n{name}" for name in ("240", "two hundred and forty", "240 km",
                                                        "CCXL", "240000 metres"))  # fmt: skip
    one = Decontaminator(Decontaminate(), [("own", "sha256:" + "0" * 64, [answers])])
    assert reason(one, QUESTION) == "decontaminate/own"
    assert (one.covered[0].questions, one.covered[0].searched) == (1, 1)


def test_a_file_is_named_and_hashed() -> None:
    rows = "\n".join(json.dumps({"prompt": one}) for one in [QUESTION])
    (row,) = step([QUESTION]).covered
    assert (row.suite, row.digest) == ("own", str(Digest.of(rows.encode())))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"prompt": "a"}\n{"text": "b"}', "own.v1.jsonl:2: no text in the fields"),
        (b'{"prompt": 7}', "own.v1.jsonl:1: no text in the fields"),
        (b'{"prompt": "a"}\n[1]', "own.v1.jsonl:2: not an object"),
        (b"\xff", "own.v1.jsonl:1: not an object"),
        (b"\n", "own.v1.jsonl is empty"),
    ],
)
def test_a_wrong_line_is_named(data: bytes, told: str) -> None:
    one = build("decontaminate", {"suites": [], "files": ["own.v1.jsonl"]})
    with pytest.raises(Misconfigured, match=told):
        one.given({"own.v1.jsonl": data})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"suites": ["foundatoin"]}, "there is no suite 'foundatoin'"),
        ({"suites": []}, "names no suite"),
        ({"files": ["a/foundation.jsonl"]}, "two suites have one name"),
        ({"files": ["A B.jsonl"]}, "is named by its file"),
        ({"ngram": 5}, "words_min <= ngram"),
        ({"words_min": 2}, "words_min <= ngram"),
        ({"overlap_min": 1.5}, "overlap_min"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        build("decontaminate", settings)
