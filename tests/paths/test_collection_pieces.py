# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A large file of a collection that several workers share with its annotations makes what one
worker makes of it, and what does not fit refuses however it is cut.

Broken once to prove the tests: without the sum over all pieces, annotations of documents that are
not there pass.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bastide.app.config import Home
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_estimate import plan_dataset
from bastide.core.errors import Refused
from paths.corpus_rig import copied, found_home, seeded, sentence
from paths.test_collection_build import ASKED, PII, RECIPE, SOURCE, exported
from unit.collection_files import FLAG, PHONE, make_dataset, put, seal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
COUNT = 120
LIMITS = "[limits]\npart_bytes = {}\nshard_bytes = 9_000_000\n\n[[sources]]"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return found_home(tmp_path_factory.mktemp("pieces"))


def texts() -> dict[str, str]:
    return {
        f"e{at}": f"Call {PHONE} of {sentence(at)}" if at % 7 == 0 else sentence(at)
        for at in range(COUNT)
    }


def write(folder: Path, part_bytes: int, frame: int = 1 << 30) -> Path:
    """A dataset of one file in frames of so many bytes; its annotations stand in no order."""
    path = make_dataset(folder / "flag" / "letters-1.0", FLAG.replace("90%", "100%"))
    rows = texts()
    raw = b"".join(
        json.dumps({"id": name, "text": text}).encode() + b"\n" for name, text in rows.items()
    )
    frames = [zstandard.compress(raw[at : at + frame]) for at in range(0, len(raw), frame)]
    (path / SOURCE).write_bytes(b"".join(frames))
    spans = [
        {"id": name, "name": "private_phone", "value": PHONE, "start_pos": 5,
         "end_pos": 5 + len(PHONE)}
        for name, text in rows.items() if PHONE in text
    ]  # fmt: skip
    random.Random(3).shuffle(spans)
    put(path / PII, spans)
    put(path / ASKED, [{"id": f"e{at}", "benchmark": "quiz"} for at in range(110, 0, -11)])
    sealed(path)
    recipe = folder / "mix.toml"
    recipe.write_text(
        RECIPE.format(path="flag/*").replace("[[sources]]", LIMITS.format(part_bytes), 1)
    )
    return recipe


def sealed(path: Path, documents: int = COUNT) -> None:
    for annotation in (PII, ASKED):
        seal(path / annotation, path / SOURCE, documents)


def parts(home: Home) -> int:
    with seeded(home) as env:
        return len({name.split("/")[3] for name in env.store.names("corpora") if "/parts/" in name})


@pytest.mark.parametrize("frame", [1 << 30, 1_000])
def test_pieces_with_annotations_make_the_dataset_of_the_whole(
    frame: int, empty: Home, tmp_path: Path
) -> None:
    found: list[Any] = []
    for part_bytes, workers in ((2_000, 2), (2_000, 1), (4_000_000, 1)):
        folder = tmp_path / f"{part_bytes}-{workers}"
        recipe = write(folder / "corpus", part_bytes, frame)
        home = copied(empty, folder / "home")
        with seeded(home) as env:
            root = build_dataset(env, recipe, workers).body["root"]
        assert (parts(home) > 8) is (part_bytes == 2_000)
        found.append((root, exported(home, folder / "out")))
    assert found[0] == found[1] == found[2]
    kept = found[0][1]
    assert len(kept) == COUNT - 10
    assert not [text for text in kept.values() if PHONE in text]
    assert sum("private_phone" in text or "<" in text for text in kept.values()) > 10


def of_another(path: Path) -> None:
    """One span more, of a document that is in no piece."""
    rows = [{"id": "gone", "name": "private_phone", "value": PHONE, "start_pos": 5, "end_pos": 9}]
    put(path / PII, rows)
    sealed(path)


def miscounted(path: Path) -> None:
    sealed(path, COUNT + 1)


def twice(path: Path) -> None:
    """An annotated document at the beginning and at the end, in two pieces."""
    rows = [{"id": name, "text": text} for name, text in texts().items()]
    put(path / SOURCE, [*rows, rows[0]])
    sealed(path, COUNT + 1)


def moved(path: Path) -> None:
    rows = [{"id": name, "text": "Now " + text} for name, text in texts().items()]
    put(path / SOURCE, rows)
    sealed(path)


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a document that is not there": (of_another, "1 annotated documents are not in the file"),
    "another number of documents": (miscounted, "121 documents were annotated, the file has 120"),
    "a document twice": (twice, "1 annotated documents are in the file twice"),
    "another text": (moved, "the text is not the one that was annotated"),
}


@pytest.mark.attacks("C252")
@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_refuses_in_pieces_too(case: str, empty: Home, tmp_path: Path) -> None:
    spoil, reason = CASES[case]
    recipe = write(tmp_path / "corpus", 2_000)
    spoil(tmp_path / "corpus" / "flag" / "letters-1.0")
    with seeded(copied(empty, tmp_path / "home")) as env:
        with pytest.raises(Refused) as caught:
            build_dataset(env, recipe, 2)
        assert env.ledger.find("dataset/v1") == []
    assert reason in "\n".join(caught.value.reasons)
    assert len(set(caught.value.reasons)) == len(caught.value.reasons)


def test_an_annotated_file_is_counted_in_its_pieces(empty: Home, tmp_path: Path) -> None:
    recipe = write(tmp_path / "corpus", 2_000)
    with seeded(copied(empty, tmp_path / "home")) as env:
        row = plan_dataset(env, recipe, 2, True)
    assert row["parts"] > 8
    assert row["sources"][0]["documents"] == COUNT
