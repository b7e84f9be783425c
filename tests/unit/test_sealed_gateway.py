# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A client of sealed mode sends its API key in clear to its own machine only.

Broken once to prove it: without the check in `Gateway.connect` these fail.
"""

import http.client
from pathlib import Path

import pytest
from click.testing import CliRunner

from bastide.app.sealed_gateway import Gateway
from bastide.cli.root import bastide
from bastide.core.errors import Misconfigured


@pytest.mark.attacks("C282")
@pytest.mark.parametrize(
    "url",
    ["http://llm.example", "http://10.0.0.1:8471", "http://[2001:db8::1]:80", "http://0.0.0.0:80",
     "http://localhost.example:80", "http://127.0.0.1.example:80", "HTTP://llm.example"],
)  # fmt: skip
def test_no_key_goes_in_clear_to_another_machine(url: str) -> None:
    with pytest.raises(Misconfigured, match="in clear") as caught:
        Gateway(url).connect()
    assert "--insecure-http" in caught.value.fix
    assert isinstance(Gateway(url, plain=True).connect(), http.client.HTTPConnection)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8471", "http://[::1]:8471", "http://localhost"])
def test_this_machine_may_be_asked_in_clear(url: str) -> None:
    assert type(Gateway(url).connect()) is http.client.HTTPConnection


@pytest.mark.attacks("C282")
@pytest.mark.parametrize("command", [("nodes",), ("chat", "What?", "--model", "m")])
def test_a_command_says_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keys.json").write_text('{"charter": {}, "keys": [], "origin": "o"}')
    Path("key").write_text("bst_" + "k" * 36)
    asked = ("--gateway", "http://llm.example", "--keys", "keys.json", "--api-key-file", "key")
    done = CliRunner().invoke(bastide, ["sealed", *command, *asked])
    assert done.exit_code == 2
    assert "in clear" in done.stderr and "https://" in done.stderr
