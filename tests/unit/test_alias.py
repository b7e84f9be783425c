# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Aliases: what may be stated about one, which statement counts, and what a name then means."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.snapshot import KeyGrant, Served, Snapshot
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.dialects import frames
from bastide.ledger import statements
from bastide.ledger.shapes import SHAPES
from bastide.stages.serve import choose
from unit.ledger_fixture import make_ledger, make_signers

SIGNERS = make_signers()
KEYS = {signer.public.ident: signer.public for signer in SIGNERS.values()}
EVIDENCE = SIGNERS[Purpose.EVIDENCE]


def alias(name: str, deployment: Any, about: str | None = None, **more: Any) -> Statement:
    digest = Digest.of(canonical({"alias": name}))
    body = {"alias": name, "deployment": deployment, "time_ms": 1, **more}
    return Statement("alias/v1", (Subject(about or name, digest),), body)


@pytest.mark.parametrize("deployment", ["smollm2", None])
def test_an_alias_is_stated_by_the_evidence_key(deployment: str | None) -> None:
    statement = alias("gpt-4o-mini", deployment)
    signed = dsse.sign(statement.payload(), [EVIDENCE])
    assert statements.read_signed(signed, KEYS).evidence.statement == statement
    for purpose in (Purpose.RELEASE, Purpose.LEDGER):
        other = dsse.sign(statement.payload(), [SIGNERS[purpose]])
        with pytest.raises(NotProven):
            statements.read_signed(other, KEYS)


@pytest.mark.parametrize(
    "statement",
    [
        alias("a", 1),
        alias("a", ["m"]),
        alias("a", "m", about="b"),
        alias("a", "m", time_ms=-1),
        alias("a", "m", model="m"),
        Statement("alias/v1", (Subject("a", Digest.of(b"a")),), alias("a", "m").body),
        Statement("alias/v1", alias("a", "m").subjects, {"alias": "a", "time_ms": 1}),
    ],
)
def test_another_shape_or_subject_is_refused(statement: Statement) -> None:
    with pytest.raises(Misconfigured):
        statements.read_signed(dsse.sign(statement.payload(), [EVIDENCE]), KEYS)


def test_the_shape_has_three_fields() -> None:
    assert set(SHAPES["alias/v1"]) == {"alias", "deployment", "time_ms"}


def test_the_newest_statement_about_a_name_counts(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path).ledger
    for name, deployment in (("a", "m"), ("b", "m"), ("a", "n"), ("b", None)):
        ledger.append_statement(alias(name, deployment), [EVIDENCE])
    newest = [(row.subject.name, row.body["deployment"]) for row in ledger.aliases()]
    assert newest == [("a", "n"), ("b", None)]
    ledger.rebuild()
    assert [row.body["deployment"] for row in ledger.aliases()] == ["n", None]


# What a name means


def served(name: str) -> Served:
    return Served(name, "r", "d", "s", "n", "b", 1, 64, 0)


def snapshot(models: set[str], aliases: dict[str, str]) -> Snapshot:
    return Snapshot(1, 1, "env", "p", {}, {name: served(name) for name in models}, aliases)


NAMES = st.sampled_from(["a", "b", "c", "d"])
SNAPSHOTS = st.builds(snapshot, st.sets(NAMES), st.dictionaries(NAMES, NAMES))
GRANTS = st.builds(
    KeyGrant, st.just("k"), st.just("t"), st.lists(NAMES | st.just("*"), max_size=3).map(tuple)
)


@given(SNAPSHOTS, GRANTS, NAMES)
def test_a_key_reaches_what_its_scopes_mean_and_no_other(
    known: Snapshot, grant: KeyGrant, name: str
) -> None:
    meant = name if name in known.served else known.aliases.get(name, name)
    opened = {known.meant(scope) for scope in grant.scopes}
    try:
        chosen = choose(known, grant, name)
    except NotAllowed:
        assert not {"*", meant} & (opened | set(grant.scopes))
    except NotFound:
        assert meant not in known.served
        assert {"*", meant} & (opened | set(grant.scopes)), "it tells whether there is such a model"
    else:
        assert chosen.name == meant
        assert {"*", meant} & (opened | set(grant.scopes))


@given(SNAPSHOTS, GRANTS)
def test_what_is_listed_can_be_asked(known: Snapshot, grant: KeyGrant) -> None:
    for name in known.served:
        if known.opens(grant, name):
            assert choose(known, grant, name).name == name
        else:
            with pytest.raises(NotAllowed):
                choose(known, grant, name)


def test_an_alias_cannot_hide_a_model() -> None:
    known = snapshot({"a", "b"}, {"a": "b", "c": "a"})
    assert known.meant("a") == "a"
    assert known.meant("c") == "a", "and no alias is followed twice"


def test_a_snapshot_without_aliases_is_still_read() -> None:
    """A gateway of this version beside a control of the one before."""
    fields = {"version": 1, "issued_ms": 1, "environment": "e", "policy": "p"}
    frame = frames.FrameReader().feed(frames.encode(0, "snapshot", {**fields, "served": {}}))[0]
    assert frames.decode(frame, Snapshot).aliases == {}
    (frame,) = frames.FrameReader().feed(frames.encode(0, "snapshot", snapshot(set(), {"a": "b"})))
    assert frames.decode(frame, Snapshot).aliases == {"a": "b"}
