# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Policies say who stops the opening of objects, who lets it go on, and which two may unseal.

Broken once to prove the tests: with `allow` and `deny` that ask nobody, with `deny` that needs an
open ledger, and with an `unseal` that asks nobody, they fail.
"""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bastide.app.config import Home
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.quorum import Collected, open_share
from bastide.core.errors import NotProven, Refused
from bastide.gates.access.default_policies import DEFAULT
from paths.demo import Demo, found_apart
from paths.quorum_rig import PARTIES, identity, share_of
from paths.test_access_policies import rewrite
from paths.test_quorum import founded

__all__ = ["founded"]  # the fixture: an environment of three custodians

GUARDIAN_TOO = (
    '\nforbid (principal, action == Action::"unseal", resource)'
    ' unless { principal in Party::"guardian" };\n'
)
NOBODY = '\nforbid (principal, action == Action::"unseal", resource);\n'


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    return found_apart(tmp_path_factory.mktemp("denials"))


@pytest.mark.attacks("C233")
def test_any_party_stops_and_the_guardian_lets_go_on(apart: tuple[Demo, Path]) -> None:
    demo, people = apart
    assert denied(demo.json("store", "deny", "models/", "*")) == {"models/": None, "*": None}
    row = demo.json("store", "allow", "*", status=4)
    assert "the action store-allow belongs to: guardian" in row["reasons"]
    assert (demo.home / "denied").read_text().split() == ["models/", "*"]
    key = ("--key", str(people / "guardian.key"))
    assert denied(demo.json("store", "allow", "*", *key)) == {"models/": None}
    assert demo.json("store", "openings") == []
    assert "no party signed it" in demo.run("store", "where").stdout


@pytest.mark.attacks("C285", "C286")
def test_the_owner_signs_and_no_file_lifts_it(tmp_path: Path) -> None:
    """The operator removes and empties the file; the firm's denial is in the ledger."""
    demo, people = found_apart(tmp_path)
    firm, guardian = (("--key", str(people / f"{party}.key")) for party in ("firm", "guardian"))
    said = ("--reason", "the contract has ended")
    (row,) = demo.json("store", "deny", "models/", *firm, *said)["denied"]
    assert (row["party"], row["reason"]) == ("firm", "the contract has ended")
    (demo.home / "denied").unlink()
    assert f"models/  by the firm  (entry {row['entry']})" in demo.run("store", "where").stdout
    with opened(demo) as env:
        store = env.store
        store.put("models/1", [b"weights"])
        with pytest.raises(Refused, match="the owner denies the opening of models/1"):
            store.open("models/1").__enter__()
    for keys in ((), guardian, firm):
        refused = demo.json("store", "allow", "models/", *keys, status=None)
        assert refused["error"] in ("not-allowed", "not-proven")
    assert denied(demo.json("store", "where")) == {"models/": "firm"}
    assert demo.json("store", "allow", "models/", *guardian, *firm) == {"denied": []}
    with opened(demo) as env, env.store.open("models/1") as reader:
        assert reader.read_at(0, 7) == b"weights"
    demo.json("ledger", "audit")


@pytest.mark.attacks("C285")
def test_it_travels_to_be_signed_and_so_does_its_end(tmp_path: Path) -> None:
    demo, people = found_apart(tmp_path)
    file, back = tmp_path / "denial.json", tmp_path / "end.json"
    key = {party: ("--key", str(people / f"{party}.key")) for party in ("firm", "guardian")}
    demo.json("store", "deny", "*", "--party", "firm", "--out", str(file))
    unsigned = demo.json("store", "deny", "--signed", str(file), status=None)
    assert unsigned["error"] in ("misconfigured", "not-proven")
    demo.json("sign", str(file), *key["guardian"])
    assert demo.json("store", "deny", "--signed", str(file), status=6)["error"] == "not-proven"
    demo.json("store", "deny", "*", "--party", "firm", "--out", str(file))
    demo.json("sign", str(file), *key["firm"])
    assert denied(demo.json("store", "deny", "--signed", str(file))) == {"*": "firm"}
    demo.json("store", "allow", "*", "--out", str(back))
    demo.json("sign", str(back), *key["guardian"])
    missing = demo.json("store", "allow", "--signed", str(back), status=6)
    assert "the signature of the firm too" in missing["message"]
    demo.json("sign", str(back), *key["firm"])
    assert demo.json("store", "allow", "--signed", str(back)) == {"denied": []}
    assert demo.json("store", "allow", "--signed", str(back), status=None)["error"] == "refused"
    demo.json("ledger", "audit")


def denied(row: dict[str, Any]) -> dict[str, str | None]:
    return {one["name"]: one["party"] for one in row["denied"]}


def opened(demo: Demo) -> AbstractContextManager[Environment]:
    home = Home(demo.home)
    return open_environment(home, read_passphrase(home))


@pytest.mark.attacks("C233")
def test_what_is_locked_or_damaged_can_be_stopped_and_opened_by_nobody(
    apart: tuple[Demo, Path],
) -> None:
    demo, people = apart
    unlock = demo.home / "unlock"
    passphrase = unlock.read_text()
    unlock.unlink()
    done = demo.run("store", "deny", "corpora/")
    assert "no policy is asked: the keyring in" in done.stderr
    assert "corpora/" in (demo.home / "denied").read_text()
    assert "no policy is asked" in demo.run("store", "openings").stderr
    key = ("--key", str(people / "guardian.key"))
    row = demo.json("store", "allow", "corpora/", *key, status=4)
    assert "locked" in row["message"]
    unlock.write_text(passphrase)
    database = next(demo.home.glob("ledger.*"))
    kept = database.read_bytes()
    try:
        database.write_bytes(b"no database at all" * 300)
        assert "no policy is asked" in demo.run("store", "deny", "desk/").stderr
        assert demo.run("store", "allow", "desk/", *key, status=None).returncode != 0
        assert "desk/" in (demo.home / "denied").read_text()
    finally:
        database.write_bytes(kept)


def test_a_policy_can_forbid_a_party_to_stop(apart: tuple[Demo, Path]) -> None:
    demo, people = apart
    forbid = 'forbid (principal in Party::"operator", action == Action::"store-deny", resource);'
    _apply(demo, people, DEFAULT + forbid)
    assert demo.json("store", "deny", "all/", status=4)["error"] == "not-allowed"


@pytest.mark.attacks("C281")
@pytest.mark.parametrize(("action", "command"), [("store-move", "move"), ("read", "where")])
def test_a_policy_says_who_moves_objects_and_who_asks_where_they_are(
    apart: tuple[Demo, Path], tmp_path: Path, action: str, command: str
) -> None:
    demo, people = apart
    forbid = f'forbid (principal in Party::"operator", action == Action::"{action}", resource);'
    _apply(demo, people, DEFAULT + forbid)
    to = ("--to", f"local:{tmp_path / 'elsewhere'}") if command == "move" else ()
    row = demo.json("store", command, *to, status=4)
    assert f"the action {action}" in "; ".join(row["reasons"])
    assert not (tmp_path / "elsewhere").exists()
    assert "all/" not in (demo.home / "denied").read_text()


@pytest.mark.attacks("C233")
def test_forged_policies_stop_no_stop(tmp_path: Path) -> None:
    """Who has the database's key writes over the set in force."""
    demo, people = found_apart(tmp_path)
    _apply(demo, people, DEFAULT + "// ours\n")
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home)) as env:
        entry = env.ledger.newest_of("access-policy/v1")
        data = env.ledger.envelope(entry).encode()
        rewrite(env, entry, data.replace(b'"sig":"', b'"sig":"AAAA', 1))
        with pytest.raises(NotProven):
            env.access.policies()
    assert "forged/" in denied(demo.json("store", "deny", "forged/"))
    key = ("--key", str(people / "guardian.key"))
    assert demo.json("store", "allow", "forged/", *key, status=6)["error"] == "not-proven"


@pytest.mark.attacks("C234")
def test_policies_say_which_custodians_unseal(founded: tuple[Demo, Path]) -> None:
    demo, people = founded
    collected = Collected(json.loads((demo.home / "public" / "quorum.json").read_text()))
    for number, party in enumerate(PARTIES, start=1):
        share = (people / f"{party}.share.age").read_text()
        collected.add(open_share(share, [identity(number)]))
    secret = people / "passphrase"
    secret.write_text(collected.passphrase())
    given = ("--passphrase-file", str(secret))
    row = _propose(demo, people, DEFAULT + NOBODY, *given, status=3)
    assert "would stay locked" in row["message"]
    _apply(demo, people, DEFAULT + GUARDIAN_TOO, *given)
    two = (*share_of(people, "firm"), *share_of(people, "operator"))
    row = demo.json("unseal", *two, "--wait", "0", status=4)
    assert row["message"].startswith("the custodians firm and operator may not sign")
    assert not demo.json("status")["running"]
    two = (*share_of(people, "guardian"), *share_of(people, "operator"))
    assert demo.json("unseal", *two, "--wait", "0")["custodians"] == ["guardian", "operator"]
    demo.run("down")


def _propose(demo: Demo, people: Path, text: str, *given: str, status: int = 0) -> dict[str, str]:
    file = people / "access.cedar"
    file.write_text(text)
    told = ("--reason", "a test", "--out", str(people / "p.json"))
    return demo.json("policy", "propose", str(file), *told, *given, status=status)


def _apply(demo: Demo, people: Path, text: str, *given: str) -> None:
    _propose(demo, people, text, *given)
    for party in ("guardian", "operator"):
        demo.json("sign", str(people / "p.json"), "--key", str(people / f"{party}.key"))
    demo.json("policy", "apply", str(people / "p.json"), *given)
