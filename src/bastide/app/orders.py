# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How long a file that parties sign may wait until it is used: its life is in what they signed.

An order says when it ends (`expires_ms`). Proposals of policies, of people and of keys have the
time at which they were made, and live for ORDER_DAYS_MAX days from then. A clock that is set back
prolongs nothing that the ledger's newest entries have seen (`seen_ms`); an order that is written
then has the ledger's time.
"""

import json
from collections.abc import Sequence

from bastide.app.enrolment import add_signature, parties_that_signed
from bastide.app.environment import Environment
from bastide.core.errors import Misconfigured, Refused, Waiting
from bastide.core.evidence import Statement
from bastide.core.limits import ORDER_AHEAD_MS, ORDER_DAYS_MAX
from bastide.core.party import Party
from bastide.core.register import QUORUM
from bastide.core.utc import DAY_MS, utc_minute
from bastide.crypto.dsse import Envelope, Signer
from bastide.ledger.statements import check_shape
from bastide.ledger.times import seen_ms

__all__ = ["ends_ms", "is_over", "read_order", "sign_as_parties", "verify_alive", "verify_quorum"]


def ends_ms(statement: Statement) -> int:
    """When a signed file ends."""
    body = statement.body
    return int(body.get("expires_ms", body["time_ms"] + ORDER_DAYS_MAX * DAY_MS))


def is_over(env: Environment, statement: Statement) -> bool:
    """Whether its life is over by the clock, or by what the ledger has seen."""
    return seen_ms(env.ledger, env.clock.now_ms()) >= ends_ms(statement)


def verify_alive(env: Environment, statement: Statement) -> None:
    """Raise Refused for a signed file whose life is over, or which is from the future."""
    if is_over(env, statement):
        raise Refused(
            f"this {statement.kind} ended on {utc_minute(ends_ms(statement))}: who signed it may"
            " think otherwise by now",
            fix="make it again, and let the parties sign again",
        )
    made_ms = statement.body["time_ms"]
    if made_ms > seen_ms(env.ledger, env.clock.now_ms()) + ORDER_AHEAD_MS:
        raise Refused(
            f"this {statement.kind} is of {utc_minute(made_ms)}, which is to come",
            fix="compare the clocks, and make it again",
        )


def read_order(order: Envelope, kind: str, does: str) -> Statement:
    """The statement of an order of a kind. Raises Misconfigured for another one's file."""
    statement = Statement.from_json(json.loads(order.payload))
    if statement.kind != kind:
        raise Misconfigured(f"a {statement.kind} {does} no key", fix="give an order's file")
    check_shape(statement)
    return statement


def sign_as_parties(env: Environment, order: Envelope, given: Sequence[Signer]) -> Envelope:
    """Sign with the given keys, else with those of parties that the keyring holds.

    Raises NotAllowed for a key of no party, NotProven for one that has signed already.
    """
    for signer in given or [*env.party_signers().values()]:
        env.party_of(signer)
        order = add_signature(order, signer)
    return order


def verify_quorum(env: Environment, order: Envelope, what: str) -> None:
    """Raise Waiting unless two parties signed, NotProven for a signature that does not hold."""
    parties = parties_that_signed(env, order)
    if len(parties) < QUORUM:
        others = ", ".join(party.value for party in Party if party not in parties)
        had = ", ".join(sorted(parties)) or "nobody"
        raise Waiting(
            f"{what} takes {QUORUM} parties, and {had} signed",
            reasons=(f"signatures of {QUORUM - len(parties)} of: {others}",),
            fix="collect them: --out FILE, `bastide sign` elsewhere, then --import each",
        )
