# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""docs/guides/security-expert.md: three people in terminals of their own, word for word.

The prompt of a line says whose terminal it is; `> ` continues a command. Once a command that
`# waits for the others` has printed its first line, the page goes on in other terminals, and the
rest is compared when its own terminal is used again; what `# stays` runs until the walk is over.
"""

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bastide.app.first_run import embedded_model
from paths.demo import ARGV, ROOT, Demo, environment
from paths.pages import Step, matches

PAGE = ROOT / "docs" / "guides" / "security-expert.md"
PEOPLE = ("firm", "guardian", "operator")
PATIENCE_S = 120
_PROMPT = re.compile(r"(firm|guardian|operator2?)\$ (.*)")
_MARK = "\x01"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not shutil.which("age"), reason="age is not installed"),
    pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="OpenSSH is not installed"),
]


def steps() -> list[tuple[str, Step]]:
    """The commands of the walk, each with the name of its terminal."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (walk,) = [text for text in sections if text.startswith("Three people, three terminals\n")]
    found: list[tuple[str, Step]] = []
    for block in re.findall(r"```console\n(.*?)```", walk, re.DOTALL):
        for line in block.splitlines():
            prompt = _PROMPT.fullmatch(line)
            if prompt:
                found.append((prompt[1], Step(prompt[2])))
            elif line.startswith("> "):
                found[-1][1].command += "\n" + line[2:]
            else:
                found[-1][1].expected += line + "\n"
    return found


class Terminal:
    """A shell in a folder of its own, and the command in it that has not ended yet."""

    def __init__(self, folder: Path, path: str) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment(PATH=path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._running: Step | None = None
        self._printed = ""

    def do(self, step: Step) -> None:
        """Type a command once the one before has ended; wait for its end unless it is long."""
        self.settle()
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{step.command}\nprintf '{_MARK}%s{_MARK}' $?\n".encode())
        self._shell.stdin.flush()
        self._running, self._printed = step, ""
        if not step.command.endswith(("# waits for the others", "# stays")):
            self.settle()
        self._read_until(lambda: self._running is None or "\n" in self._printed)

    def settle(self) -> None:
        """Wait for the command that runs; it must end well and print what the page says."""
        if self._running is None:
            return
        self._read_until(lambda: self._printed.count(_MARK) == 2)
        text, state, _ = self._printed.split(_MARK)
        assert state == "0", f"{self._running.command}\n{text}\nexit {state}"
        self._compare(text)

    def wait_for(self, text: str) -> None:
        """Wait until the command that runs has printed this."""
        self._read_until(lambda: text in self._printed)

    def close(self) -> None:
        """End the shell; a command that stays must have printed what the page says."""
        while self._read():
            pass
        os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.wait(10)
        if self._running is not None and self._running.command.endswith("# stays"):
            self._compare(self._printed)

    def _read_until(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not enough():
            assert time.monotonic() < deadline, f"{self._running}\n{self._printed}"
            self._read()

    def _read(self) -> bool:
        assert self._shell.stdout is not None
        ready, _, _ = select.select([self._shell.stdout], [], [], 0.2)
        data = os.read(self._shell.stdout.fileno(), 65_536) if ready else b""
        self._printed += data.decode()
        return bool(data)

    def _compare(self, text: str) -> None:
        assert self._running is not None
        step, self._running = self._running, None
        if step.expected:
            assert matches(step.expected, text), (
                f"{step.command}\n{text}\n--- expected\n{step.expected}"
            )


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[dict[str, Terminal]]:
    for name in (*PEOPLE, "carry", "bin"):
        (tmp_path / name).mkdir()
    shim = tmp_path / "bin" / "bastide"
    shim.write_text(f'#!/bin/sh\nexec {shlex.join(ARGV)} "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "carry" / "model.gguf").symlink_to(embedded_model())
    path = f"{shim.parent}:{os.environ['PATH']}"
    made = {name: Terminal(tmp_path / name, path) for name in PEOPLE}
    made["operator2"] = Terminal(tmp_path / "operator", path)
    try:
        yield made
    finally:
        Demo(tmp_path / "operator" / ".bastide").run("down", status=None)
        for terminal in made.values():
            terminal.close()


@pytest.mark.attacks("C138")
def test_ceremony_release_attack_and_recovery(
    terminals: dict[str, Terminal], tmp_path: Path
) -> None:
    todo = steps()
    assert len(todo) >= 50
    for name, step in todo:
        if " ceremony " in step.command:
            # As a person does who sees both terminals: the keys come when both shares are there.
            terminals["operator2"].wait_for("unsealed by guardian and operator")
        terminals[name].do(step)
    # What the page promises of the operator's machine: it never held the others' keys.
    held = [path.read_bytes() for path in (tmp_path / "operator").rglob("*") if path.is_file()]
    for name in ("firm/firm.key", "guardian/guardian.key", "guardian/custodian.txt"):
        secret = (tmp_path / name).read_bytes().splitlines()[-2 if name.endswith("key") else -1]
        assert not any(secret in data for data in held), name
