# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a denial says back to whoever gives it, and what it makes of work that opens objects.

Broken once to prove the tests: without what `rotate` asks before it makes a key, with a carried
denial that a locked environment forgets, and with names that are taken as they are, they fail.
"""

from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
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
