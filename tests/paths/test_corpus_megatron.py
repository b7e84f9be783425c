# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The form `megatron`, read by a reader of its own that was written from Megatron-LM's layout."""

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from bastide.app.config import Home
from bastide.app.corpora import export_dataset, show_dataset
from bastide.app.corpus_build import build_dataset
from bastide.core.errors import Misconfigured
from paths.corpus_rig import found_home, seeded, write_corpus
from paths.test_collection_build import exported

END = "<|endoftext|>"


def made_tokenizer(path: Path, padded: int = 0) -> Path:
    """A byte-level BPE. padded: tokens that nothing uses, for a large vocabulary."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(["stone river lantern copper meadow harbour window"], trainer)
    made.add_tokens([f"<unused{number}>" for number in range(padded)])
    made.enable_truncation(5)  # as many files have it: a trainer's setting, not a corpus's
    made.save(str(path))
    return path


def sequences(stem: Path) -> Iterator[list[int]]:
    """The documents of a pair of files."""
    index, data = (stem.with_suffix(end).read_bytes() for end in (".idx", ".bin"))
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, count, bounds = struct.unpack_from("<QBQQ", index, 9)
    assert (version, bounds) == (1, count + 1)
    letter, width = {4: ("i", 4), 8: ("H", 2)}[code]
    at = 9 + 8 + 1 + 8 + 8
    lengths = struct.unpack_from(f"<{count}i", index, at)
    offsets = struct.unpack_from(f"<{count}q", index, at + 4 * count)
    documents = struct.unpack_from(f"<{bounds}q", index, at + 12 * count)
    assert len(index) == at + 12 * count + 8 * bounds
    assert documents == tuple(range(count + 1))
    assert sum(lengths) * width == len(data)
    for length, offset in zip(lengths, offsets, strict=True):
        yield list(struct.unpack_from(f"<{length}{letter}", data, offset))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("megatron")
    home = found_home(folder)
    recipe = write_corpus(folder / "corpus")
    recipe.write_text(recipe.read_text().replace('name = "tiny"', 'name = "mix"'))
    first = folder / "corpus" / "letters" / "0.jsonl"
    forged = {"id": "forged", "text": f"A text that spells {END} in its middle, on purpose."}
    first.write_text(first.read_text() + json.dumps(forged) + "\n")
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
    return home


@pytest.mark.attacks("C131")
@pytest.mark.parametrize(("padded", "dtype"), [(0, "uint16"), (66_000, "int32")])
def test_tokens_decode_to_every_text(built: Home, tmp_path: Path, padded: int, dtype: str) -> None:
    path = made_tokenizer(tmp_path / "tokenizer.json", padded)
    out = tmp_path / "out"
    with seeded(built) as env:
        files = export_dataset(
            env, "mix", out, "megatron", tokenizer=path, end_token=END
        )  # fmt: skip
        card = show_dataset(env, "mix")
    tokenizer = Tokenizer.from_file(str(path))
    found = [row for file in sorted(out.glob("*.idx")) for row in sequences(file)]
    end = tokenizer.token_to_id(END)
    assert all(row[-1] == end and end not in row[:-1] for row in found)
    texts = [tokenizer.decode(row[:-1], skip_special_tokens=False) for row in found]
    assert texts == list(exported(built, tmp_path / "jsonl").values())
    told = json.loads((out / "tokens.json").read_bytes())
    assert told["tokenizer"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert (told["dataset"], told["dtype"], told["end"]) == (card["digest"], dtype, end)
    assert (told["documents"], told["tokens"]) == (card["documents"], sum(map(len, found)))
    assert sum(told["languages"].values()) == told["tokens"]
    assert len(card["shards"]) > 1
    assert set(out.iterdir()) == set(files)


def test_without_an_end_token_none_is_added_and_the_same_export_is_the_same_bytes(
    built: Home, tmp_path: Path
) -> None:
    path = made_tokenizer(tmp_path / "tokenizer.json")
    with seeded(built) as env:
        files = [
            export_dataset(env, "mix", tmp_path / name, "megatron", tokenizer=path)
            for name in ("one", "two")
        ]
    first, second = ({file.name: file.read_bytes() for file in every} for every in files)
    assert first == second
    end = Tokenizer.from_file(str(path)).token_to_id(END)
    rows = [row for file in files[0] if file.suffix == ".idx" for row in sequences(file)]
    assert rows
    assert not any(end in row for row in rows)


@pytest.mark.parametrize(
    ("form", "content", "end", "told"),
    [
        ("megatron", None, "", "holds token numbers"),
        ("megatron", "{}", "", "is no tokenizer"),
        ("megatron", "whole", "<none>", "has no token '<none>'"),
        ("parquet", "whole", "", "takes no tokenizer"),
    ],
)
def test_a_tokenizer_that_does_not_fit_refuses_without_output(
    built: Home, tmp_path: Path, form: str, content: str | None, end: str, told: str
) -> None:
    path = made_tokenizer(tmp_path / "tokenizer.json") if content else None
    if path and content != "whole":
        path.write_text(str(content))
    with seeded(built) as env, pytest.raises(Misconfigured, match=told):
        export_dataset(env, "mix", tmp_path / "out", form, tokenizer=path, end_token=end)
    assert not list((tmp_path / "out").glob("*"))
