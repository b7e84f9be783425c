# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Receipts under cosigned heads: both verifiers count the same witnesses, and refuse the same.

To see these tests fail I once broke the code: with the signature check left out of `_verified` in
crypto/cosignature.py, and of `check_one` in the tool, the forged cosignatures were accepted; until
both counted the keys, a head with one line of a witness was.
"""

import copy

import pytest

from bastide.app.witnesses import enrolment
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.party import Party
from bastide.crypto.cosignature import CosignerKey
from bastide.ledger.bundle import export_bundle
from bastide.ledger.cosigned import CosignedHeads, enrolled
from bastide.ledger.verify import trace_bundle
from unit.chain_fixture import ChainWorld, make_chain
from unit.ledger_fixture import refusal
from unit.two_verifiers import read_as_tool, refuse, tool

KEYS = {
    party: CosignerKey.from_seeds(f"{party}.example/w1", bytes([n]) * 32, bytes([9 - n]) * 32)
    for n, party in enumerate(Party, 1)
}


@pytest.fixture
def chain(tmp_path):
    made = make_chain(tmp_path)
    yield made
    made.world.records.dispose()


def enrol(chain: ChainWorld, party: Party, key: CosignerKey | None = None) -> None:
    world = chain.world
    statement = enrolment((key or KEYS[party]).public, party.value, world.clock)
    world.ledger.append_statement(statement, [world.parties[party]])


def cosigned(chain: ChainWorld, *parties: Party, time_s: int = 1_700_000_000) -> dict:
    """A bundle under a head that these parties' witnesses cosigned."""
    ledger, heads = chain.world.ledger, CosignedHeads(chain.world.records)
    text = ledger.checkpoint()
    body = text.partition("\n\n")[0] + "\n"
    lines = "".join(KEYS[party].cosign(body, time_s) for party in parties)
    heads.put(ledger.size, text + lines)
    ledger.append([chain.world.state(refusal("later"))])
    return copy.deepcopy(export_bundle(ledger, chain.book, chain.ident(3), heads))


def both(chain: ChainWorld, bundle: dict) -> dict[str, int]:
    found = dict(trace_bundle(bundle, chain.anchors).witnessed)
    assert tool.verify(*read_as_tool(bundle, chain.anchors))["witnessed"] == found
    return found


def test_both_verifiers_count_the_witnesses(chain: ChainWorld) -> None:
    for party in (Party.FIRM, Party.GUARDIAN):
        enrol(chain, party)
    bundle = cosigned(chain, Party.FIRM, Party.GUARDIAN)
    assert both(chain, bundle) == {"firm": 1_700_000_000, "guardian": 1_700_000_000}


def test_who_is_not_enrolled_is_not_counted(chain: ChainWorld) -> None:
    enrol(chain, Party.FIRM)
    assert both(chain, cosigned(chain, Party.FIRM, Party.OPERATOR)).keys() == {"firm"}


def test_without_witnesses_it_is_the_bundle_of_before(chain: ChainWorld) -> None:
    assert "witnesses" not in chain.bundle()["entries"]
    assert both(chain, chain.bundle()) == {}


def test_the_newest_witness_of_a_party_counts(chain: ChainWorld) -> None:
    other = CosignerKey.from_seeds("firm.example/w0", b"7" * 32, b"8" * 32)
    enrol(chain, Party.FIRM, other)
    enrol(chain, Party.FIRM)
    assert both(chain, cosigned(chain, Party.FIRM)).keys() == {"firm"}
    (row,) = enrolled(chain.world.ledger)
    assert KEYS[Party.FIRM].name in row.body["keys"][0]


@pytest.mark.attacks("C108")
@pytest.mark.parametrize("line", [0, 1])
def test_a_forged_cosignature_is_refused(chain: ChainWorld, line: int) -> None:
    """Each of the two algorithms alone."""
    enrol(chain, Party.FIRM)
    bundle = cosigned(chain, Party.FIRM)
    lines = bundle["checkpoint"].splitlines()
    at = len(lines) - 2 + line
    head, _, data = lines[at].rpartition(" ")
    lines[at] = f"{head} {data[:60]}{'A' if data[60] != 'A' else 'B'}{data[61:]}"
    bundle["checkpoint"] = "\n".join(lines) + "\n"
    refuse(bundle, chain.anchors, "checkpoint")


@pytest.mark.attacks("C256")
@pytest.mark.parametrize("line", [0, 1])
def test_a_witness_with_one_algorithm_taken_away_is_refused(chain: ChainWorld, line: int) -> None:
    """Who can break one of the two may not choose that it is the one that counts."""
    enrol(chain, Party.FIRM)
    bundle = cosigned(chain, Party.FIRM)
    lines = bundle["checkpoint"].splitlines()
    del lines[len(lines) - 2 + line]
    bundle["checkpoint"] = "\n".join(lines) + "\n"
    refuse(bundle, chain.anchors, "checkpoint")


@pytest.mark.attacks("C108")
def test_a_cosignature_of_another_head_is_refused(chain: ChainWorld) -> None:
    """Who forks the ledger cannot carry cosignatures over."""
    enrol(chain, Party.FIRM)
    bundle = cosigned(chain, Party.FIRM)
    lines = "".join(f"{line}\n" for line in bundle["checkpoint"].splitlines()[-2:])
    newer = copy.deepcopy(chain.bundle())
    newer["checkpoint"] += lines
    ledger = chain.world.ledger
    rows = enrolled(ledger)
    newer["entries"]["witnesses"] = [
        {
            "index": row.entry,
            "envelope": ledger.envelope(row.entry).to_json(),
            "proof": [node.hex() for node in ledger.prove_inclusion(row.entry, ledger.size)],
        }
        for row in rows
    ]
    refuse(newer, chain.anchors, "checkpoint")


@pytest.mark.attacks("C109")
def test_one_party_cannot_enrol_anothers_witness(chain: ChainWorld) -> None:
    world = chain.world
    statement = enrolment(KEYS[Party.FIRM].public, "firm", world.clock)
    for signer in (world.parties[Party.OPERATOR], *world.signers.values()):
        with pytest.raises((NotProven, Misconfigured)):
            world.ledger.append_statement(statement, [signer])


@pytest.mark.attacks("C109")
def test_one_witness_is_not_two_parties(chain: ChainWorld) -> None:
    """The operator and a party that plays along cannot make two of one."""
    enrol(chain, Party.FIRM)
    enrol(chain, Party.OPERATOR, KEYS[Party.FIRM])
    refuse(cosigned(chain, Party.FIRM), chain.anchors, "checkpoint")


def test_old_heads_are_thinned_and_the_newest_kept(chain: ChainWorld) -> None:
    heads = CosignedHeads(chain.world.records)
    for size in range(1, 1_105):
        heads.put(size * 2_000, f"head {size}")
    kept = [size for size, _ in heads.all()]
    assert kept[-1_000:] == [size * 2_000 for size in range(105, 1_105)]
    assert len(kept) == 1_000 + 21, "one for each ten thousand entries"
    assert heads.newest() == (2_208_000, "head 1104")
