# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Receipts over keys that changed: what a deactivated key signed goes on counting, what a
compromised one signed does not, and both verifiers follow the key statements alike.

To see these tests fail I once broke the code: with `signing` in the place of `counted` in
`verify.open_entry`, and in the tool, `test_an_approval_by_a_compromised_key` failed.
"""

import copy

import pytest

from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.ledger import Ledger
from bastide.ledger.verify import trace_bundle
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import make_signer, refusal
from unit.test_register import change, enrolment, second
from unit.two_verifiers import read_as_tool, refuse, tool


@pytest.fixture
def chain(tmp_path):
    made = make_chain(tmp_path)
    yield made
    made.world.records.dispose()


def _by(chain: ChainWorld, *parties: Party):
    return [chain.world.parties[party] for party in parties]


def _accept(chain: ChainWorld, bundle=None) -> None:
    given = bundle or chain.bundle()
    assert trace_bundle(given, chain.anchors).ledger_size == chain.world.ledger.size
    tool.verify(*read_as_tool(given, chain.anchors))


def _rotate(chain: ChainWorld, state: str = "deactivated") -> None:
    """Another ledger key; the chain's ledger goes on with it."""
    world = chain.world
    new = make_signer("next ledger", Purpose.LEDGER)
    old = world.signers[Purpose.LEDGER].public.ident
    gone = {"key": old, "state": state, "trusted_before": None}
    by = _by(chain, Party.OPERATOR, Party.GUARDIAN)
    world.ledger.append_statement(enrolment(new, replaces=gone), [new, *by])
    world.ledger = Ledger(world.records, new, world.clock)
    world.ledger.append([world.state(refusal("after"))])


def test_where_no_key_changed_there_is_no_list(chain):
    assert "keys" not in chain.bundle()["entries"]
    _accept(chain)


def test_a_replaced_ledger_key(chain):
    _rotate(chain)
    bundle = chain.bundle()
    assert [row["index"] for row in bundle["entries"]["keys"]] == [chain.world.ledger.size - 2]
    _accept(chain, bundle)
    without = copy.deepcopy(bundle)
    del without["entries"]["keys"]
    refuse(without, chain.anchors, "checkpoint")


def test_the_old_ledger_key_signs_nothing_later(chain, tmp_path):
    """A thief of the old key continues the log; with the rotation in the bundle, it is refused."""
    bundle = chain.bundle()
    _rotate(chain, "compromised")
    rotated = chain.bundle()
    forged = copy.deepcopy(rotated)
    forged["checkpoint"] = bundle["checkpoint"]
    refuse(forged, chain.anchors)


def test_approvals_by_a_key_that_was_deactivated(chain):
    firm = chain.world.parties[Party.FIRM]
    new = second()
    gone = {"key": firm.public.ident, "state": "deactivated", "trusted_before": None}
    by = _by(chain, Party.FIRM, Party.GUARDIAN)
    chain.world.ledger.append_statement(enrolment(new, replaces=gone), [new, *by])
    _accept(chain)


@pytest.mark.attacks("C105")
@pytest.mark.parametrize("trusted", [False, True])
def test_an_approval_by_a_compromised_key(chain, trusted):
    size = chain.world.ledger.size
    ident = chain.world.parties[Party.FIRM].public.ident
    statement = change(ident, "compromised", size if trusted else None)
    chain.world.ledger.append_statement(statement, _by(chain, Party.GUARDIAN))
    if trusted:
        _accept(chain)
    else:
        refuse(chain.bundle(), chain.anchors, "not enrolled")


@pytest.mark.parametrize("how", ["twice", "another order", "another kind", "flipped", "moved"])
def test_key_statements_that_do_not_hold(chain, how):
    firm, guardian = (chain.world.parties[party] for party in (Party.FIRM, Party.GUARDIAN))
    chain.world.ledger.append_statement(change(firm.public.ident, "suspended"), [guardian])
    by = _by(chain, Party.OPERATOR, Party.GUARDIAN)
    chain.world.ledger.append_statement(change(firm.public.ident, "active"), by)
    bundle = chain.bundle()
    _accept(chain, bundle)
    rows = bundle["entries"]["keys"]
    if how == "twice":
        rows.append(rows[1])
    elif how == "another order":
        rows.reverse()
    elif how == "another kind":
        rows[0] = bundle["entries"]["approvals"][0]
    elif how == "flipped":
        signature = rows[0]["envelope"]["signatures"][0]
        signature["sig"] = "B" + signature["sig"][1:]
    else:
        rows[0]["index"] += 1
    refuse(bundle, chain.anchors)


@pytest.mark.attacks("C137")
def test_a_replayed_activation(chain):
    """The independent verifier follows rule 6, too: what was said of a key is not said again."""
    body = chain.world.ledger.charter().body
    register = tool.Register(tool.enrolled(body["keys"], "the charter"))
    parties = [key for key in register.keys.values() if key.get("party")]
    ident = next(key["id"] for key in parties if key["party"] == "firm")
    by = [key for key in parties if key["party"] != "firm"]
    lost, stolen = (dict(change(ident, "suspended", reason=why).body) for why in ("lost", "stolen"))
    found = dict(change(ident, "active", reason="found").body)
    for entry, said in enumerate((lost, found, stolen), 1):
        register.learn("key-state", said, by, entry, "here")
    with pytest.raises(tool.NotProvenError, match="said of the key before"):
        register.learn("key-state", found, list(reversed(by)), 4, "here")
    assert ident not in register.signing(5)
