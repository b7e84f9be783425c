# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The command line keeps its promises: help, examples, JSON, exit codes, errors that help."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bastide.cli.command import Call, Command, parameters
from bastide.cli.events import telling
from bastide.cli.root import bastide
from bastide.core.errors import NotFound
from paths.demo import ARGV, Demo, environment


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from commands(command, f"{path} {name}".strip())
            else:
                yield f"{path} {name}".strip(), command


ALL = dict(commands(bastide))


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_json_help_and_an_example(name: str) -> None:
    command = ALL[name]
    assert isinstance(command, Command)
    assert f"bastide {name}" in command.example, "the example shows the command itself"
    assert command.help
    options = {text for param in command.params for text in param.opts}
    assert {"--json", "--home", "--passphrase-file", "--debug"} <= options
    with click.Context(command) as ctx:
        text = command.get_help(ctx)
    assert "Example" in text
    assert command.example.splitlines()[0] in text


def test_the_issue_s_commands_exist() -> None:
    wanted = ["up", "down", "status", "doctor", "chat", "verify", "trace", "init", "evaluate"]
    wanted += ["approve", "deploy", "undeploy"]
    wanted += ["model add", "model ls", "model show", "release propose", "release ls"]
    wanted += ["release show", "release publish", "key new", "key ls", "key revoke"]
    wanted += ["ledger ls", "ledger show", "ledger prove", "ledger rebuild", "receipt export"]
    assert set(wanted) <= set(ALL)


def test_exit_codes_are_those_of_the_error_tree(tmp_path: Path) -> None:
    rows = {row["code"]: row["status"] for row in Demo(tmp_path).json("exit-codes")}
    assert rows == {
        "ok": 0,
        "not-found": 1,
        "misconfigured": 2,
        "refused": 3,
        "not-allowed": 4,
        "waiting": 5,
        "not-proven": 6,
        "unavailable": 7,
        "interrupted": 130,
    }


def test_a_missing_environment_says_what_to_do(tmp_path: Path) -> None:
    done = Demo(tmp_path / "none").run("model", "ls", status=1)
    assert "there is no environment" in done.stderr
    assert "fix: run `bastide init`" in done.stderr
    assert done.stdout == ""


def test_json_errors_are_one_object_on_standard_output(tmp_path: Path) -> None:
    row = Demo(tmp_path / "none").json("model", "ls", status=1)
    assert row["error"] == "not-found"
    assert set(row) == {"error", "message", "reasons", "fix"}


def test_a_misspelt_command_gets_the_nearest_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [*ARGV, "modle"], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 2
    assert "Did you mean 'model'?" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['bastide', '--help']\n"
        "from bastide.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'cryptography', 'obstore', 'msgspec', 'uvloop', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stderr.strip() == "[]"


def test_a_config_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('environment = "x"\nlisten_port = 1\n')
    row = Demo(tmp_path).json("status", status=2)
    assert "unknown key 'listen_port'" in row["message"]
    assert json.dumps(row).count("did you mean") <= 1


def test_a_setting_that_stands_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('environment = "x"\nlisten = "a"\nlisten = "b"\n')
    row = Demo(tmp_path).json("status", status=2)
    assert "line 3" in row["message"] and "stands there twice" in row["fix"]


def test_a_table_shows_moments_and_json_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"node": "b", "expires_ms": 1_795_888_746_197}, {"node": "c", "expires_ms": None}]
    call = Call(None, as_json=False, passphrase_file=None, debug=False)
    call.rows(rows, ("node", "expires_ms"), "none")
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["NODE", "EXPIRES"]
    assert first.split() == ["b", "2026-11-28", "17:59:06", "UTC"] and second.split() == ["c", "-"]
    dataclasses.replace(call, as_json=True).rows(rows, ("node",), "none")
    assert json.loads(capsys.readouterr().out) == rows


def test_long_work_tells_a_failure_in_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Broken once to prove it: a question that was broken off was told as a defect of ours."""
    ends: list[Exception] = [click.Abort(), NotFound("gone"), ValueError("a secret")]

    def work(call: Call) -> None:
        with telling(call):
            raise ends.pop(0)

    command = parameters("work", "bastide work")(work)
    with pytest.raises(click.Abort):
        command.main(["--json"], standalone_mode=False)
    assert capsys.readouterr().out == ""
    assert command.main(["--json"], standalone_mode=False) == NotFound.exit_status
    (line,) = capsys.readouterr().out.splitlines()
    row = {"event": "error", "error": "not-found", "message": "gone", "reasons": [], "fix": ""}
    assert json.loads(line) == row
    command.main(["--json"], standalone_mode=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert "unexpected ValueError" in line and "secret" not in line
