# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What several parties sign ends: an order by its own days, a proposal by a bound.

Broken once to prove the tests: with a `verify_alive` that looks at the clock alone, and with one
that does nothing, they fail.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app import shredding, signing_keys, store_key_entries
from bastide.app.access_policies import apply_policies, propose_policies
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.tenants import add_tenant
from bastide.core.errors import Misconfigured, Refused
from bastide.core.evidence import Statement
from bastide.core.key import Purpose
from bastide.core.limits import ORDER_DAYS, ORDER_DAYS_MAX
from bastide.core.register import KeyState
from bastide.crypto.dsse import Envelope
from bastide.gates.access.default_policies import DEFAULT
from bastide.gates.access.policy_set import PolicySet
from contracts.softhsm import SoftToken, needs_softhsm
from paths.test_store_shred import Killed, founded, killed, replaced, rotate, token

__all__ = ["token"]  # the fixture

DAY = 86_400_000


def at(env: Environment, days: float) -> Environment:
    """The same environment, some days later than the order or before it."""
    return replace(env, clock=FixedClock(env.clock.now_ms() + int(days * DAY)))


@pytest.mark.attacks("C241")
@needs_softhsm
def test_an_order_destroys_nothing_after_its_days(tmp_path: Path, token: SoftToken) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    rotate(home, token.place("two"))
    (key,) = replaced(home)
    with open_environment(home, read_passphrase(home)) as env:
        order = shredding.sign_order(env, shredding.draft_order(env, key, "over"), [])
        size = env.ledger.size
        late = at(env, ORDER_DAYS)
        with pytest.raises(Refused, match=r"this store-key-shred/v1 ended on 20.*UTC"):
            shredding.settle_order(late, order)
        with pytest.raises(Refused, match="ended on"):
            shredding.sign_order(late, Envelope(order.payload, ()), [])
        ahead = shredding.draft_order(at(env, 2), key, "over")
        with pytest.raises(Refused, match="which is to come"):
            shredding.sign_order(env, ahead, [])
        assert env.ledger.size == size
        # A clock that is set back: the ledger has seen a later time.
        add_tenant(late, "later")
        with pytest.raises(Refused, match="ended on"):
            shredding.settle_order(env, order)
        assert store_key_entries.lives(env)[key].state is KeyState.DEACTIVATED
        # Another order, for as many days as its parties sign, is carried out.
        order = shredding.sign_order(late, shredding.draft_order(late, key, "now", 2), [])
        assert shredding.settle_order(at(env, ORDER_DAYS + 1), order)["key"] == key


@pytest.mark.attacks("C241")
@needs_softhsm
@pytest.mark.parametrize("where", ["destroy", "note"])
def test_an_order_that_a_kill_left_is_not_carried_out_later(
    tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    rotate(home, token.place("two"))
    (key,) = replaced(home)
    with open_environment(home, read_passphrase(home)) as env:
        with monkeypatch.context() as patch:
            patch.setattr(shredding, where, killed)
            order = shredding.sign_order(env, shredding.draft_order(env, key, "over"), [])
            with pytest.raises(Killed):
                shredding.settle_order(env, order)
        left, late = shredding.pending_order(env, key), at(env, ORDER_DAYS)
        assert left is not None
        if where == "note":  # the key is gone: that is still to be stated
            assert shredding.pending_order(late, key) == left
            assert shredding.settle_order(late, left)["proof"].startswith("an earlier run")
            return
        assert shredding.pending_order(late, key) is None
        with pytest.raises(Refused, match="ended on"):
            shredding.settle_order(late, left)
        again = shredding.sign_order(late, shredding.draft_order(late, key, "again"), [])
        assert "opened before" in shredding.settle_order(late, again)["proof"]


@pytest.mark.attacks("C241")
def test_the_days_of_an_order_are_bounded_at_the_ledgers_door(tmp_path: Path) -> None:
    home = founded(tmp_path / "home", "file")
    rotate(home, "file")
    key = replaced(home)[0]
    with open_environment(home, read_passphrase(home)) as env:
        draft = json.loads(shredding.draft_order(env, key, "x", ORDER_DAYS_MAX).payload)
        begun, signers = draft["predicate"]["time_ms"], [*env.party_signers().values()]
        for expires in (begun, begun - 1, begun + ORDER_DAYS_MAX * DAY + 1):
            draft["predicate"]["expires_ms"] = expires
            with pytest.raises(Misconfigured, match="expires_ms: not within 30 days"):
                env.ledger.append_statement(Statement.from_json(draft), signers)
        # Orders from before there was an end are read, and end by the bound.
        del draft["predicate"]["expires_ms"]
        old = Envelope(Statement.from_json(draft).payload(), ())
        signed = shredding.sign_order(env, old, [])
        with pytest.raises(Refused, match="ended on"):
            shredding.settle_order(at(env, ORDER_DAYS_MAX), signed)
        assert shredding.settle_order(at(env, ORDER_DAYS_MAX - 1), signed)["key"] == key


@pytest.mark.attacks("C241")
def test_a_proposal_that_was_signed_long_ago_is_not_put_in_force(tmp_path: Path) -> None:
    home = founded(tmp_path / "home", "file")
    with open_environment(home, read_passphrase(home)) as env:
        policies = PolicySet(DEFAULT + "// other\n", "x")
        text = json.dumps(propose_policies(env, policies, "a test", None).to_json())
        with pytest.raises(Refused, match=r"this access-policy/v1 ended on"):
            apply_policies(at(env, ORDER_DAYS_MAX), text)
        assert apply_policies(at(env, ORDER_DAYS_MAX - 1), text).body["version"] == 1
        # A key's return ends likewise; its stop can be signed beforehand and kept in a safe.
        ident = env.signer(Purpose.RELEASE).public.ident
        for state, refused in ((KeyState.SUSPENDED, False), (KeyState.ACTIVE, True)):
            drafted = signing_keys.change(ident, state, None, "a test", env.clock)
            signed = signing_keys.gather(env, Envelope(drafted.payload(), ()), [])
            late = at(env, ORDER_DAYS_MAX + 1)
            if refused:
                with pytest.raises(Refused, match="this key-state/v1 ended on"):
                    signing_keys.settle(late, signed)
            else:
                signing_keys.settle(late, signed)
