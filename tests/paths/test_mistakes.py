# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Mistakes that everybody makes once: each is answered by what is wrong, where, and a remedy."""

from pathlib import Path

import pytest

from bastide.app.first_run import embedded_model
from paths.demo import Demo, found_apart


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    """A home of three people, and the folder of their keys."""
    return found_apart(tmp_path_factory.mktemp("mistakes"))


def told(demo: Demo, *args: str, status: int) -> str:
    """What a person reads of a refusal, which must end with a remedy."""
    done = demo.run(*args, status=status)
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("  fix: "), done.stderr
    return done.stderr


def test_a_file_that_is_another_one_is_named(apart: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, people = apart
    file = tmp_path / "notes.txt"
    file.write_text('{"a": 1}')
    key = ("--key", str(people / "guardian.key"))
    assert f"{file}: " in told(demo, "approve", "--request", str(file), *key, status=2)
    assert f"{file}: " in told(demo, "approve", "--import", str(file), status=2)
    assert f"{file}: " in told(demo, "sign", str(file), status=2)
    assert f"{file}: " in told(demo, "guard", "test", str(file), "--text", "x", status=2)
    anchors = ("--request", str(file), "--keys", str(file))
    assert f"{file} lacks charter" in told(demo, "approve", *anchors, *key, status=6)
    gone = str(tmp_path / "gone")
    assert gone in told(demo, "corpus", "summary", "--check", gone, status=1)
    assert "'gone' is neither a file nor" in told(demo, "trace", "gone", status=1)


def test_whose_key_it_was_is_said(apart: tuple[Demo, Path], tmp_path: Path) -> None:
    demo, people = apart
    recipe = Path("examples/nordic.toml").resolve()
    theirs = found_apart(tmp_path)[1] / "firm.key"
    for key, said in (
        (people / "guardian.key", "the operator, with the key of the guardian, may not"),
        (theirs, "is no party's key in this environment"),
    ):
        args = ("corpus", "plan", str(recipe), "--key", str(key))
        assert said in told(demo, *args, status=4)


def test_what_is_not_there_is_not_made(apart: tuple[Demo, Path]) -> None:
    demo, _ = apart
    assert "did you mean 'load/v1'?" in told(demo, "ledger", "ls", "--kind", "load/v2", status=1)
    assert "there is no question" in told(demo, "chat", " ", status=2)
    database = demo.home / "ledger.db"
    database.rename(demo.home / "aside")
    try:
        assert "ledger.db is missing" in told(demo, "ledger", "ls", status=1)
        assert not database.exists()
    finally:
        (demo.home / "aside").rename(database)


def test_a_release_that_is_not_published_is_not_deployed(
    apart: tuple[Demo, Path], tmp_path: Path
) -> None:
    demo, people = apart
    keys = {name: str(people / f"{name}.key") for name in ("firm", "operator")}
    stated = ("--name", "m", "--origin", "x", "--licence", "Apache-2.0")
    demo.run("model", "add", str(embedded_model()), *stated)
    demo.run("evaluate", "m")
    demo.run("release", "propose", "m", "--key", keys["firm"])
    assert "fix: bastide release publish m" in told(demo, "deploy", "m", status=5)
    done = demo.run("approve", "m", "--key", keys["operator"], status=2)
    assert "is of another party; nothing was approved" in done.stderr
