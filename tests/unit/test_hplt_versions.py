# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""HPLT v2, v3 and v4: made-up records with the fields of each release, their rights signals and
spans of personal data, and what is refused in every one of them.

Broken once to prove the tests: with unknown fields passed over, and without the look for fields
that contradict each other, they fail.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bastide.core.document import Document
from bastide.filters.rights import Rights
from bastide.readers.hplt import Hplt
from bastide.readers.reader import Broken
from unit.reader_files import faults, read

FOLDER = Path(__file__).parents[1] / "vectors" / "hplt"
VERSIONS = ("v2", "v3", "v4")


def records(version: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{version}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def documents(version: str) -> list[Document]:
    found = read(Hplt(), (FOLDER / f"{version}.jsonl").read_bytes())
    assert not [one for one in found if isinstance(one, Broken)]
    return [one for one in found if isinstance(one, Document)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_release_is_read_whole(version: str) -> None:
    rows, found = records(version), documents(version)
    assert [(one.ident, one.url, one.text) for one in found] == [
        (row["id"], row["u"], row["text"]) for row in rows
    ]
    for row, one in zip(rows, found, strict=True):
        assert one.notes["hplt-language"] == row["lang"][0]
        assert one.notes["hplt-prob"] == row["prob"][0]
        assert one.notes["hplt-pii"] == len(row["pii"])


@pytest.mark.parametrize(
    ("version", "field", "note"),
    [
        ("v2", "robotstxt", "robots"),
        ("v3", "robots", "hplt-robots"),
        ("v4", "robots", "hplt-robots"),
    ],
)
def test_what_a_site_says_comes_to_the_step_rights(version: str, field: str, note: str) -> None:
    rows, found = records(version), documents(version)
    assert [one.notes.get(note) for one in found] == [row[field] for row in rows]
    judge = Rights(unknown="keep").given({})
    judged = {one.ident: judge.apply(one) for one in found}
    for row in rows:
        outcome = judged[row["id"]]
        forbidden = row[field] == "disallowed"
        assert (outcome.document is None) == forbidden
        assert outcome.reason == ("rights/robots" if forbidden else "")
    assert {row[field] for row in rows} >= {"allowed", "disallowed"}


@pytest.mark.parametrize("version", VERSIONS)
def test_spans_of_personal_data_are_of_the_text(version: str) -> None:
    """What the made-up spans cover is what they say: a test that the fixture is no nonsense."""
    covered = [row["text"][a:b] for row in records(version) for a, b in row["pii"]]
    assert covered
    assert all("example.org" in text or "192.0.2." in text for text in covered)


@pytest.mark.attacks("C188")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tdm": "no"}, "wrong-type"),
        ({"Robots": "disallowed"}, "wrong-type"),
        ({"robots": True}, "wrong-type"),
        ({"pii": [[0, 5, 6]]}, "wrong-type"),
        ({"pii": [[0, 100_000]]}, "contradiction"),
        ({"prob": [0.9]}, "contradiction"),
        ({"robots": "allowed", "robotstxt": "disallowed"}, "contradiction"),
        ({"text": None}, "text-missing"),
    ],
)
def test_what_is_unknown_or_contradicts_itself_is_broken(
    version: str, change: dict[str, Any], reason: str
) -> None:
    (row, *_) = records(version)
    found = read(Hplt(), json.dumps({**row, **change}).encode())
    assert faults(found) == [(1, 0, reason)]


def test_the_releases_have_fields_of_their_own() -> None:
    fields = {version: set(records(version)[0]) for version in VERSIONS}
    assert "collection" in fields["v2"] - fields["v3"]
    assert {"crawl_id", "html_lang", "cluster_size", "web-register"} <= fields["v3"] - fields["v2"]
    assert fields["v4"] - fields["v3"]
