# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Documents of a collection: joined with their annotations, or refused."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from bastide.app.corpus_collection import input_files
from bastide.app.corpus_datasets import find_datasets
from bastide.app.corpus_files import read_file
from bastide.core.document import Document
from bastide.core.errors import Refused
from bastide.filters.openeurollm import OpenEuroLlmRules
from bastide.readers.openeurollm import OpenEuroLlm, path_value
from bastide.readers.reader import Broken
from unit.collection_files import BABY, FLAG, PHONE, TEXTS, make_dataset

KEY = bytes(range(32))


def documents(folder: Path) -> list[Document]:
    (dataset,) = find_datasets(folder, folder)
    (file,) = input_files(dataset, folder)
    assert dataset.faults == []
    with Path(file.path).open("rb") as stream:
        found = list(read_file(OpenEuroLlm(**file.settings), stream, "letters", file, KEY))
    return [one for one in found if isinstance(one, Document)]


@pytest.mark.parametrize("metadata", [FLAG, BABY])
def test_both_dialects_give_the_same_documents(tmp_path: Path, metadata: str) -> None:
    found = documents(make_dataset(tmp_path / "letters", metadata))
    assert [one.ident for one in found] == list(TEXTS)
    assert [one.text for one in found[1:]] == list(TEXTS.values())[1:]
    assert PHONE not in found[0].text
    assert found[0].text.startswith("Please call <PRIVATE_PHONE:") or metadata is BABY
    label = "private_phone" if metadata is FLAG else "PHONE_NUMBER"
    assert found[0].notes[f"openeurollm-masked/{label}"] == 1
    rules = OpenEuroLlmRules(seed="1")
    reasons = [rules.apply(one).reason for one in found]
    assert reasons[1] == "openeurollm/contaminated"
    assert reasons[3] == "openeurollm/blocked"
    shares = {one.notes.get("openeurollm-share") for one in found}
    assert shares == ({None} if metadata is FLAG else {0.95})  # 90% and 5% rubber


def test_the_same_value_has_the_same_mask_every_time(tmp_path: Path) -> None:
    once = documents(make_dataset(tmp_path / "one"))
    again = documents(make_dataset(tmp_path / "two"))
    assert [one.text for one in once] == [one.text for one in again]


def test_only_the_labels_of_the_metadata_are_masked(tmp_path: Path) -> None:
    other = FLAG.replace("[private_phone, secret]", "[secret]")
    assert PHONE in documents(make_dataset(tmp_path / "one", other))[0].text
    without = FLAG.replace("    mask: [private_phone, secret]\n", "")  # then all are
    assert PHONE not in documents(make_dataset(tmp_path / "two", without))[0].text


@pytest.mark.parametrize(
    ("rubber", "share"), [("", 0.15), ("rubber: 5%", 0.2), ("rubber: 1.5", 0.225)]
)
def test_rubber_is_added_or_multiplied(tmp_path: Path, rubber: str, share: float) -> None:
    changed = FLAG.replace("sample: full", f"sample: random\n    budget: 15%\n    {rubber}")
    folder = make_dataset(tmp_path / "letters", changed)
    (dataset,) = find_datasets(folder, folder)
    (file,) = input_files(dataset, folder)
    assert file.settings["share"] == pytest.approx(share)


def test_a_draw_keeps_its_share_and_is_the_same_again() -> None:
    rows = [
        Document(ident=f"d{one}", text="t", source="s", notes={"openeurollm-share": 0.225})
        for one in range(4000)
    ]
    kept = [one.ident for one in rows if OpenEuroLlmRules(seed="1").apply(one).document]
    assert kept == [one.ident for one in rows if OpenEuroLlmRules(seed="1").apply(one).document]
    assert kept != [one.ident for one in rows if OpenEuroLlmRules(seed="2").apply(one).document]
    assert 0.2 < len(kept) / len(rows) < 0.25


def joined(rows: list[dict[str, Any]], found: list[dict[str, Any]], **settings: Any) -> list[Any]:
    raw = [b"\n".join(json.dumps(row).encode() for row in each) for each in (rows, found)]
    reader = OpenEuroLlm(**settings)
    beside = {"pii": ("pii.jsonl", io.BytesIO(raw[1]))}
    return list(reader.read_beside(io.BytesIO(raw[0]), "s", "a.jsonl", beside,
                                   lambda label, value: f"<{label}:{len(value)}>"))  # fmt: skip


def span(start: int, end: int, value: str, label: str = "secret") -> dict[str, Any]:
    return {"id": "a", "name": label, "value": value, "start_pos": start, "end_pos": end}


def test_spans_count_characters_and_overlapping_ones_are_one() -> None:
    text = "Žluťoučký 𝔎 abcdef end"
    rows = [span(12, 16, "abcd"), span(14, 18, "cdef", "GOV_ID"), span(19, 22, "end")]
    (found,) = joined([{"id": "a", "text": text}], rows)
    assert found.text == "Žluťoučký 𝔎 <secret:6> <secret:3>"


@pytest.mark.parametrize(
    ("rows", "spans", "reason"),
    [
        ([{"id": "a", "text": "abc"}], [span(0, 2, "bc")], "not the one that was annotated"),
        ([{"id": "a", "text": "abc"}], [span(1, 9, "bc")], "not the one that was annotated"),
        ([{"id": "b", "text": "abc"}], [span(0, 1, "a")], "not in the file"),
        ([{"id": "a", "text": "abc"}] * 2, [span(0, 1, "a")], "a second document"),
        ([{"id": "a", "text": "abc"}], [{"id": "a"}], "start_pos or end_pos"),
        ([{"id": "a", "text": "abc"}], [span(0, 1, "a", "nose")], "an unknown label"),
    ],
)
def test_what_does_not_fit_refuses_and_quotes_nothing(
    rows: list[dict[str, Any]], spans: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(Refused) as error:
        joined(rows, spans)
    assert reason in "".join(error.value.reasons)
    assert "abc" not in repr((error.value.reasons, error.value.message))


def test_every_reason_is_told() -> None:
    with pytest.raises(Refused) as error:
        joined([{"id": "a", "text": "abc"}], [{"id": "a"}, {"x": 1}, span(0, 1, "a", "nose")])
    assert len(error.value.reasons) == 3


def test_a_needed_annotation_that_is_not_given_refuses() -> None:
    reader = OpenEuroLlm(annotations=("pii",))
    with pytest.raises(Refused) as error:
        list(reader.read(io.BytesIO(b'{"id": "a", "text": "b"}'), "s", "a.jsonl"))
    assert error.value.reasons == ("a.jsonl: there is no pii annotation",)


def test_a_document_without_a_name_is_broken_where_annotations_are_joined() -> None:
    (found,) = joined([{"text": "abc"}], [], annotations=("pii",))
    assert isinstance(found, Broken)
    assert found.reason == "text-missing"


def test_a_masker_that_fails_lets_nothing_pass() -> None:
    def fails(label: str, value: str) -> str:
        raise ValueError(value)

    beside = {"pii": ("p", io.BytesIO(json.dumps(span(0, 1, "a")).encode()))}
    row = io.BytesIO(b'{"id": "a", "text": "abc"}')
    with pytest.raises(ValueError, match="a"):
        list(OpenEuroLlm().read_beside(row, "s", "a.jsonl", beside, fails))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", 1), ("m.W-ID", 2), ("r[0].text", "t"), ("r[1].text", None), ("m.x", None),
        ("Document ID", 3), ("b.c", 4), ("r.text", None), ("a.b", None), ("r[x]", None),
    ],
)  # fmt: skip
def test_nested_fields(path: str, value: object) -> None:
    record = {"a": 1, "m": {"W-ID": 2}, "r": [{"text": "t"}], "Document ID": 3, "b.c": 4}
    assert path_value(record, path) == value
