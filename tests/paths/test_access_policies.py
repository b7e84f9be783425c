# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Access policies in the ledger: two parties change who may do what, and nobody alone.

Broken once to prove the tests: with one signature enough at the ledger's door, without the check
of signatures in `history`, and with the newest statement in force whatever it follows, they fail.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bastide.app import wiring
from bastide.app.access_policies import apply_policies, propose_policies
from bastide.app.config import Home
from bastide.app.duties import require
from bastide.app.enrolment import add_signature
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.tenants import add_tenant
from bastide.core.errors import Misconfigured, NotAllowed, NotProven, Refused, Waiting
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.party import Duty, Party
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.gates.access.actions import ACTIONS
from bastide.gates.access.default_policies import DEFAULT
from bastide.gates.access.policy_set import PolicySet
from bastide.ledger import schema
from paths.demo import Demo, found_apart

WIDER = DEFAULT + '\n@id("ours")\npermit (principal in Party::"firm", action, resource);\n'
OTHER = DEFAULT + '\n@id("other")\npermit (principal in Party::"firm", action, resource);\n'


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    return found_apart(tmp_path_factory.mktemp("access"))


@pytest.fixture
def env(founded: tuple[Demo, Path]) -> Iterator[Environment]:
    home = Home(founded[0].home)
    with open_environment(home, read_passphrase(home)) as env:
        yield env


def proposal(env: Environment, people: Path, text: str, *parties: Party) -> str:
    """A set of policies, proposed and signed by parties in turn."""
    envelope = propose_policies(env, PolicySet(text, "access.cedar"), "a test", None)
    for party in parties:
        envelope = add_signature(envelope, signer(people, party))
    return json.dumps(envelope.to_json())


def test_two_parties_change_who_may_do_what(founded: tuple[Demo, Path]) -> None:
    """The walk of the guide, by commands."""
    demo, people = founded
    (people / "access.cedar").write_text(WIDER)
    told = ("--reason", "a test", "--out", str(people / "p.json"))
    row = demo.json("policy", "propose", str(people / "access.cedar"), *told)
    assert "firm may tenant-add from now on" in row["changes"]
    demo.json("sign", str(people / "p.json"), "--key", str(people / "guardian.key"))
    row = demo.json("policy", "apply", str(people / "p.json"), status=5)
    assert row["reasons"] == ["no party beside the guardian has signed"]
    demo.json("sign", str(people / "p.json"), "--key", str(people / "operator.key"))
    assert demo.json("policy", "apply", str(people / "p.json"))["version"] == 1
    row = demo.json("policy", "explain", "--as", "firm", "tenant-add", "acme")
    line = WIDER.splitlines().index('@id("ours")') + 1
    assert row["policies"] == [{"policy": "ours", "file": "access-policy version 1", "line": line}]
    (version,) = demo.json("policy", "show")["versions"]
    assert version["signed"] == ["guardian", "operator"]


def test_a_proposal_waits_for_the_guardian_and_another(env: Environment, people: Path) -> None:
    for parties, missing in (
        ([], 2), ([Party.GUARDIAN], 1), ([Party.FIRM, Party.OPERATOR], 1),
    ):  # fmt: skip
        with pytest.raises(Waiting) as caught:
            apply_policies(env, proposal(env, people, OTHER, *parties))
        assert len(caught.value.reasons) == missing
    text = proposal(env, people, OTHER, Party.GUARDIAN, Party.FIRM)
    apply_policies(env, text)
    assert env.access.policies().text == OTHER
    apply_policies(env, proposal(env, people, DEFAULT, Party.GUARDIAN, Party.FIRM))
    assert env.access.policies().text == DEFAULT
    with pytest.raises(Refused, match="the next is 4"):
        apply_policies(env, text)  # the version before, replayed
    with pytest.raises(Refused, match="in force already"):
        proposal(env, people, DEFAULT)


def test_the_door_decides_by_the_set_in_force(env: Environment, people: Path) -> None:
    add_tenant(env, "acme")
    narrow = DEFAULT + (
        '\n@id("no-evil") forbid (principal, action == Action::"tenant-add", '
        'resource == Tenant::"evil");\n'
    )
    apply_policies(env, proposal(env, people, narrow, Party.GUARDIAN, Party.OPERATOR))
    with pytest.raises(NotAllowed) as caught:
        add_tenant(env, "evil")
    assert caught.value.reasons[0].startswith("no-evil forbids it: access-policy version ")
    add_tenant(env, "good")


@pytest.mark.attacks("C176")
def test_no_party_alone_and_no_service_makes_policies(env: Environment, people: Path) -> None:
    statement = stated(env, WIDER)
    keys = {party: signer(people, party) for party in Party}
    evidence = env.signer(Purpose.EVIDENCE)
    for signers in (
        [evidence],
        [keys[Party.OPERATOR]],
        [keys[Party.GUARDIAN]],
        [keys[Party.FIRM], keys[Party.OPERATOR]],
        [keys[Party.GUARDIAN], evidence],
    ):
        with pytest.raises(NotProven, match="signed by keys of the guardian and of one party"):
            env.ledger.append_statement(statement, signers)


def test_the_ledger_takes_no_misspelt_policy(env: Environment, people: Path) -> None:
    text = DEFAULT.replace('Action::"guard"', 'Action::"gard"')
    keys = [signer(people, Party.GUARDIAN), signer(people, Party.FIRM)]
    with pytest.raises(Misconfigured, match=r"access.cedar:\d+:\d+: guardian-guards"):
        env.ledger.append_statement(stated(env, text), keys)


@pytest.mark.attacks("C178")
def test_an_older_set_appended_again_is_not_in_force(env: Environment, people: Path) -> None:
    keys = [signer(people, Party.GUARDIAN), signer(people, Party.FIRM)]
    before = env.access.policies().text
    for version, previous in ((1, None), (99, None), (1, str(env.ledger.charter().digest))):
        env.ledger.append_statement(stated(env, OTHER, version, previous), keys)
        assert env.access.policies().text == before
    env.ledger.audit()


@pytest.mark.attacks("C177")
def test_policies_forged_in_the_database_stop_every_command(env: Environment, people: Path) -> None:
    """The operator has the database's key, and puts a wider text into a signed entry."""
    now = env.access.statement()
    before = None if now is None else str(now.digest)
    version = 1 if now is None else now.body["version"] + 1
    keys = [signer(people, Party.GUARDIAN), signer(people, Party.FIRM)]
    made = env.ledger.append_statement(stated(env, DEFAULT + "\n", version, before), keys)
    envelope = env.ledger.envelope(made.entry or 0)
    payload = json.loads(envelope.payload)
    payload["predicate"]["policies"] = WIDER
    digest = PolicySet(WIDER, "x").digest.hex
    payload["subject"][0]["digest"]["sha256"] = digest
    forged = dsse.Envelope(Statement.from_json(payload).payload(), envelope.signatures).encode()
    rewrite(env, made.entry or 0, forged)
    try:
        home = env.home
        with (
            open_environment(home, read_passphrase(home)) as again,
            pytest.raises(NotProven, match=f"the access policies of entry {made.entry}"),
        ):
            again.access.policies()
        with pytest.raises(NotProven):
            env.ledger.audit()
    finally:
        rewrite(env, made.entry or 0, envelope.encode())
    env.ledger.audit()


def test_an_installation_whose_set_is_older_than_an_action_is_told_what_to_add(
    founded: tuple[Demo, Path], env: Environment, people: Path
) -> None:
    """Its parties listed actions one by one, before a version brought another one."""
    demo, _ = founded
    deploys = [name for name, row in ACTIONS.items() if row.duty is Duty.DEPLOY]
    listed = ", ".join(f'Action::"{name}"' for name in deploys if name != "store-move")
    older = DEFAULT.replace('action in Action::"deploy"', f"action in [{listed}]")
    apply_policies(env, proposal(env, people, older, Party.GUARDIAN, Party.FIRM))
    with pytest.raises(NotAllowed) as caught:
        require(env, "store-move")
    assert any("names it nowhere" in row for row in caught.value.reasons)
    assert "--left-out" in caught.value.fix
    assert demo.json("policy", "show")["left_out"] == ["store-move"]
    row = demo.json("policy", "explain", "--as", "operator", "store-move")
    assert "older than the action" in row["why"]
    found = {row["ident"]: row for row in demo.json("doctor")["findings"]}
    assert found["policies"]["state"] == "warn"
    assert found["policies"]["seen"].endswith(": store-move")
    file = people / "amended.cedar"
    file.write_text(demo.json("policy", "show", "--text", "--left-out")["policies"])
    told = demo.json("policy", "check", str(file))
    assert told["left_out"] == told["changes"] == []
    text = file.read_text()
    apply_policies(env, proposal(env, people, text, Party.GUARDIAN, Party.FIRM))
    require(env, "store-move")
    found = {row["ident"]: row for row in demo.json("doctor")["findings"]}
    assert found["policies"]["state"] == "ok"
    # It names the action, under a condition that nobody can meet.
    deploys = 'action in Action::"deploy", resource)'
    assert deploys in DEFAULT
    text = DEFAULT.replace(deploys, deploys + ' when { principal in Party::"auditor" }')
    file.write_text(text)
    told = demo.json("policy", "check", str(file))
    assert told["left_out"] == told["unseen"] == []
    assert any(row.startswith("store-move: operator-deploys (line ") for row in told["unmet"])
    apply_policies(env, proposal(env, people, text, Party.GUARDIAN, Party.FIRM))
    found = {row["ident"]: row for row in demo.json("doctor")["findings"]}
    assert found["policies"]["state"] == "warn"
    assert "nobody can meet: " in found["policies"]["seen"]
    assert "conditions that nobody can meet: store-move" in demo.run("policy", "show").stdout


def test_files_are_checked_and_tested_without_a_key(tmp_path: Path) -> None:
    demo, file = Demo(tmp_path / "none"), tmp_path / "access.cedar"
    file.write_text(WIDER)
    row = demo.json("policy", "check", str(file))
    assert "firm may guard-set from now on" in row["changes"]
    (tmp_path / "access.toml").write_text(
        '[[case]]\nwho = "firm"\naction = "guard-set"\non = "acme"\nexpect = "allow"\n'
        '[[case]]\nwho = "nobody"\naction = "read"\nexpect = "deny"\n'
    )
    assert all(row["met"] for row in demo.json("policy", "test", str(file)))
    file.write_text(DEFAULT)
    rows = demo.json("policy", "test", str(file), status=1)
    assert [row["met"] for row in rows] == [False, True]
    file.write_text(WIDER.replace("permit (principal in", "permit (principle in", 1))
    row = demo.json("policy", "check", str(file), status=2)
    assert row["message"].startswith("access.cedar:")


@pytest.fixture
def people(founded: tuple[Demo, Path]) -> Path:
    return founded[1]


def signer(people: Path, party: Party) -> dsse.Signer:
    return wiring.read_party_key(people / f"{party.value}.key", party.value, str, print)


def stated(env: Environment, text: str, version: int = 1, previous: str | None = None) -> Statement:
    body: dict[str, Any] = {
        "version": version,
        "previous": previous,
        "policies": text,
        "reason": "",
        "time_ms": env.clock.now_ms(),
    }
    subject = Subject("access-policy", Digest.of(text.encode()))
    return Statement("access-policy/v1", (subject,), body)


def rewrite(env: Environment, entry: int, data: bytes) -> None:
    """What somebody with the database's key can do."""
    table, index = schema.entry, schema.evidence
    with env.ledger._records.begin() as connection:
        connection.execute(update(table).where(table.c.index == entry).values(data=data))
        digest = Digest.of(data).raw
        connection.execute(update(index).where(index.c.entry == entry).values(digest=digest))
