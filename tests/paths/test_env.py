# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide env`: what it prints is what a shell and the SDKs take."""

import base64
import hmac
import subprocess

import pytest

from bastide.app.moving import UNSET
from bastide.app.tenants import add_tenant
from bastide.core import apikey
from bastide.core.key import Purpose
from paths.demo import Demo, environment
from paths.loading_rig import Served

NAMES = {
    *("OPENAI_BASE_URL", "OPENAI_API_KEY"),
    *("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION"),
    *("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    *("GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "GEMINI_API_KEY"),
    *("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL_BEDROCK", "AWS_DEFAULT_REGION"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "ANTHROPIC_BEDROCK_BASE_URL",
    *("OLLAMA_HOST", "OLLAMA_API_KEY"),
}


@pytest.fixture
def demo(broken: Served) -> Demo:
    add_tenant(broken.env, "acme")
    return Demo(broken.env.home.root)


def test_json_holds_a_key_that_works_and_the_pair_that_stands_for_it(
    demo: Demo, broken: Served
) -> None:
    row = demo.json("env", "--tenant", "acme", "--model", "tiny")
    assert set(row) == {"id", "tenant", "variables", "unset"}
    found = row["variables"]
    assert set(found) == NAMES
    key = found["OPENAI_API_KEY"]
    assert apikey.ident_of(key) == row["id"]
    (kept,) = broken.env.ledger.api_keys()
    pepper = broken.env.keyring.secret(Purpose.PEPPER)
    assert kept.body["mac"] == apikey.mac(pepper, key)
    assert (kept.body["tenant"], kept.body["scopes"]) == ("acme", ["tiny"])
    assert {value for name, value in found.items() if name.endswith("_API_KEY")} == {key}
    assert found["AWS_ACCESS_KEY_ID"] == "BST" + row["id"][2:].upper()
    digest = hmac.digest(pepper, b"sigv4" + row["id"].encode(), "sha256")
    assert found["AWS_SECRET_ACCESS_KEY"] == base64.b64encode(digest).decode()[:40]
    url = "http://127.0.0.1:1"
    assert found["OPENAI_BASE_URL"] == url + "/v1"
    rest = {"AZURE_OPENAI_ENDPOINT", "OLLAMA_HOST", "AWS_ENDPOINT_URL_BEDROCK"}
    rest |= {name for name in NAMES if name.endswith("_BASE_URL")} - {"OPENAI_BASE_URL"}
    assert {found[name] for name in rest} == {url}


def test_a_shell_takes_it_and_forgets_what_would_come_first(demo: Demo) -> None:
    done = demo.run("env", "--tenant", "acme", "--shell", "--url", "https://ai.example/")
    assert "shown once" in done.stderr
    old = dict.fromkeys((*UNSET, "OPENAI_API_KEY"), "of the old vendor")
    taken = subprocess.run(
        ["sh", "-ec", 'eval "$GIVEN"; unset GIVEN; env'],
        env=environment(GIVEN=done.stdout, **old),
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.partition("=")[::2] for line in taken.stdout.splitlines())
    assert set(found) >= NAMES
    assert not set(found) & set(UNSET)
    assert "of the old vendor" not in found.values()
    assert apikey.is_key(found["OPENAI_API_KEY"])
    assert found["ANTHROPIC_BASE_URL"] == "https://ai.example"


def test_plain_lines_are_fit_for_a_file(demo: Demo) -> None:
    lines = demo.run("env", "--tenant", "acme").stdout.splitlines()
    assert {line.partition("=")[0] for line in lines} == NAMES
    assert all(line.partition("=")[2] for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--tenant", "nobody"], 1), (["--tenant", "acme", "--url", "ai.example"], 2), ([], 2)],
)
def test_a_wrong_call_makes_no_key(
    demo: Demo, broken: Served, arguments: list[str], status: int
) -> None:
    assert set(demo.json("env", *arguments, status=status)) == {
        "error",
        "message",
        "reasons",
        "fix",
    }
    assert broken.env.ledger.api_keys() == []


def test_the_alias_commands(demo: Demo) -> None:
    row = demo.json("alias", "set", "gpt-4o-mini", "tiny")
    assert (row["alias"], row["deployment"]) == ("gpt-4o-mini", "tiny")
    assert demo.json("alias", "ls") == [{**row, "active": True}]
    assert "gpt-4o-mini" in demo.run("alias", "ls").stdout
    assert demo.json("alias", "rm", "gpt-4o-mini")["ended"] is True
    assert demo.json("alias", "ls") == []
    assert demo.json("alias", "rm", "gpt-4o-mini", status=1)["error"] == "not-found"
