# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The register of keys: who may make a key count, who may stop one, and what counts afterwards.

To see these tests fail I once broke the code: with `_quorum` accepting one party,
`test_enrolling_takes_two_parties` failed; without `trusted_before` in `counts_at`,
`test_what_a_compromised_key_signed` failed; with `ledger_key(size)` asking for the state at `size`,
`test_the_ledgers_key_is_replaced` failed at the audit.
"""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.canonical import canonical
from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotProven,
    Refused,
    Unavailable,
    Waiting,
)
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose, Scheme
from bastide.core.party import Party
from bastide.core.register import TRANSITIONS, Change, KeyLife, KeyState, Register
from bastide.core.subject import Digest, Subject
from bastide.crypto import dsse
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from unit.ledger_fixture import make_ledger, make_parties, make_signer, refusal

FIRM, OPERATOR, GUARDIAN = Party.FIRM, Party.OPERATOR, Party.GUARDIAN
PARTIES = make_parties()
STOPS = ("suspended", "deactivated", "compromised")
_SERVICES = (Purpose.LEDGER, Purpose.EVIDENCE, Purpose.RELEASE, Purpose.MODEL_SIGNING)


def _subject(ident: str) -> tuple[Subject, ...]:
    return (Subject(ident, Digest.of(canonical({"signing-key": ident}))),)


def enrolment(new: Signer, state: str = "active", replaces=None, **changes) -> Statement:
    body = {"key": new.public.to_json(), "holder": "the office", "state": state}
    body |= {"replaces": replaces, "reason": "test", "time_ms": 1, **changes}
    return Statement("key-enrolment/v1", _subject(new.public.ident), body)


def change(ident: str, state: str, trusted_before: int | None = None, reason="test") -> Statement:
    body = {"key": ident, "state": state, "trusted_before": trusted_before}
    return Statement("key-state/v1", _subject(ident), {**body, "reason": reason, "time_ms": 1})


def approval(party: Party, number: int = 0) -> Statement:
    body = {"party": party.value, "action": "release", "decision": "approve", "comment": ""}
    subject = Subject("r1", Digest.of(b"r1"))
    return Statement("approval/v1", (subject,), {**body, "time_ms": number})


def second(party: Party = FIRM, seed: str = "second") -> Signer:
    return make_signer(f"{party}/{seed}", Purpose.PARTY, Scheme.SSHSIG, party)


@pytest.fixture
def world(tmp_path):
    made = make_ledger(tmp_path)
    yield made
    made.records.dispose()


def _put(world, statement: Statement, *signers: Signer) -> int:
    return world.ledger.append_statement(statement, list(signers)).entry


def _signing(world) -> dict:
    """The keys that may sign now."""
    return world.ledger.keys()


def _parties(world, *parties: Party) -> list[Signer]:
    return [world.parties[party] for party in parties]


@pytest.mark.attacks("C105")
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_enrolling_takes_two_parties(world, count):
    for parties in itertools.combinations(Party, count):
        new = second(FIRM, "-".join(parties))
        statement = enrolment(new)
        if count < 2:
            with pytest.raises((Refused, NotProven)):
                _put(world, statement, new, *_parties(world, *parties))
            assert new.public.ident not in world.ledger.known_keys()
        else:
            _put(world, statement, new, *_parties(world, *parties))
            assert world.ledger.keys()[new.public.ident] == new.public
    world.ledger.audit()


def test_two_keys_of_one_party_are_one_party(world):
    other = second()
    _put(world, enrolment(other), other, *_parties(world, OPERATOR, GUARDIAN))
    third = second(GUARDIAN, "third")
    with pytest.raises(Refused, match="takes 2 parties"):
        _put(world, enrolment(third), third, other, world.parties[FIRM])


def test_a_new_key_signs_its_own_enrolment(world):
    with pytest.raises(Refused, match="did not sign its own"):
        _put(world, enrolment(second()), *_parties(world, FIRM, GUARDIAN))


@pytest.mark.attacks("C123")
def test_one_person_is_not_two_parties(world):
    key = world.parties[FIRM].public
    same = make_signer("party/firm", Purpose.PARTY, Scheme.SSHSIG, GUARDIAN)
    assert same.public.raw == key.raw
    with pytest.raises(BastideError):
        _put(world, enrolment(same), same, *_parties(world, OPERATOR, GUARDIAN))


def test_services_and_strangers_enrol_nobody(world):
    new = second()
    evidence = world.signers[Purpose.EVIDENCE]
    for signers in (
        [new, evidence, world.parties[FIRM]],
        [new, second(seed="a"), second(seed="b")],
    ):
        with pytest.raises(NotProven):
            _put(world, enrolment(new), *signers)


@pytest.mark.parametrize("state", STOPS)
@pytest.mark.parametrize("by", list(Party))
@pytest.mark.parametrize("whose", [*Party, Purpose.EVIDENCE])
def test_who_may_stop_whose_key(tmp_path, state, by, whose):
    world = make_ledger(tmp_path)
    key = (world.parties.get(whose) or world.signers[whose]).public
    own = OPERATOR if whose is Purpose.EVIDENCE else whose
    statement = change(key.ident, state)
    if by in (own, GUARDIAN):
        _put(world, statement, world.parties[by])
        assert key.ident not in _signing(world)
        with pytest.raises(NotProven):
            _put(world, approval(whose), world.parties[whose]) if whose in Party else _put(
                world, refusal(1), world.signers[whose]
            )
    else:
        with pytest.raises(Refused, match="takes the"):
            _put(world, statement, world.parties[by])
        assert key.ident in _signing(world)
    world.ledger.audit()
    world.records.dispose()


def test_two_parties_stop_a_third(world):
    key = world.parties[GUARDIAN].public
    _put(world, change(key.ident, "compromised"), *_parties(world, FIRM, OPERATOR))
    assert key.ident not in _signing(world)


def test_back_to_active_and_destroyed_take_two(world):
    key = world.parties[FIRM].public
    _put(world, change(key.ident, "suspended"), world.parties[GUARDIAN])
    with pytest.raises(Refused, match="takes 2 parties"):
        _put(world, change(key.ident, "active"), world.parties[GUARDIAN])
    _put(world, change(key.ident, "active"), *_parties(world, OPERATOR, GUARDIAN))
    _put(world, approval(FIRM), world.parties[FIRM])
    _put(world, change(key.ident, "deactivated"), world.parties[FIRM])
    with pytest.raises(Refused, match="takes 2 parties"):
        _put(world, change(key.ident, "destroyed"), world.parties[GUARDIAN])
    _put(world, change(key.ident, "destroyed"), *_parties(world, OPERATOR, GUARDIAN))
    world.ledger.audit()


def test_only_the_transitions_of_the_table(world):
    """Every pair of states, by two parties, so that only the table can refuse."""
    states = [state.value for state in KeyState if state is not KeyState.PRE_ACTIVE]
    roads = {"active": [], "suspended": ["suspended"], "deactivated": ["deactivated"]}
    roads |= {"compromised": ["compromised"], "destroyed": ["deactivated", "destroyed"]}
    for number, (start, end) in enumerate(itertools.product(roads, states)):
        new = second(FIRM, str(number))
        by = _parties(world, OPERATOR, GUARDIAN)
        _put(world, enrolment(new), new, *by)
        for state in roads[start]:
            _put(world, change(new.public.ident, state), *by)
        allowed = KeyState(end) in TRANSITIONS[KeyState(start)]
        try:
            _put(world, change(new.public.ident, end, reason="the end"), *by)
        except Refused:
            assert not allowed, (start, end)
        else:
            assert allowed, (start, end)


@pytest.mark.parametrize("state", [state.value for state in KeyState])
@pytest.mark.parametrize(
    "parties",
    [parties for count in range(4) for parties in itertools.combinations(Party, count)],
    ids="+".join,
)
@pytest.mark.parametrize("whose", [*Party, *_SERVICES])
def test_who_may_do_what_to_whose_key(world, whose, parties, state):
    """The whole matrix: every group of parties, every state, every key; only the rules decide."""
    key = (world.parties.get(whose) or world.signers[whose]).public
    own = whose if whose in list(Party) else OPERATOR
    start = "suspended" if state == "active" else "deactivated" if state == "destroyed" else ""
    register = world.ledger.register()
    stopped = start and whose is not Purpose.LEDGER
    if stopped:
        register = register.after(_said(world, change(key.ident, start), [GUARDIAN], 1))
    two = len(parties) >= 2
    may = (two or {own, GUARDIAN} & set(parties)) if state in STOPS else two and bool(stopped)
    if state == "pre-active" or (whose is Purpose.LEDGER):
        may = False
    told = _said(world, change(key.ident, state, reason="now"), parties, 2)
    if may:
        assert register.after(told).lives[key.ident].state is KeyState(state)
    else:
        with pytest.raises(Refused):
            register.after(told)


def _said(world, statement: Statement, parties, entry: int) -> Evidence:
    """A statement as if it were an entry, its signatures verified."""
    idents = tuple(world.parties[party].public.ident for party in parties)
    return Evidence(statement, idents, Digest.of(statement.payload()), entry)


@pytest.mark.attacks("C137")
def test_what_was_said_before_undoes_nothing(world):
    """Who keeps a signed activation cannot use it again, not even with its signatures in another
    order or with fewer: then its envelope has another digest."""
    ident = world.parties[FIRM].public.ident
    _put(world, change(ident, "suspended", reason="lost"), world.parties[GUARDIAN])
    activation = change(ident, "active", reason="found")
    _put(world, activation, *_parties(world, OPERATOR, GUARDIAN))
    _put(world, change(ident, "suspended", reason="stolen"), world.parties[GUARDIAN])
    for by in ((GUARDIAN, OPERATOR), (OPERATOR, GUARDIAN)):
        with pytest.raises(Refused):
            _put(world, activation, *_parties(world, *by))
    assert ident not in _signing(world)


def test_who_is_missing_is_said(world):
    new = second()
    for signers, missing in (
        ([new], "signatures of 2 of: firm, operator, guardian"),
        ([new, world.parties[FIRM]], "signatures of 1 of: operator, guardian"),
        (_parties(world, FIRM, GUARDIAN), f"the signature of {new.public.ident}"),
    ):
        told = Evidence(
            enrolment(new),
            tuple(signer.public.ident for signer in signers),
            Digest.of(b"enrolment"),
            1,
        )
        with pytest.raises(Waiting) as caught:
            world.ledger.register().after(told)
        assert caught.value.reasons == (missing,)


def test_a_deactivated_keys_signatures_count(world):
    _put(world, approval(FIRM), world.parties[FIRM])
    _put(world, change(world.parties[FIRM].public.ident, "deactivated"), world.parties[FIRM])
    assert len(world.ledger.approvals(Digest.of(b"r1"))) == 1
    with pytest.raises(NotProven):
        _put(world, approval(FIRM, 1), world.parties[FIRM])


@pytest.mark.parametrize("trusted", [None, "until", "from"])
def test_what_a_compromised_key_signed(world, trusted):
    entry = _put(world, approval(FIRM), world.parties[FIRM])
    bound = {"until": entry + 1, "from": entry, None: None}[trusted]
    ident = world.parties[FIRM].public.ident
    _put(world, change(ident, "compromised", bound), world.parties[GUARDIAN])
    assert len(world.ledger.approvals(Digest.of(b"r1"))) == (trusted == "until")


def test_trusted_before_is_said_of_compromise_only(world):
    ident = world.parties[FIRM].public.ident
    with pytest.raises(Misconfigured, match="trusted_before"):
        _put(world, change(ident, "suspended", 3), world.parties[FIRM])


def test_the_ledgers_key_is_replaced(world, tmp_path):
    old = world.signers[Purpose.LEDGER]
    with pytest.raises(Refused, match="cannot be stopped"):
        _put(world, change(old.public.ident, "compromised"), *_parties(world, FIRM, GUARDIAN))
    world.ledger.append([world.state(refusal(1))])
    stale = world.reopen()
    assert stale.size == 2
    new = make_signer("next ledger", Purpose.LEDGER)
    gone = {"key": old.public.ident, "state": "deactivated", "trusted_before": None}
    by = _parties(world, OPERATOR, GUARDIAN)
    _put(world, enrolment(new, replaces=gone), new, *by)
    for ledger in (world.ledger, stale):  # whoever still has the old key writes nothing
        with pytest.raises(Unavailable, match="not held"):
            ledger.append([world.state(refusal(2))])
    world.ledger.audit()
    ledger = Ledger(world.records, new, world.clock)
    ledger.append([world.state(refusal(2))])
    ledger.append([world.state(refusal(3))])
    ledger.audit()
    assert ledger.register().ledger_key(3) == old.public  # of the enrolment's own checkpoint
    assert ledger.register().ledger_key(4) == new.public


def test_a_service_has_one_active_key(world):
    new = make_signer("next evidence", Purpose.EVIDENCE)
    by = _parties(world, OPERATOR, GUARDIAN)
    with pytest.raises(Refused, match="active evidence key already"):
        _put(world, enrolment(new), new, *by)
    old = world.signers[Purpose.EVIDENCE].public
    gone = {"key": old.ident, "state": "deactivated", "trusted_before": None}
    with pytest.raises(Refused, match="another purpose"):
        _put(world, enrolment(second(), replaces=gone), second(), *by)
    _put(world, enrolment(new, replaces=gone), new, *by)
    _put(world, refusal(2), new)
    with pytest.raises(NotProven):
        _put(world, refusal(3), world.signers[Purpose.EVIDENCE])
    world.ledger.audit()


def test_another_process_sees_a_change_at_once(world):
    other = world.reopen()
    other.append([world.state(refusal(1))])
    new = second()
    _put(world, enrolment(new), new, *_parties(world, FIRM, GUARDIAN))
    other.append_statement(approval(FIRM), [new])  # learned by asking again
    _put(world, change(new.public.ident, "compromised"), world.parties[FIRM])
    with pytest.raises(NotProven, match="may not sign"):  # refused under the write lock
        other.append_statement(approval(FIRM, 1), [new])
    other.append([world.state(refusal(2))])
    world.ledger.audit()


def test_a_key_statement_is_appended_alone(world):
    new = second()
    signed = dsse.sign(enrolment(new).payload(), [new, *_parties(world, FIRM, GUARDIAN)])
    with pytest.raises(Refused, match="goes alone"):
        world.ledger.append([world.state(refusal(1)), signed])


def test_a_rebuilt_ledger_has_the_same_register(world):
    new = second()
    _put(world, enrolment(new, "pre-active"), new, *_parties(world, FIRM, GUARDIAN))
    assert new.public.ident not in _signing(world)
    _put(world, change(new.public.ident, "active"), *_parties(world, FIRM, GUARDIAN))
    before = world.ledger.register()
    world.ledger.rebuild()
    assert world.reopen().register() == before
    assert new.public.ident in _signing(world)


_MOVES = st.tuples(
    st.integers(1, 9), st.sampled_from(list(KeyState)), st.none() | st.integers(0, 30)
)


@given(st.lists(_MOVES, max_size=6))
def test_what_counts_was_always_allowed(moves):
    """For any life of a key: a signature that counts was made while the key was active, and a
    compromise never makes more count than before."""
    key, entry = PARTIES[FIRM].public, 0
    changes = [Change(0, KeyState.ACTIVE)]
    for step, state, trusted in moves:
        if state not in TRANSITIONS[changes[-1].state]:
            continue
        entry += step
        bound = trusted if state is KeyState.COMPROMISED else None
        before = Register({key.ident: KeyLife(key, "x", tuple(changes))})
        changes.append(Change(entry, state, bound))
        after = Register({key.ident: KeyLife(key, "x", tuple(changes))})
        for index in range(entry + 2):
            assert after.counted(index).keys() <= after.signing(index).keys()
            if state is KeyState.COMPROMISED and changes[-2].state is not KeyState.SUSPENDED:
                assert after.counted(index).keys() <= before.counted(index).keys()
            if index <= entry:
                assert after.signing(index).keys() == before.signing(index).keys()


def test_a_life_says_every_change(world):
    stopped = world.parties[FIRM].public
    entry = _put(world, change(stopped.ident, "compromised", 1), world.parties[GUARDIAN])
    row = world.ledger.register().lives[stopped.ident].to_json()
    assert (row["party"], row["state"], row["since"]) == ("firm", "compromised", entry)
    assert row["changes"] == [
        {"entry": 0, "state": "active", "trusted_before": None},
        {"entry": entry, "state": "compromised", "trusted_before": 1},
    ]
