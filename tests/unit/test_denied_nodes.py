# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A client seals nothing to a node that serves what somebody denied, as far as it is shown that."""

import json
from pathlib import Path

import pytest

from bastide.app.sealed_nodes import NodeTeller
from bastide.core.errors import NotProven
from bastide.core.party import Party
from bastide.core.register import KeyState
from unit.attested_fixture import POLICIES, make_attested
from unit.test_decided import plant
from unit.test_denials import deny, end, state
from unit.test_denials import sign as sign_denial
from unit.test_verify_nodes import WITNESSES, Told


@pytest.fixture(params=POLICIES)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    return Told(make_attested(tmp_path, request.param))


@pytest.mark.attacks("C229")
@pytest.mark.parametrize("name", ["*", "models/", "releases/"])
def test_what_a_party_denied_is_refused_until_it_is_let_go(told: Told, name: str) -> None:
    """Before the bundle had denials, clients sealed on to weights that their owner had denied."""
    world = told.world
    denied = deny(world, Party.FIRM, name)
    told.cosign(*WITNESSES)
    assert f"the firm denied the opening of {name} in entry" in told.reasons(told.bundle())
    # An end is taken only as the door takes it: this one lacks the firm, and was written beside it.
    plant(world, sign_denial(world, end(denied, name), Party.GUARDIAN))
    told.cosign(*WITNESSES)
    assert "the firm denied" in told.reasons(told.bundle())
    both = (Party.GUARDIAN, Party.FIRM)
    told.ledger.append([sign_denial(world, end(denied, name, 2), *both)])
    deny(world, Party.FIRM, "corpora/")
    told.cosign(*WITNESSES)
    bundle = told.bundle()
    assert told.verify(bundle).nodes
    bundle["denials"][0]["envelope"] = bundle["denials"][2]["envelope"]
    with pytest.raises(NotProven, match=r"denials\[0\].proof"):
        told.verify(bundle)
    bundle["denials"] = [bundle["charter"]]
    with pytest.raises(NotProven, match=r"not of denial/v1, denial-end/v1 but charter/v1"):
        told.verify(bundle)


@pytest.mark.attacks("C229")
def test_a_denial_of_a_key_that_counts_no_more_is_one(told: Told) -> None:
    """It only takes away, and must not make the whole bundle worthless."""
    denied = deny(told.world, Party.GUARDIAN)
    told.sign(end(denied), Party.GUARDIAN)
    told.cosign(*WITNESSES)
    assert told.verify(told.bundle()).nodes
    since = told.ledger.index_of(denied)
    state(told.world, KeyState.COMPROMISED, trusted_before=since)
    told.cosign(*WITNESSES)
    assert "the guardian denied the opening of models/" in told.reasons(told.bundle())


def test_who_is_asked_names_no_node_of_what_is_denied(told: Told) -> None:
    """As with a revocation, before witnesses have seen it, and each time for all clients anew."""
    teller = NodeTeller(told.ledger, told.heads, told.world.clock)
    told.cosign(*WITNESSES)

    def heard() -> int:
        return len(json.loads(teller.tell({"since": 0}))["nodes"])

    assert heard() == 1
    denied = deny(told.world, Party.OPERATOR)
    assert heard() == 0
    told.sign(end(denied), Party.GUARDIAN)
    assert heard() == 1
