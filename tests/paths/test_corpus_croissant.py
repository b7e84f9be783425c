# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The Croissant description of an export, read by the stock reader: mlcroissant."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bastide.app.corpora import export_dataset, show_dataset
from bastide.app.corpus_build import build_dataset
from paths.corpus_rig import PLANTED, found_home, seeded, write_corpus

mlcroissant = pytest.importorskip("mlcroissant")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("croissant")
    home = found_home(folder)
    recipe = write_corpus(folder / "corpus")
    with seeded(home) as env:
        build_dataset(env, recipe, 1)
        export_dataset(env, "tiny", folder / "out", "croissant")
        return folder / "out", show_dataset(env, "tiny")


def test_the_stock_reader_reads_every_record(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, card = exported
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    records = list(dataset.records("documents"))
    assert len(records) == card["documents"]
    texts = {record["documents/id"].decode(): record["documents/text"].decode()
             for record in records}  # fmt: skip
    assert len(texts) == card["documents"]
    assert not any(value in text for text in texts.values() for value in PLANTED)
    assert {record["documents/source"] for record in records} == {b"letters"}


def test_it_is_the_standards_context_and_says_what_the_evidence_says(
    exported: tuple[Path, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    folder, card = exported
    with caplog.at_level(logging.WARNING):
        metadata = mlcroissant.Dataset(jsonld=folder / "croissant.json").metadata
    assert "not standard" not in caplog.text
    assert metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert metadata.license == ["https://spdx.org/licenses/CC0-1.0.html"]
    assert [str(day.date()) for day in metadata.data_collection_timeframe] == ["2026-11-26"]
    assert len(metadata.data_preprocessing_protocol) == len(card["steps"])
    assert any("iban" in row for row in metadata.personal_sensitive_information)
    assert metadata.data_biases[0].startswith("Not assessed.")
    assert card["digest"] in json.loads((folder / "croissant.json").read_text())["citeAs"]


def test_a_changed_file_is_found_by_its_digest(
    exported: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = exported
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    first = sorted(tmp_path.glob("*.parquet"))[0]
    value = json.loads((tmp_path / "croissant.json").read_text())
    stated = {row["@id"]: row.get("sha256") for row in value["distribution"]}
    import hashlib

    assert hashlib.sha256(first.read_bytes()).hexdigest() == stated[first.name]
    first.write_bytes(first.read_bytes()[:-1] + b"\x00")
    assert hashlib.sha256(first.read_bytes()).hexdigest() != stated[first.name]
