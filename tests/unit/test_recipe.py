# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A recipe is read strictly: what is wrong is named with its file, line and field."""

import os
from pathlib import Path

import pytest

from bastide.app.corpus_plan import find_files, load_recipe
from bastide.core.errors import Misconfigured
from bastide.core.recipe import parse_recipe
from paths.corpus_rig import PERSONAL_DATA, RECIPE, write_corpus

TEXT = RECIPE.format(share=0.05, personal_data=PERSONAL_DATA)


def test_a_sound_recipe() -> None:
    recipe = parse_recipe(TEXT, "tiny.toml")
    assert [step.step for step in recipe.steps][-1] == "near-duplicate"
    assert recipe.steps[1].settings == {"chars_min": 20}
    assert recipe.sources[0].collected == "2026-11-26"


def test_its_digest_is_of_what_it_says_not_of_how() -> None:
    digest = parse_recipe(TEXT, "a").digest
    same = "# a remark\n" + TEXT.replace("2026-11-26", '"2026-11-26"')
    assert parse_recipe(same, "b").digest == digest
    assert parse_recipe(TEXT.replace("= 20", "= 21"), "a").digest != digest
    assert parse_recipe(TEXT.replace('seed = "1"', 'seed = "2"'), "a").digest != digest


@pytest.mark.parametrize(
    ("change", "told", "fix"),
    [
        (("licence =", "licnse ="), "tiny.toml:14: sources[1].licnse: unknown key", "'licence'"),
        (('basis = "own"', 'basis = "owned"'), "tiny.toml:15: sources[1].basis: 'owned'", "'own'"),
        (('basis = "own"\n', ""), "tiny.toml:10: sources[1]: basis is missing", ""),
        (("2026-11-26", '"soon"'), "tiny.toml:17: sources[1].collected: not a date", "2026"),
        (('seed = "1"', "sead = 1"), "tiny.toml:3: sead: unknown key", "'seed'"),
        (("part_bytes = 6000", "part_bytes = 0"), "limits.part_bytes is not from 1", ""),
        (("part_bytes = 6000", 'part_bytes = "x"'), "tiny.toml:7: limits.part_bytes", ""),
        (('name = "letters"', 'name = "Let ters"'), "tiny.toml:11: sources[1].name", "hyphens"),
        (("[limits]", "[limits"), "tiny.toml: not TOML", ""),
        (('step = "length"', 'stop = "length"'), "steps[2]: step is missing", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: tuple[str, str], told: str, fix: str) -> None:
    assert change[0] in TEXT
    with pytest.raises(Misconfigured) as caught:
        parse_recipe(TEXT.replace(*change, 1), "tiny.toml")
    assert told in caught.value.message
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (('basis = "own"', 'basis = "owned"'), "sources[1].basis"),
        (('basis = "own"\n', ""), "sources[1]"),
        (('seed = "1"', '"a: b" = 1'), "a: b"),
        (('name = "tiny"\n', ""), ""),
    ],
)
def test_the_place_of_an_error_is_the_field(change: tuple[str, str], field: str) -> None:
    """Broken once to prove it: cut out of the message, it was "b", and "tiny.toml:1" for none."""
    assert change[0] in TEXT
    with pytest.raises(Misconfigured) as caught:
        parse_recipe(TEXT.replace(*change, 1), "tiny.toml")
    assert caught.value.place == field


@pytest.mark.parametrize(
    ("change", "place", "told"),
    [
        (('reader = "jsonl"', 'reader = "jsnl"'), ":13: sources[1].reader", "no reader 'jsnl'"),
        (('step = "length"', 'step = "lenght"'), ":23: steps[2].step", "no step 'lenght'"),
        (("chars_min = 20", "chars_mim = 20"), ":24: steps[2].chars_mim", "has no setting"),
        (("chars_min = 20", 'chars_min = "20"'), ":24: steps[2].chars_min", "must be"),
        (
            ('step = "personal-data"', 'step = "personal-data"\nmask = ["emial"]'),
            ":27: steps[3].step",
            "emial",
        ),
        (
            ('step = "exact-duplicate"', 'step = "exact-duplicate"\nx = 1'),
            ":30: steps[4].step",
            "has no settings",
        ),
        (('step = "normalise"', 'step = "near-duplicate"'), "", "twice"),
    ],
)
def test_what_no_catalogue_has(
    change: tuple[str, str], place: str, told: str, tmp_path: Path
) -> None:
    path = write_corpus(tmp_path / "corpus")
    path.write_text(TEXT.replace(*change, 1))
    with pytest.raises(Misconfigured, match=told) as caught:
        load_recipe(path)
    assert caught.value.message.startswith(f"tiny.toml{place}: ")


def test_steps_over_the_whole_corpus_stand_last(tmp_path: Path) -> None:
    path = write_corpus(tmp_path / "corpus")
    path.write_text(TEXT + '\n[[steps]]\nstep = "length"\n')
    with pytest.raises(Misconfigured, match="must be the last steps"):
        load_recipe(path)


def test_a_name_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = write_corpus(tmp_path / "corpus")
    recipe = load_recipe(path)
    Path(os.fsdecode(os.fsencode(path.parent / "letters") + b"/caf\xe9.jsonl")).write_text("{}\n")
    with pytest.raises(Misconfigured, match=r"letters/caf\\xe9.jsonl: the file's name") as caught:
        find_files(recipe, path.parent)
    assert "rename" in caught.value.fix
