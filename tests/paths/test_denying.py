# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a denial says back to whoever gives it, and what it makes of work that opens objects.

Broken once to prove the tests: without what `rotate` asks before it makes a key, with a carried
denial that a locked environment forgets, and with names that are taken as they are, they fail.
"""

import json
from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from contracts.test_key_service import stanza_for, watched
from paths.demo import Demo, found_apart


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    """Two parties' worth of people and two objects: a model's and a corpus'."""
    demo, people = found_apart(tmp_path_factory.mktemp("denying"))
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home)) as env:
        env.store.put("corpora/1", [b"text"])
        env.store.put("models/1", [b"weights"])
    return demo, people


def key(people: Path, *parties: str) -> list[str]:
    return [part for party in parties for part in ("--key", str(people / f"{party}.key"))]


def test_a_rotation_does_not_begin_while_an_object_is_denied(apart: tuple[Demo, Path]) -> None:
    demo, people = apart
    demo.json("store", "deny", "other/", *key(people, "firm"))
    demo.json("store", "deny", "models/", *key(people, "firm"))
    demo.json("store", "deny", "corpora/")
    keyring = (demo.home / "keyring.age").read_bytes()
    row = demo.json("store", "rotate", status=3)
    assert "models/ is denied by the firm in entry " in row["reasons"][0]
    assert row["reasons"][1:] == ["corpora/ is denied on this machine's list"]
    allow = "bastide store allow"
    models, corpora = row["fix"].split(", and ")
    assert models == f"{allow} models/ --key guardian.key --key firm.key"
    assert corpora == f"{allow} corpora/ --key guardian.key"
    assert not Home(demo.home).rotation.exists()
    assert (demo.home / "keyring.age").read_bytes() == keyring
    demo.json("store", "allow", "models/", *key(people, "guardian", "firm"))
    demo.json("store", "allow", "corpora/", *key(people, "guardian"))
    # What is denied and not there is no object that it opens.
    assert demo.json("store", "rotate")["objects"] == 2


def test_a_name_that_takes_in_nothing_is_told(apart: tuple[Demo, Path]) -> None:
    demo, people = apart
    for given in ([], key(people, "firm")):
        done = demo.run("store", "deny", "modles/", *given)
        assert "no object's name begins with modles/" in done.stderr
        assert "known beginnings: corpora/, models/" in done.stderr
        row = demo.json("store", "deny", "Models/", *given, status=2)
        assert "'Models/'" in row["message"] and "`models/`" in row["fix"]
    assert "Models/" not in (demo.home / "denied").read_text()
    row = demo.json("store", "deny", "models/", *key(people, "firm"))
    assert row["taken_in"] == [{"name": "models/", "objects": 1, "deployments": []}]
    demo.json("store", "allow", "models/", "modles/", *key(people, "guardian", "firm"))


def test_a_name_given_twice_is_one(apart: tuple[Demo, Path]) -> None:
    demo, people = apart
    row = demo.json("store", "deny", "a/", "a/", *key(people, "firm"))
    assert [one["name"] for one in row["denied"]].count("a/") == 1
    with (demo.home / "denied").open("a") as file:
        file.write("a/\n")
    row = demo.json("store", "allow", "a/", "a/", *key(people, "guardian", "firm"))
    assert "a/" not in [one["name"] for one in row["denied"]]


def test_what_was_signed_elsewhere_stops_a_locked_environment_too(
    apart: tuple[Demo, Path], tmp_path: Path
) -> None:
    """It is on the machine's list until somebody unlocks the ledger, and then carried there."""
    demo, people = apart
    file = tmp_path / "denial.json"
    demo.json("store", "deny", "models/", "--party", "firm", "--out", str(file))
    demo.json("sign", str(file), *key(people, "firm"))
    unlock = demo.home / "unlock"
    passphrase = unlock.read_text()
    unlock.unlink()
    try:
        done = demo.run("store", "deny", "--signed", str(file))
        assert "not in the ledger, which is locked" in done.stderr
        assert f"bastide store deny --signed {file}" in done.stderr
        assert "models/" in (demo.home / "denied").read_text().split()
        assert "1 objects" in done.stdout
    finally:
        unlock.write_text(passphrase)
    rows = demo.json("store", "deny", "--signed", str(file))["denied"]
    assert {row["party"] for row in rows if row["name"] == "models/"} == {"firm"}
    demo.json("store", "allow", "models/", *key(people, "guardian", "firm"))


def test_a_line_that_is_none_of_ours_hides_no_opening(apart: tuple[Demo, Path]) -> None:
    demo, _ = apart
    home = Home(demo.home)
    with (
        open_environment(home, read_passphrase(home)) as env,
        env.store.open("models/1"),
        env.store.open("corpora/1"),
    ):
        pass
    kept = home.openings.read_bytes()
    good = kept.splitlines(keepends=True)
    foreign = [
        b'{"outcome": "asked", \xff\n',
        b"garbage\n",
        b'[1]\n"x"\n{}\nnull\n',
        good[-1].replace(b'"asked"', b'"never"'),
        good[-1].replace(b"corpora/", rb"\u001b[31m"),
        good[-1].replace(b'"time_ms": ', b'"time_ms": 99999999999999'),
        b"[" * 100_000 + b"\n",
    ]
    home.openings.write_bytes(b"".join([*good[:-1], *foreign, good[-1]]))
    try:
        done = demo.run("store", "openings", "--json", status=6)
        assert json.loads(done.stdout)[-2:] == [json.loads(line) for line in good[-2:]]
        for number in range(10):
            assert f"openings.jsonl line {len(good) + number}" in done.stderr
        assert f"line {len(good) + 10}" not in done.stderr
        assert "corpora/1" in demo.run("store", "openings", status=6).stdout
    finally:
        home.openings.write_bytes(kept)
    assert demo.run("store", "openings").stderr == ""


def test_a_torn_line_takes_no_other_with_it(tmp_path: Path) -> None:
    service, record = watched(tmp_path), tmp_path / "log" / "o"
    stanzas = [stanza_for(service)]
    service.unwrap(stanzas, "m/1")
    with record.open("a") as file:
        file.write('{"time_ms": 17, "obj')  # what a full disk left
    service.unwrap(stanzas, "m/2")
    service.unwrap(stanzas, "m/3")
    first, torn, *rest = record.read_text().splitlines()
    assert torn.endswith('"obj')
    assert [json.loads(line)["object"] for line in (first, *rest)] == ["m/1", "m/2", "m/3"]
