# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Logins with a real issuer, npm's oidc-provider, by commands, with a browser that fills its forms.

Broken once to prove the tests: with a `principal` that stays the operator's where a list of people
is in force, whatever the terminal is, without the minutes, and without the
digest of the list, they fail.
"""

import contextlib
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.enrolment import add_signature
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.people import apply_people, propose_people
from bastide.app.sessions import end_session, newest_people, session_at
from bastide.core.errors import NotAllowed, Refused
from bastide.core.party import Party
from bastide.core.people import People
from bastide.crypto.dsse import Signer
from bastide.gates.access.default_policies import DEFAULT
from paths.demo import ARGV, Demo, environment, found_apart
from paths.issuer_rig import browse, real_issuer

_PEOPLE = """
[provider]
issuer = "{issuer}"
client = "bastide"
algorithms = ["{algorithm}"]
scopes = ["openid", "groups"]
minutes = 30

[[person]]
name = "anna"
subject = "u-1001"
party = "operator"
group = "operators"

[[person]]
name = "gerd"
subject = "u-2002"
party = "operator"
group = "operators"

[[person]]
name = "greta"
subject = "u-4004"
party = "guardian"
"""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    return found_apart(tmp_path_factory.mktemp("login"))


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with real_issuer() as (url, _):
        yield url


@pytest.fixture
def place(founded: tuple[Demo, Path], issuer: str) -> tuple[Demo, Path, str]:
    """A home where people log in at an issuer that runs, and nobody has."""
    demo, keys = founded
    end_session(Home(demo.home))
    enrol(demo, keys, issuer)
    return demo, keys, issuer


def enrol(demo: Demo, keys: Path, issuer: str, algorithm: str = "RS256") -> None:
    """Put a list in force, unless it is: as two parties do."""
    people = People.from_json(tomllib.loads(_PEOPLE.format(issuer=issuer, algorithm=algorithm)))
    operator, guardian = (signer(keys, party) for party in (Party.OPERATOR, Party.GUARDIAN))
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home), operator) as env:
        with contextlib.suppress(Refused):
            envelope = add_signature(propose_people(env, people, "a test", operator), guardian)
            apply_people(env, json.dumps(envelope.to_json()))
        listed = newest_people(env.ledger)
        assert listed is not None
        assert listed.people == people


def log_in(demo: Demo, who: str, *options: str) -> tuple[int, dict[str, Any]]:
    """`bastide login`, while a person is at the browser; exit status and what it printed."""
    process = subprocess.Popen(
        [*ARGV, "login", *(options or ("--no-browser",)), "--json", "--home", str(demo.home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    line, code = process.stderr.readline(), ""
    if options:
        code = process.stderr.readline().rpartition(" ")[2].strip()
    else:
        line = process.stderr.readline()
    found = re.search(r"http://\S+", line)
    assert found, line
    browse(found.group(), login=who, password="p", user_code=code)
    out, _ = process.communicate(timeout=60)
    return process.returncode, json.loads(out)


@pytest.mark.attacks("C221", "C222")
def test_two_parties_make_a_list_and_a_person_logs_in(
    founded: tuple[Demo, Path], issuer: str
) -> None:
    """The walk of the guide, by commands."""
    demo, keys = founded
    (keys / "people.toml").write_text(_PEOPLE.format(issuer=issuer, algorithm="RS256"))
    out, key = str(keys / "people.json"), str(keys / "operator.key")
    told = ("--reason", "a test", "--out", out)
    demo.json("people", "propose", str(keys / "people.toml"), *told, "--key", key)
    row = demo.json("people", "apply", out, status=5)
    assert row["reasons"] == ["the guardian has not signed"]
    demo.json("sign", out, "--key", str(keys / "guardian.key"))
    assert demo.json("people", "apply", out)["version"] == 1
    # From now on, who holds the passphrase alone is nobody.
    row = demo.json("tenant", "add", "early", status=4)
    assert row["message"].startswith("who has not logged in (`bastide login`) may not")
    status, row = log_in(demo, "u-1001")
    assert (status, row["person"], row["party"], row["how"]) == (0, "anna", "operator", "code")
    assert demo.json("whoami") == {"name": "anna", "parties": ["operator"]}
    demo.json("tenant", "add", "acme")
    *_, login, act = demo.json("ledger", "ls")
    assert (act["kind"], act["by"]) == ("tenant/v1", "anna")
    shown = demo.json("ledger", "show", str(act["entry"]))
    assert shown["by"] == {"person": "anna", "party": "operator", "login": login["entry"]}
    assert "anna" not in json.dumps(shown["statement"])
    acts = [{"person": "anna", "party": "operator", "statements": 1}]
    assert demo.json("ledger", "audit")["acts"] == acts
    assert "by anna (operator): 1 statement\n" in demo.run("ledger", "audit").stdout
    # At another terminal nobody has logged in.
    with subprocess.Popen(
        [*ARGV, "whoami", "--json", "--home", str(demo.home)],
        stdout=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as other:
        assert other.stdout is not None
        assert json.load(other.stdout)["parties"] == []
    # A login signs nothing: who changes the list still gives a key.
    alone = str(keys / "alone.json")
    demo.json("people", "propose", "--end", "--reason", "alone", "--out", alone)
    row = demo.json("people", "apply", alone, status=5)
    assert len(row["reasons"]) == 2
    assert demo.json("logout") == {"ended": True}
    demo.json("tenant", "add", "late", status=4)
    (row,) = demo.json("people", "logins", "--key", key)
    assert (row["person"], row["how"]) == ("anna", "code")
    # Nobody has to log in any more, once two parties say so.
    for name in ("guardian", "operator"):
        demo.json("sign", alone, "--key", str(keys / f"{name}.key"))
    demo.json("people", "apply", alone, "--key", key)
    assert demo.json("people", "show")["login"] is False
    demo.json("tenant", "add", "late")
    assert demo.json("ledger", "ls")[-1]["by"] is None


def test_a_code_is_confirmed_on_another_device(place: tuple[Demo, Path, str]) -> None:
    demo, _, _ = place
    status, row = log_in(demo, "u-1001", "--device")
    assert (status, row["person"], row["how"]) == (0, "anna", "device")
    assert demo.json("whoami")["name"] == "anna"


@pytest.mark.attacks("C220")
def test_who_is_not_enrolled_is_refused(place: tuple[Demo, Path, str]) -> None:
    demo, _, _ = place
    status, row = log_in(demo, "u-3003")  # in the right group, and on no list
    assert (status, row["message"]) == (4, "the issuer knows you, but you are not enrolled here")
    status, row = log_in(demo, "u-2002")  # on the list, and in another group
    assert (status, row["message"]) == (4, "gerd is not in the group 'operators' at the issuer")
    assert demo.json("whoami")["parties"] == []


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_an_issuer_changes_its_key(founded: tuple[Demo, Path], algorithm: str) -> None:
    demo, keys = founded
    with real_issuer(algorithm) as (issuer, change):
        enrol(demo, keys, issuer, algorithm)
        assert log_in(demo, "u-1001")[0] == 0
        change()
        assert log_in(demo, "u-1001")[0] == 0
    # And it is gone: without it nobody logs in; a party's key still says who one is.
    row = demo.json("login", "--no-browser", status=None)
    assert row["error"] == "unavailable"
    assert demo.json("people", "show", "--key", str(keys / "operator.key"))["login"] is True


@pytest.mark.attacks("C222")
def test_a_session_ends_with_its_minutes_and_with_its_list(place: tuple[Demo, Path, str]) -> None:
    demo, keys, issuer = place
    _, row = log_in(demo, "u-1001")
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home)) as env:
        listed = newest_people(env.ledger)
        assert listed is not None
        for time_ms, holds in (
            (row["time_ms"], True), (row["until_ms"] - 1, True), (row["until_ms"], False),
            (row["time_ms"] - 1, False),  # the clock was set back
        ):  # fmt: skip
            assert (session_at(home, env.ledger, listed, time_ms) is not None) is holds
        assert env.principal.parties == {Party.OPERATOR}
    # The same people by a list of its own: who was let in by the list before logs in again.
    enrol(demo, keys, issuer, "ES256")
    assert demo.json("whoami")["parties"] == []


def test_a_secret_that_nobody_signed_for_is_no_session(place: tuple[Demo, Path, str]) -> None:
    demo, _, _ = place
    _, row = log_in(demo, "u-1001")
    (file,) = Home(demo.home).sessions.iterdir()
    file.write_bytes(b"x" * 32)  # another secret: no entry has its digest
    assert demo.json("whoami")["parties"] == []
    assert file.stat().st_mode & 0o777 == 0o600
    assert row["people"].startswith("sha256:")


def test_policies_can_keep_a_person_out(place: tuple[Demo, Path, str]) -> None:
    demo, keys, _ = place
    (keys / "a.cedar").write_text(
        DEFAULT + '\n@id("not-anna") forbid (principal == Person::"anna",'
        ' action == Action::"login", resource);\n'
    )
    out = str(keys / "policy.json")
    log_in(demo, "u-1001")
    demo.json("policy", "propose", str(keys / "a.cedar"), "--reason", "t", "--out", out)
    for name in ("guardian", "operator"):
        demo.json("sign", out, "--key", str(keys / f"{name}.key"))
    demo.json("policy", "apply", out)
    status, row = log_in(demo, "u-1001")
    assert status == NotAllowed.exit_status
    assert row["reasons"][0].startswith("not-anna forbids it")


def signer(keys: Path, party: Party) -> Signer:
    return wiring.read_party_key(keys / f"{party.value}.key", party.value, str, print)
