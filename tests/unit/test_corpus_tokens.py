# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The tokens of a corpus are those of the package `tokenizers`, whoever makes them.

Broken once to prove the tests: where special tokens that a text spells are taken for special, where
batches are not compared, where a tokenizer is used that differs on hard texts or drops what has no
token, and where a text that fastokens refuses is nobody's, they fail.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from bastide.app.corpus_shards import Line
from bastide.app.corpus_tokens import open_tokenizer
from unit.test_quality_rules import ROWS

END = "<|endoftext|>"
UNKNOWN = "<?>"


def trained(made: Tokenizer, path: Path, texts: list[str], size: int) -> Path:
    """A file with a tokenizer whose pairs of bytes are merged as often as in these texts."""
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(texts, trainer)
    made.save(str(path))
    return path


def byte_level(path: Path, texts: list[str], before: Any = None, size: int = 600) -> Path:
    made = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([before, level]) if before else level
    made.normalizer = normalizers.NFC()
    return trained(made, path, texts, size)


def words(path: Path, texts: list[str]) -> Path:
    made = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(
        vocab_size=400, special_tokens=[END, UNKNOWN], show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    made.save(str(path))
    return path


def digits(path: Path, texts: list[str]) -> Path:
    return byte_level(path, texts, pre_tokenizers.Digits(individual_digits=True))


def runs(path: Path, texts: list[str]) -> Path:
    """Words are split by a regular expression that goes back letter by letter."""
    pattern = Regex(r" ?(?:\p{L}|\p{M})+| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+")
    made = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(pattern, "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    return trained(made, path, texts, 600)


def whole(path: Path, texts: list[str]) -> Path:
    """Nothing splits the text, and what the vocabulary lacks has no token."""
    made = Tokenizer.from_file(str(byte_level(path, texts)))
    row = json.loads(made.to_str())
    row["pre_tokenizer"] = None
    path.write_text(json.dumps(row))
    return path


def texts() -> list[str]:
    """Prose, and what is none."""
    chance = random.Random(3)
    letters = [chr(code) for code in (*range(0x250), *range(0x300, 0x530), *range(0x2000, 0x2070),
                                      *range(0x3040, 0x30FF), 0x200D, 0xFEFF, 0x1F468)]  # fmt: skip
    noise = ["".join(chance.choices(letters, k=chance.randrange(60))) for _ in range(400)]
    return [*(row["text"] for row in ROWS[:60]), *noise, f"a {END} b", END, ""]


def numbers(path: Path, rows: list[str]) -> list[list[int]]:
    made = Tokenizer.from_file(str(path))
    made.encode_special_tokens = True
    return [made.encode(text, add_special_tokens=False).ids for text in rows]


def lines(rows: list[str]) -> list[Line]:
    return [Line(id=str(at), text=text, source="s") for at, text in enumerate(rows)]


@pytest.mark.parametrize(
    ("make", "fast"), [(byte_level, True), (digits, True), (words, False)],
    ids=["byte level", "digits apart", "words"],
)  # fmt: skip
def test_tokens_are_those_of_the_package_tokenizers(
    make: Callable[[Path, list[str]], Path], fast: bool, tmp_path: Path
) -> None:
    """fast: whether another package makes them."""
    path = make(tmp_path / "tokenizer.json", list(islice(texts(), 50)))
    opened = open_tokenizer(path, END)
    assert ("fastokens" in opened.version) == (opened.fast is not None) == fast
    found = [list(row) for _, row in opened.tokens(lines(texts()))]
    assert found == [[*row, opened.end] for row in numbers(path, texts())]


def test_a_batch_in_which_they_differ_has_the_tokens_of_the_package_tokenizers(
    tmp_path: Path,
) -> None:
    path = byte_level(tmp_path / "tokenizer.json", list(islice(texts(), 50)))
    other = byte_level(tmp_path / "other.json", [*texts()][50:], size=900)
    opened, wrong = open_tokenizer(path, ""), open_tokenizer(other, "")
    mixed = replace(opened, fast=wrong.fast)
    assert numbers(path, texts()) != numbers(other, texts())
    found = [list(row) for _, row in mixed.tokens(lines(texts()))]
    assert found == numbers(path, texts())


def test_a_tokenizer_that_differs_on_hard_texts_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fastokens

    path = byte_level(tmp_path / "tokenizer.json", list(islice(texts(), 50)))
    other = byte_level(tmp_path / "other.json", [*texts()][50:], size=900)
    wrong = open_tokenizer(other, "").fast

    class Wrong:
        from_json_str = staticmethod(lambda text: wrong)

    monkeypatch.setattr(fastokens, "Tokenizer", Wrong)
    opened = open_tokenizer(path, END)
    assert opened.fast is None
    assert "fastokens" not in opened.version


@pytest.mark.parametrize("run", ["ACGT" * 12_000, "漢" * 3_000], ids=["letters", "han"])
def test_a_run_that_fastokens_refuses_has_the_tokens_of_the_package_tokenizers(
    run: str, tmp_path: Path
) -> None:
    """It is not among the texts of the batch that are looked at."""
    path = runs(tmp_path / "tokenizer.json", list(islice(texts(), 50)))
    opened = open_tokenizer(path, "")
    with pytest.raises(ValueError, match="JIT stack limit"):
        opened.fast.encode_batch_flat([run], False, True)
    rows = ["An ordinary text.", run, "Another one."]
    assert [list(row) for _, row in opened.tokens(lines(rows))] == numbers(path, rows)


# Nothing in the vocabulary is a space, so "b b" is two letters with a gap.
@pytest.mark.parametrize("fallback", [False, True], ids=["dropped", "bytes that are not there"])
def test_a_tokenizer_that_drops_what_has_no_token_is_not_made_faster(
    fallback: bool, tmp_path: Path
) -> None:
    learned = ["bb"] * 90  # no pair of the hard texts
    path = whole(tmp_path / "tokenizer.json", learned)
    row = json.loads(path.read_text())
    row["model"]["byte_fallback"] = fallback
    path.write_text(json.dumps(row))
    opened = open_tokenizer(path, "")
    rows = ["An ordinary text.", "b b"]
    assert [list(row) for _, row in opened.tokens(lines(rows))] == numbers(path, rows)
    assert opened.fast is None
    assert "fastokens" not in opened.version
