# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A guard policy and an erasure list on their way: command line, ledger, control, gateway."""

import asyncio
import base64
import dataclasses
import json
from pathlib import Path

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.app.config import Home, Settings
from bastide.app.control import Control
from bastide.app.guards import (
    export_erasure,
    import_erasure,
    make_erasure,
    read_policy,
    set_guard,
    show_guards,
)
from bastide.app.snapshots import Known, build_snapshot
from bastide.app.tenants import add_tenant
from bastide.core.canonical import canonical
from bastide.core.erasure import ErasureList
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven
from bastide.core.evidence import Statement
from bastide.core.guard import GuardPolicy
from bastide.core.key import Purpose
from bastide.core.party import Party, Principal
from bastide.core.snapshot import Snapshot
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from bastide.ledger import schema
from bastide.ledger.erasure import ErasureShelf
from paths.demo import Demo
from paths.loading_rig import Served, insert
from paths.passes import callers, passing
from unit.chain_fixture import make_chain

NAME = "Anna Schmidt-Müller"
TEXT = "[out]\niban = 'mask'\nerasure = 'mask'\n"
POLICY = read_policy(TEXT)


def snapshot_of(broken: Served, known: Known | None = None) -> Snapshot:
    env, seen = broken.env, known or Known()
    return build_snapshot(env.ledger, env.settings, env.home.run, env.ledger.size, 1, seen)


def test_a_policy_reaches_the_snapshot_and_leaves_it(broken: Served) -> None:
    add_tenant(broken.env, "acme")
    set_guard(broken.env, "*", POLICY)
    set_guard(broken.env, "acme", GuardPolicy())
    known = snapshot_of(broken).guards
    assert {name: GuardPolicy.from_json(json.loads(text)) for name, text in known.items()} == {
        "*": POLICY,
        "acme": GuardPolicy(),
    }
    assert [row["tenant"] for row in show_guards(broken.env)] == ["*", "acme"]
    set_guard(broken.env, "*", None)
    assert list(snapshot_of(broken).guards) == ["acme"]
    broken.env.ledger.audit()


@pytest.mark.attacks("C89")
def test_only_the_guardian_sets_a_policy_and_for_a_known_tenant(broken: Served) -> None:
    with pytest.raises(NotFound):
        set_guard(broken.env, "nobody", POLICY)
    operator = Principal("the operator", frozenset({Party.OPERATOR, Party.FIRM}))
    other = dataclasses.replace(broken.env, principal=operator)
    with pytest.raises(NotAllowed, match="may not guard"):
        set_guard(other, "*", None)
    with pytest.raises(NotAllowed, match="may not guard"):
        import_erasure(other, b"")


@pytest.mark.attacks("C89")
def test_a_policy_that_somebody_planted_stops_the_snapshot(broken: Served) -> None:
    entry = set_guard(broken.env, "*", POLICY).entry or 0
    known = Known()
    snapshot_of(broken, known)
    before, payload = (
        broken.env.ledger.envelope(entry).encode(),
        broken.env.ledger.envelope(entry).payload,
    )
    changed = payload.replace(b'"iban":"mask"', b'"iban":"observe"')
    forged = before.replace(base64.b64encode(payload), base64.b64encode(changed))
    assert forged != before
    broken.sql(f"UPDATE entry SET data = X'{forged.hex()}' WHERE \"index\" = {entry}")
    broken.sql(f"UPDATE evidence SET digest = X'{Digest.of(forged).hex}' WHERE entry = {entry}")
    with pytest.raises(NotProven):
        snapshot_of(broken, known)


@pytest.mark.attacks("C89")
def test_the_operators_own_policy_beside_the_door_stops_the_snapshot(broken: Served) -> None:
    """Signed by the services' key, under a head that is right: only the guardian is missing."""
    known = Known()
    env = broken.env
    set_guard(env, "*", POLICY)
    snapshot_of(broken, known)
    before = env.ledger.decided_before("guard/v1", "*")
    body = {"tenant": "*", "policy": None, "previous": before, "emergency": None, "time_ms": 1}
    subject = Subject("*", Digest.of(canonical({"guard": "*"})))
    evidence = [env.signer(Purpose.EVIDENCE)]
    insert(env, dsse.sign(Statement("guard/v1", (subject,), body).payload(), evidence))
    with pytest.raises(NotProven, match="needs the signature of the guardian"):
        snapshot_of(broken, known)


@pytest.mark.attacks("C269")
def test_a_policy_that_the_guardian_signed_earlier_stops_the_snapshot(broken: Served) -> None:
    env, known = broken.env, Known()
    first = env.ledger.envelope(set_guard(env, "*", POLICY).entry or 0)
    set_guard(env, "*", None)
    snapshot_of(broken, known)
    insert(env, Envelope(first.payload, tuple(reversed(first.signatures))))
    with pytest.raises(NotProven, match="in force is"):
        snapshot_of(broken, known)


def test_the_ledger_takes_no_policy_that_cannot_be_read(broken: Served) -> None:
    body = {"tenant": "*", "policy": {"out": {"iban": "hide"}}, "time_ms": 1}
    subject = Subject("*", Digest.of(canonical({"guard": "*"})))
    signer = broken.env.signer(Purpose.EVIDENCE)
    with pytest.raises(Misconfigured):
        broken.env.ledger.append_statement(Statement("guard/v1", (subject,), body), [signer])


@pytest.mark.attacks("C88")
def test_an_erasure_list_comes_and_goes_as_a_file_and_the_ledger_has_no_hash(
    broken: Served,
) -> None:
    listed = make_erasure(broken.env, [NAME])
    import_erasure(broken.env, listed.dump())
    again = ErasureList.load(export_erasure(broken.env))
    assert again == listed
    row = broken.env.ledger.find("erasure/v1")[-1]
    assert row.body["date"] == listed.date
    assert row.body["list"] == snapshot_of(broken).erasure
    for entry in range(broken.env.ledger.size):
        data = broken.env.ledger.envelope(entry).payload
        assert not any(hash_.hex().encode() in data for hash_ in listed.entries)
        assert b"Schmidt" not in data
    newer = ErasureList.make([NAME, "Patrick O'Brien"], "2026-11-02", bytes(16))
    import_erasure(broken.env, newer.dump())
    assert ErasureList.load(export_erasure(broken.env)) == newer
    with pytest.raises(NotFound):
        broken.env.lists.get(str(Digest.of(listed.dump())))


def test_control_gives_the_gateway_the_list_that_the_snapshot_names(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    shelf = ErasureShelf(chain.world.ledger._records)
    listed = ErasureList.make([NAME], "2026-11-01", bytes(16))
    with schema.writing(chain.world.ledger._records) as connection:
        shelf.put(connection, listed.dump())
    digest = Digest.of(listed.dump())
    body = {"list": str(digest), "date": listed.date, "entries": 4, "time_ms": 1}
    statement = Statement("erasure/v1", (Subject("erasure", digest),), body)
    deciding = [chain.world.signers[Purpose.EVIDENCE], chain.world.parties[Party.GUARDIAN]]
    chain.world.ledger.append_statement(statement, deciding)

    async def story() -> ErasureList | None:
        home = Home(tmp_path)
        home.run.mkdir(exist_ok=True)
        keyring = MemoryKeyring.generate((), SeededEntropy(b"control"))
        settings = Settings(environment="test.example/guard")
        ledger = chain.world.ledger
        known = callers(ledger)
        control = Control(
            ledger, chain.book, keyring, settings, SystemClock(), shelf, callers=known
        )
        stop = asyncio.Event()
        running = asyncio.create_task(control.run(home, stop))
        link = ControlLink(str(home.control_socket), SystemClock(), credential=passing("desk"))
        await link.start()
        try:
            async with asyncio.timeout(10):
                while link.erasure is None:
                    await asyncio.sleep(0.01)
            return link.erasure
        finally:
            await link.close()
            stop.set()
            await running

    assert asyncio.run(story()) == listed


def test_the_commands(broken: Served, tmp_path: Path) -> None:
    demo = Demo(broken.env.home.root)
    policy, names, file = (tmp_path / name for name in ("guard.toml", "names.txt", "list.json"))
    policy.write_text(TEXT)
    names.write_text(f"{NAME}\nPatrick O'Brien\n")
    assert demo.json("guard", "erasure", "make", str(names), str(file))["names"] == 2
    assert file.stat().st_mode & 0o077 == 0
    assert demo.json("guard", "erasure", "import", str(file))["date"]
    out = tmp_path / "again.json"
    demo.run("guard", "erasure", "export", str(out))
    assert out.read_bytes() == file.read_bytes()
    text = f"{NAME.upper()}: DE89 3704 0044 0532 0130 00"
    tried = demo.json("guard", "test", str(policy), "--text", text)
    assert tried["out"] == {"refused": False, "text": "[erasure]: [iban]"}
    assert tried["in"] == {"refused": False, "text": text}
    assert "out:erasure:mask:1" in tried["decisions"]
    tried = demo.json("guard", "test", str(policy), "--stdin", stdin=text)
    assert tried["out"]["text"] == "[erasure]: [iban]"
    assert demo.json("guard", "set", str(policy))["tenant"] == "*"
    (row,) = demo.json("guard", "show")
    assert row["policy"]["out"] == {"iban": "mask", "erasure": "mask"}
    demo.run("guard", "set", "--off")
    assert demo.json("guard", "show") == []
    policy.write_text("[out]\niban = 'hide'")
    wrong = demo.json("guard", "set", str(policy), status=2)
    assert "out.iban" in wrong["message"]
