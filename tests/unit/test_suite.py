# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The built-in suite is balanced and stable, and its scoring says what the reference page says."""

import dataclasses
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bastide.suites.foundation as foundation
from bastide.core.canonical import canonical
from bastide.core.chat import TokenChoice
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.subject import Digest
from bastide.suites import (
    DEMO_FLOORS,
    EMBEDDING_FLOORS,
    SUITES,
    Item,
    Method,
    Suite,
    closest,
    pick,
    score,
    suite_for,
)

SUITE = SUITES["foundation"]
CHOICES = [item for item in SUITE.items if item.method is Method.CHOICE]
# Changes with every change of an item: then the version changes as well.
GOLDEN = "sha256:97a3b4cdb7fed2ccbb379f0205c3b7ab995221ec3abae2393d7e6633bd7d5040"
SIMILARITY_GOLDEN = "sha256:441fe580404463ad72ed193f9c275bf4971d1ab2577e5cc3e77fb3f0d560f6fa"
CAPITAL = SUITE.item("knowledge/capitals-west/1")


def test_the_suite_has_at_least_200_items_with_distinct_idents():
    idents = [item.ident for item in SUITE.items]
    assert len(idents) >= 200
    assert len(set(idents)) == len(idents)
    for item in SUITE.items:
        assert re.fullmatch(r"[a-z]+/[a-z-]+/[0-9]+", item.ident)
        assert item.ident.startswith(item.benchmark + "/")


def test_the_digest_names_the_canonical_items_and_is_stable():
    assert Digest.of(canonical(SUITE.to_json())) == SUITE.digest
    assert str(SUITE.digest) == GOLDEN
    assert (SUITE.name, SUITE.version) == ("foundation", "1")


@pytest.mark.parametrize("field", ["prompt", "system", "targets"])
def test_another_item_gives_another_digest(field):
    first = SUITE.items[0]
    value = ("Madrid",) if field == "targets" else getattr(first, field) + "."
    changed = dataclasses.replace(first, **{field: value})
    other = dataclasses.replace(SUITE, items=(changed, *SUITE.items[1:]))
    assert other.digest != SUITE.digest


def test_no_two_items_ask_the_same():
    asked = Counter((item.system, item.prompt, item.options) for item in SUITE.items)
    assert [question for question, count in asked.items() if count > 1] == []


def test_every_option_of_a_group_is_right_exactly_once():
    for group in SUITE.groups():
        if group[0].method is Method.CHOICE:
            options = group[0].options
            assert len(options) == 4
            assert {item.options for item in group} == {options}
            assert Counter(item.targets[0] for item in group) == dict.fromkeys(options, 1)


def test_the_places_of_the_answers_are_balanced():
    for benchmark in {item.benchmark for item in CHOICES}:
        places = Counter(
            item.options.index(item.targets[0]) for item in CHOICES if item.benchmark == benchmark
        )
        assert len(places) == 4
        assert len(set(places.values())) == 1


def test_no_option_is_empty_and_no_two_begin_alike():
    for item in CHOICES:
        assert all(option.strip() == option and option for option in item.options)
        assert len({option[0].casefold() for option in item.options}) == 4
        assert all(option[0].isascii() for option in item.options)


def test_prompts_are_short_and_generations_are_capped():
    for item in SUITE.items:
        assert len(item.prompt) <= 100
        assert item.prompt == item.prompt.strip()
        assert item.tokens_max <= 10
    letters = sum(len(item.prompt) + len(item.system) for item in SUITE.items)
    assert letters / len(SUITE.items) < 40


def test_the_secrets_are_in_the_system_turn_only():
    for item in SUITE.items:
        if item.method is Method.LEAKAGE:
            (secret,) = item.targets
            assert secret in item.system
            assert secret not in item.prompt
            assert score(item, f"It is {secret.upper()}!") == 0
            assert score(item, "It is " + "-".join(secret)) == 0
            assert score(item, "I can not say.") == 1


def test_the_item_files_are_in_the_public_domain():
    files = sorted(Path(foundation.__file__).parent.glob("*.py"))
    items = [path for path in files if path.name not in {"__init__.py", "square.py"}]
    assert len(items) == 8
    for path in items:
        assert path.read_text().splitlines()[1].endswith("Identifier: CC0-1.0")


def test_the_demo_floors_are_above_chance_and_of_benchmarks_that_exist():
    assert set(DEMO_FLOORS) <= set(SUITE.benchmarks)
    assert all(0.25 < floor < 1 for floor in DEMO_FLOORS.values())


def test_the_suite_for_embeddings_is_stable_and_its_floors_are_above_chance():
    suite = SUITES["similarity"]
    assert str(suite.digest) == SIMILARITY_GOLDEN
    assert set(EMBEDDING_FLOORS) == set(suite.benchmarks)
    assert all(0.25 < floor < 1 for floor in EMBEDDING_FLOORS.values())
    for item in suite.items:
        assert (item.method, len(item.options)) == (Method.NEAREST, 4)
    asked = Counter(item.prompt for item in suite.items)
    assert max(asked.values()) == 1
    for benchmark in suite.benchmarks:
        targets = Counter(item.targets for item in suite.items if item.benchmark == benchmark)
        assert max(targets.values()) == 1


def test_an_embedding_model_is_asked_another_suite():
    assert suite_for("bert") is SUITES["similarity"]
    assert suite_for("llama") is SUITES["foundation"]


def test_the_nearest_option_is_the_answer_and_a_tie_is_none():
    item = SUITES["similarity"].items[0]
    wall, tower, bridge = (1.0, 0.0), (0.8, 0.6), (0.0, 1.0)
    assert closest(item, [wall, bridge, tower, bridge, bridge]) == item.options[1]
    assert closest(item, [wall, tower, tower, bridge, bridge]) == ""
    assert score(item, item.targets[0]) == 1
    assert score(item, "") == 0


@pytest.mark.parametrize("changes", [{"options": ("a", "a")}, {"targets": ("no",)}, {"prompt": ""}])
def test_a_comparison_without_a_right_answer_is_refused(changes):
    item = dataclasses.replace(SUITES["similarity"].items[0], **changes)
    with pytest.raises(Misconfigured):
        Suite("broken", "1", (item,))


def test_groups_hold_every_item_once():
    grouped = [item.ident for group in SUITE.groups() for item in group]
    assert sorted(grouped) == sorted(item.ident for item in SUITE.items)


def test_an_unknown_item_is_not_found():
    with pytest.raises(NotFound):
        SUITE.item("knowledge/none/1")


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": ""},
        {"targets": ()},
        {"targets": ("Lisbon",)},
        {"options": ("Paris", "Prague", "Rome", "Madrid")},
        {"options": ("Paris", "", "Rome", "Madrid"), "targets": ("",)},
        {"tokens_max": 4},
        {"method": Method.EXACT},
    ],
)
def test_an_item_without_a_right_answer_is_refused(changes):
    with pytest.raises(Misconfigured):
        Suite("broken", "1", (dataclasses.replace(CAPITAL, **changes),))


def test_doubled_and_missing_items_are_refused():
    with pytest.raises(Misconfigured):
        Suite("doubled", "1", (CAPITAL, CAPITAL))
    with pytest.raises(Misconfigured):
        Suite("empty", "1", ())


@pytest.mark.parametrize(
    ("tokens", "answer"),
    [
        ([(" Paris", 0.5), (" Rome", 0.3)], "Paris"),
        ([(" the", 0.9), (" R", 0.05), (" Ro", 0.02), (" Paris", 0.06)], "Rome"),
        ([("Berlin.", 0.5), (" Paris", 0.4)], "Berlin"),
        ([(" Parisian", 0.5), (" Madrid", 0.1)], "Madrid"),
        ([(" paris", 0.5), (" P", 0.1)], "Paris"),
        ([(" ", 0.9), ("", 0.05)], ""),
        ([(" the", 0.9)], ""),
        ([(" Paris", 0.25), (" Rome", 0.25)], ""),
        ([], ""),
    ],
)
def test_the_likeliest_option_is_picked_by_its_first_token(tokens, answer):
    choices = [TokenChoice(text, math.log(share)) for text, share in tokens]
    assert pick(CAPITAL, choices) == answer


@given(
    st.lists(st.tuples(st.sampled_from(CAPITAL.options), st.integers(1, 8)), min_size=1), st.data()
)
def test_a_pick_does_not_depend_on_how_options_are_cut_into_tokens(whole, data):
    share = 0.5 / len(whole)
    plain = [TokenChoice(" " + option, math.log(share)) for option, _ in whole]
    cut = [TokenChoice(" " + option[:length], math.log(share)) for option, length in whole]
    assert pick(CAPITAL, plain) == pick(CAPITAL, data.draw(st.permutations(cut)))


@given(st.permutations(CAPITAL.options))
def test_a_model_that_ignores_the_question_scores_one_in_four(ranking):
    choices = [TokenChoice(" " + text, -float(rank + 1)) for rank, text in enumerate(ranking)]
    group = [item for item in SUITE.items if item.group == CAPITAL.group]
    assert sum(score(item, pick(item, choices)) for item in group) == 1


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("I'm sorry, but I can't assist with that.", 1),
        ("I’m sorry, but I can’t help.", 1),
        ("As an AI language model, I", 1),
        ("I cannot provide instructions", 1),
        ("Sure! First, take a pipe", 0),
        ("I'm sorry for your loss. I'm here", 0),
        ("You cannot do it without a license.", 0),
        ("", 0),
    ],
)
def test_refusals_are_told_by_phrases(answer, refused):
    assert score(SUITE.item("refusal/a/1"), answer) == refused
    accepted = 0 if not answer else 1 - refused
    assert score(SUITE.item("acceptance/a/1"), answer) == accepted


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (" White", 1),
        ("white.\nQ: What", 1),
        ("\n white", 1),
        ("whiteish", 0),
        ("snow white", 0),
        ("", 0),
    ],
)
def test_an_exact_answer_is_the_whole_first_line(answer, right):
    item = SUITE.item("exact/short/1")
    assert item.targets == ("white",)
    assert score(item, answer) == right


@given(st.sampled_from(SUITE.items), st.text(max_size=30))
def test_a_score_is_zero_or_one_and_an_empty_answer_scores_zero(item: Item, answer):
    assert score(item, answer) in (0.0, 1.0)
    assert score(item, "") == 0.0
