# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A collection's faults are reported exactly: each of them, and none that it has not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bastide.app.corpus_check import check_collection
from bastide.core.errors import NotFound
from bastide.readers.openeurollm_metadata import FAULTS, parse_metadata
from unit.collection_files import BABY, FLAG, NONE, PHONE, make_collection, make_dataset, put, seal

Found = list[tuple[str, int, str, str]]


def faults(root: Path) -> Found:
    row = check_collection(root)
    assert all(one["fix"] and one["message"] for one in row["faults"])
    return [(one["file"], one["line"], one["field"], one["code"]) for one in row["faults"]]


def test_the_71_faults_of_41_files_and_740_parts_and_none_other(tmp_path: Path) -> None:
    planted = make_collection(tmp_path)
    assert sorted(code for *_, code in planted).count("no-documents") == 67
    assert len(planted) == 67 + 4
    assert faults(tmp_path) == planted
    row = check_collection(tmp_path)
    assert len(list(tmp_path.rglob("metadata.yaml"))) == 41
    assert (row["datasets"], row["files"], row["counts"]) == (40, 0, 640 + 445)


@pytest.mark.parametrize("metadata", [FLAG, BABY])
def test_a_sound_dataset_has_no_fault(tmp_path: Path, metadata: str) -> None:
    make_dataset(tmp_path / "letters-1.0", metadata)
    assert faults(tmp_path) == []
    assert faults(tmp_path / "letters-1.0") == []


def test_no_dataset_is_not_a_sound_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no dataset"):
        check_collection(tmp_path)
    with pytest.raises(NotFound, match="no directory"):
        check_collection(tmp_path / "none")


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "metadata.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


def gone(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def written(name: str, data: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return write


def rewritten(folder: Path) -> None:
    """The text changes after it was annotated."""
    put(folder / SOURCE, [{"id": "d1", "text": f"Now {PHONE} stands elsewhere."}])


def reannotated(rows: list[dict[str, object]], name: str = "") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        put(folder / (name or PII), rows)
        seal(folder / (name or PII), folder / SOURCE, 4)

    return write


def miscounted(folder: Path) -> None:
    """The annotator saw two of four documents."""
    for name in (PII, ASKED):
        seal(folder / name, folder / SOURCE, 2)


SOURCE = "source/ces_Latn/a.jsonl.zst"
PII = "openai-privacy-filter/ces_Latn/a.jsonl.zst"
ASKED = "nemo-curator/ces_Latn/a.jsonl.zst"
SPAN = {"id": "d1", "name": "private_phone", "value": PHONE, "start_pos": 12, "end_pos": 28}
CASES: dict[str, tuple[Callable[[Path], None], Found]] = {
    "pii missing": (gone(PII), [(PII, 0, "", "annotation-missing")]),
    "contamination missing": (gone(ASKED), [(ASKED, 0, "", "annotation-missing")]),
    "id missing": (edited("id: id\n", ""), [("metadata.yaml", 0, "id", "id-missing")]),
    "text missing": (edited("text: text\n", ""), [("metadata.yaml", 0, "text", "text-missing")]),
    "text changed": (
        rewritten,
        [(ASKED, 0, "input", "annotation-stale"), (PII, 0, "input", "annotation-stale")],
    ),
    "annotation cut": (
        written(PII, b"(\xb5/\xfd\x04"), [(PII, 0, "output", "annotation-partial")],
    ),
    "annotator was killed": (
        gone(PII + ".made-for.json"), [(PII, 0, "", "annotation-undigested")],
    ),
    "annotator saw half": (miscounted, [(SOURCE, 0, "", "annotation-unreadable")]),
    "made-for of another shape": (
        written(PII + ".made-for.json", b'{"input": ""}'),
        [(PII + ".made-for.json", 0, "", "annotation-unreadable")],
    ),
    "unknown field of a span": (
        reannotated([{**SPAN, "score": 1}]), [(PII, 0, "", "annotation-unreadable")],
    ),
    "unknown label": (
        reannotated([{**SPAN, "name": "phone"}]), [(PII, 0, "", "annotation-unreadable")],
    ),
    "span without a name": (
        reannotated([{**SPAN, "id": None}]), [(PII, 0, "", "annotation-unreadable")],
    ),
    "span of another text": (
        reannotated([{**SPAN, "start_pos": 13}]), [(SOURCE, 0, "", "annotation-unreadable")],
    ),
    "span beyond the text": (
        reannotated([{**SPAN, "end_pos": 999}]), [(SOURCE, 0, "", "annotation-unreadable")],
    ),
    "span of a document that is not there": (
        reannotated([{**SPAN, "id": "d9"}]), [(SOURCE, 0, "", "annotation-unreadable")],
    ),
    "filter is code": (
        edited("pack: tree", "pack: tree\n    filter: ../sample/any.py"),
        [("metadata.yaml", 11, "release.default.filter", "filter-is-code")],
    ),
    "sample is code": (
        edited("sample: full", "sample: dynamic"),
        [("metadata.yaml", 11, "release.default.sample", "filter-is-code")],
    ),
    "annotation that nothing reads": (
        edited("[nemo-curator,", "[propella-4b, nemo-curator,"),
        [("metadata.yaml", 8, "release.default.annotations", "annotation-unread")],
    ),
    "unknown field": (
        edited("mask:", "masks:"),
        [("metadata.yaml", 9, "release.default.masks", "unknown-field")],
    ),
    "unknown section": (
        edited("source:\n", "sauce:\n"), [
            ("metadata.yaml", 21, "sauce", "unknown-field"),
        ],
    ),
    "wrong value": (
        edited("74md", "74 millions"),
        [("metadata.yaml", 12, "release.default.shard", "wrong-value")],
    ),
    "budget that is none": (
        edited("sample: full", "budget: full"),
        [("metadata.yaml", 11, "release.default.budget", "wrong-value")],
    ),
    "random without a budget": (
        edited("sample: full", "sample: random"),
        [("metadata.yaml", 11, "release.default.sample", "wrong-value")],
    ),
    "key twice": (
        edited("    pack: tree\n", "    pack: tree\n    pack: tree\n"),
        [("metadata.yaml", 11, "release.default.pack", "duplicate-key")],
    ),
    "mask without spans": (
        edited("[nemo-curator, openai-privacy-filter]", "[nemo-curator]"),
        [("metadata.yaml", 9, "release.default.mask", "mask-without-annotation")],
    ),
    "an alias": (
        edited("name: Letters", "name: &a Letters\nurl: *a"),
        [("metadata.yaml", 0, "", "not-yaml")],
    ),
    "not YAML": (
        written("metadata.yaml", b"name: [\n"), [("metadata.yaml", 2, "", "not-yaml")],
    ),
    "part without a name": (
        written("source/dan_Latn/b.jsonl.zst", b""),
        [("source/dan_Latn/b.jsonl.zst", 0, "", "part-unmatched"),
         (ASKED.replace("ces_Latn/a", "dan_Latn/b"), 0, "", "annotation-missing"),
         (PII.replace("ces_Latn/a", "dan_Latn/b"), 0, "", "annotation-missing")],
    ),
    "the whole name of a part comes before a piece": (
        edited("  ces_Latn:\n    block", "  urce/ces:\n  ces_Latn:\n    block"), [],
    ),
    "two parts": (
        edited("  ces_Latn:\n    block", "  urce/ces:\n  es_Lat:\n    block"),
        [(SOURCE, 0, "", "part-ambiguous")],
    ),
    "file of another name": (
        written("source/ces_Latn/b.jsonl.gz", b""),
        [("source/ces_Latn/b.jsonl.gz", 0, "", "file-unread")],
    ),
    "count without documents": (
        written("counts/ces_Latn/release.json", b'{"documents": 0, "errors": 7}'),
        [("counts/ces_Latn/release.json", 1, "documents", "no-documents")],
    ),
    "count that is none": (
        written("counts/ces_Latn/source.json", b'{"documents": true}'),
        [("counts/ces_Latn/source.json", 0, "", "count-unreadable")],
    ),
    "parallel": (
        edited("pack: tree", "parallel: {count: 40}"),
        [("metadata.yaml", 10, "release.default.parallel", "not-supported")],
    ),
}  # fmt: skip


@pytest.mark.attacks("C114")
@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_named_with_its_place(tmp_path: Path, case: str) -> None:
    spoil, expected = CASES[case]
    folder = make_dataset(tmp_path / "letters")
    spoil(folder)
    assert faults(folder) == sorted(expected)


def test_a_cycle_that_masks_needs_the_annotations_of_every_dataset(tmp_path: Path) -> None:
    folder = make_dataset(
        tmp_path / "letters", BABY.replace("  pii:\n    owner: someone\n    status: done\n", "")
    )
    (tmp_path / "metadata.yaml").write_text("release:\n  mask: pii\nsources:\n  letters:\n")
    assert faults(tmp_path) == []
    (folder / "pii/ces_Latn/a.jsonl.zst").unlink()
    expected = [("letters/pii/ces_Latn/a.jsonl.zst", 0, "", "annotation-missing")]
    assert faults(tmp_path) == expected
    assert faults(folder) == [("pii/ces_Latn/a.jsonl.zst", 0, "", "annotation-missing")]


def test_a_directory_without_metadata(tmp_path: Path) -> None:
    make_dataset(tmp_path / "flag" / "letters")
    (tmp_path / "flag" / "other" / "source").mkdir(parents=True)
    expected = [("flag/other/metadata.yaml", 0, "", "metadata-missing")]
    assert faults(tmp_path) == expected


def test_a_mix_names_datasets_that_are_there(tmp_path: Path) -> None:
    make_dataset(tmp_path / "letters")
    (tmp_path / "datamix.txt").write_text(
        "# English\n0.5\tletters/megatron-lm/ces_Latn\n0.5 leters/megatron-lm\nhalf letters\n"
    )
    assert faults(tmp_path) == [
        ("datamix.txt", 3, "leters/megatron-lm", "datamix-unknown"),
        ("datamix.txt", 4, "", "datamix-unreadable"),
    ]


def test_a_dataset_that_is_given_alone_answers_for_its_cycle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_dataset(tmp_path / "letters")
    make_dataset(tmp_path / "stories")
    (tmp_path / "datamix.txt").write_text("1 stories/a\n1 leters/a\n1 ../letters\n")
    (tmp_path / "README.md").write_text(
        f"| Path | PII |\n|---|---|\n| stories | {NONE} |\n| letters | {NONE} |\n"
    )
    found = [
        ("../README.md", 4, "letters.PII", "contradiction"),
        ("../datamix.txt", 2, "leters/a", "datamix-unknown"),
        ("../datamix.txt", 3, "../letters", "datamix-unknown"),
    ]
    assert faults(folder) == found
    monkeypatch.chdir(folder)
    assert faults(Path()) == found


def test_no_fault_quotes_a_text(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "letters")
    reannotated([{**SPAN, "start_pos": 13}])(folder)
    row = check_collection(folder)
    assert row["faults"]
    assert PHONE not in json.dumps(row)


def test_every_fault_has_a_remedy_and_a_test() -> None:
    tested = {code for _, found in CASES.values() for *_, code in found}
    tested |= {"no-documents", "contradiction", "metadata-missing", "datamix-unknown"}
    assert {*tested, "datamix-unreadable"} == set(FAULTS)


def test_names_stay_as_they_are_written() -> None:
    metadata, _ = parse_metadata(BABY.encode(), "m")
    part = metadata.sections["release"]["ces_Latn"]
    assert part == {"budget": "90%", "prefix": "01_0"}  # YAML 1.1 would make it the number 8
    assert metadata.default("release", "rubber") == "5%"
