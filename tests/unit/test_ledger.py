# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Ledger: append, read, prove, export, over a real sealed database."""

import pytest
from sqlalchemy import text

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Refused
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse, merkle, note
from bastide.crypto.tiles import ENTRIES, Tile, of_level, tiles, unbundle
from bastide.ledger import Ledger
from unit.ledger_fixture import ORIGIN, make_ledger, refusal, tenant


@pytest.fixture
def world(tmp_path):
    return make_ledger(tmp_path)


def _api_key(ident: str) -> Statement:
    subject = Subject(ident, Digest.of(canonical({"key": ident})))
    body = {"key": ident, "tenant": "t", "mac": "0" * 64, "last4": "abcd", "scopes": ["*"]}
    return Statement("api-key/v1", (subject,), {**body, "time_ms": 1})


def _revocation(ident: str) -> Statement:
    body = {"key": ident, "reason": "lost", "time_ms": 1}
    return Statement("api-key-revocation/v1", _api_key(ident).subjects, body)


def _deployment(name: str, time_ms: int = 1) -> Statement:
    share = {"slots": 1, "context_tokens": 512}
    row = {"name": name, "release": str(Digest.of(b"r")), "share": share, "engine": "e"}
    row["version"] = "1"
    body = {"deployment": row, "approvals": [], "time_ms": time_ms}
    return Statement("deployment/v1", (Subject(name, Digest.of(canonical(row))),), body)


def _end(deployment: Statement) -> Statement:
    body = {"deployment": str(deployment.subjects[0].digest), "reason": "done", "time_ms": 1}
    return Statement("deployment-end/v1", deployment.subjects, body)


def test_what_is_appended_is_read_back(world):
    ledger = world.ledger
    envelopes = [world.state(refusal(number)) for number in range(5)]
    assert ledger.append(envelopes) == range(1, 6)
    assert ledger.size == 6
    assert [ledger.envelope(index) for index in range(1, 6)] == envelopes
    assert [row.digest for row in ledger.entries(1)] == [one.digest for one in envelopes]
    assert [row.entry for row in ledger.entries(2, 4)] == [2, 3]
    assert ledger.index_of(envelopes[2].digest) == 3
    found = ledger.by_digest(envelopes[2].digest)
    assert (found.entry, found.statement) == (3, refusal(2))
    assert found.signers == (world.signers[Purpose.EVIDENCE].public.ident,)
    assert ledger.append([]) == range(6, 6)
    for missing in (lambda: ledger.envelope(6), lambda: ledger.by_digest(Digest.of(b"x"))):
        with pytest.raises(NotFound):
            missing()


def test_append_statement_signs_and_says_where(world):
    row = world.ledger.append_statement(tenant("acme"), [world.signers[Purpose.EVIDENCE]])
    assert row == world.ledger.by_digest(row.digest)
    assert row.entry == 1


def test_charter_keys_policy(world):
    ledger = world.reopen()
    assert ledger.charter().digest == world.charter.digest
    assert ledger.policy().name == "test"
    assert set(ledger.keys()) == {row["id"] for row in ledger.charter().body["keys"]}


@pytest.mark.attacks("C2")
def test_a_replayed_statement_is_refused(world):
    one, two, three = (world.state(refusal(number)) for number in range(3))
    world.ledger.append([one])
    for batch in ([one], [two, one], [three, three]):
        with pytest.raises(Refused, match="already"):
            world.ledger.append(batch)
    assert world.ledger.size == 2
    assert world.ledger.append([two, three]) == range(2, 4)


def test_a_batch_is_appended_as_a_whole_or_not_at_all(world):
    good = world.state(refusal(1))
    bad = dsse.sign(refusal(2).payload(), [world.signers[Purpose.RELEASE]])
    with pytest.raises(NotProven):
        world.ledger.append([good, bad])
    assert world.ledger.size == 1


def test_find(world):
    subject = Subject("one", Digest.of(b"same"))
    body = {"stage": "admit", "reasons": [], "time_ms": 1}
    statements = [
        Statement("refusal/v1", (subject,), body),
        Statement("refusal/v1", (Subject("two", subject.digest),), body),
        tenant("one"),
        Statement("refusal/v1", (Subject("one", Digest.of(b"other")),), body),
    ]
    world.ledger.append([world.state(statement) for statement in statements])

    def entries(*args, **kwargs):
        return [row.entry for row in world.ledger.find(*args, **kwargs)]

    assert entries("refusal/v1") == [1, 2, 4]
    assert entries("refusal/v1", subject=subject.digest) == [1, 2]
    assert entries("refusal/v1", name="one") == [1, 4]
    assert entries("refusal/v1", subject=subject.digest, name="two") == [2]
    assert entries("tenant/v1", name="one") == [3]
    assert entries("load/v1") == []


def test_api_keys_and_deployments_end(world):
    demo, other = _deployment("demo"), _deployment("other")
    statements = [_api_key("k1"), _api_key("k2"), _revocation("k1"), demo, other, _end(demo)]
    world.ledger.append([world.state(statement) for statement in statements])
    ledger = world.reopen()
    assert [row.subject.name for row in ledger.api_keys()] == ["k2"]
    assert [row.subject.name for row in ledger.api_keys(active=False)] == ["k1", "k2"]
    assert [row.subject.name for row in ledger.deployments()] == ["other"]
    assert [row.subject.name for row in ledger.deployments(active=False)] == ["demo", "other"]
    # The same plan may be deployed again after it ended; then only the new entry is active.
    world.ledger.append([world.state(_deployment("demo", time_ms=2))])
    assert [row.entry for row in ledger.deployments()] == [5, 7]


def test_other_writers_are_seen(world):
    other = world.reopen()
    world.ledger.append([world.state(refusal(1))])
    assert other.append([world.state(refusal(2))]) == range(2, 3)
    assert world.ledger.append([world.state(refusal(3))]) == range(3, 4)
    assert other.size == world.ledger.size == 4
    assert len(world.ledger.find("refusal/v1")) == 3
    with pytest.raises(Refused):
        other.append([world.state(refusal(3))])
    world.ledger.audit()


def test_companions_are_written_in_the_same_transaction(world):
    def count(connection, indexes):
        connection.execute(text("CREATE TABLE IF NOT EXISTS companion (entry INTEGER)"))
        for index in indexes:
            connection.execute(text("INSERT INTO companion VALUES (:index)"), {"index": index})

    def fail(connection, indexes):
        count(connection, indexes)
        raise RuntimeError("no")

    world.ledger.append([world.state(refusal(number)) for number in (1, 2)], also=count)
    with pytest.raises(RuntimeError, match="no"):
        world.ledger.append([world.state(refusal(3))], also=fail)
    with world.records.connect() as connection:
        assert connection.execute(text("SELECT entry FROM companion")).all() == [(1,), (2,)]
    assert world.ledger.size == 3
    assert world.ledger.append([world.state(refusal(3))]) == range(3, 4)
    world.ledger.audit()


def test_a_ledger_without_its_key_is_read_only(world):
    reader = Ledger(world.records, None, world.clock)
    assert reader.size == 1
    with pytest.raises(NotAllowed):
        reader.append([world.state(refusal(1))])


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """600 entries in commits of different sizes: full and partial tiles on two levels."""
    world = make_ledger(tmp_path_factory.mktemp("grown"))
    envelopes = [world.state(refusal(number)) for number in range(599)]
    start = 0
    for size in (1, 2, 252, 1, 1, 300, 42):
        world.ledger.append(envelopes[start : start + size])
        start += size
    leaves = [merkle.leaf_hash(world.ledger.envelope(index).encode()) for index in range(600)]
    return world, leaves


def _open(world, text_: str):
    return note.open_checkpoint(text_, ORIGIN, world.signers[Purpose.LEDGER].public)


def test_the_checkpoint_is_over_the_entries(grown):
    world, leaves = grown
    checkpoint = _open(world, world.ledger.checkpoint())
    assert (checkpoint.size, checkpoint.root) == (600, merkle.root(leaves))


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 600])
def test_proofs_are_those_of_the_whole_tree(grown, size):
    world, leaves = grown
    for index in {0, 1, size // 2, size - 2, size - 1, 255, 256} & set(range(size)):
        proof = world.ledger.prove_inclusion(index, size)
        assert proof == merkle.inclusion_proof(leaves[:size], index)
    for old in {1, 3, 256, 257, size // 2, size} & set(range(1, size + 1)):
        proof = world.ledger.prove_consistency(old, size)
        assert proof == merkle.consistency_proof(leaves, old, size)


def test_there_is_no_proof_about_the_future(grown):
    ledger = grown[0].ledger
    for ask in (
        lambda: ledger.prove_inclusion(0, 601),
        lambda: ledger.prove_inclusion(600, 600),
        lambda: ledger.prove_consistency(1, 601),
        lambda: ledger.prove_consistency(0, 600),
    ):
        with pytest.raises(Misconfigured):
            ask()


def test_a_reopened_ledger_grows_the_same_tree(grown, tmp_path):
    world, _ = grown
    copy = make_ledger(tmp_path)
    for index in range(1, 600):
        if index % 100 == 0:
            copy.ledger = copy.reopen()
        if index % 100 < 3 or index > 590:
            copy.ledger.append([world.ledger.envelope(index)])
    entries = [row.entry for row in copy.ledger.entries()]
    assert entries == list(range(copy.ledger.size))
    copy.ledger.audit()


@pytest.mark.attacks("C63")
def test_an_export_is_a_log_that_proves_itself(grown, tmp_path):
    world, _ = grown
    folder = tmp_path / "log"
    world.ledger.export(folder)
    checkpoint = _open(world, (folder / "checkpoint").read_text())
    assert checkpoint.size == 600

    entries = []
    for tile in of_level(ENTRIES, checkpoint.size):
        entries += unbundle((folder / tile.path).read_bytes())
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    assert merkle.root(leaves) == checkpoint.root
    level = leaves
    for number in (0, 1):
        stored = b"".join(
            (folder / tile.path).read_bytes() for tile in of_level(number, len(level))
        )
        assert stored == b"".join(level)
        level = [merkle.root(level[i : i + 256]) for i in range(0, len(level) - 255, 256)]
    expected = {tile.path for tile in tiles(600)} | {t.path for t in of_level(ENTRIES, 600)}
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == expected | {"checkpoint"}
    assert Tile(0, 2, 88).path in written
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(Misconfigured, match="already"):
        world.ledger.export(folder)
