# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How long a file that parties sign may wait until it is used: its life is in what they signed.

An order says when it ends (`expires_ms`). Proposals of policies, of people and of keys have the
time at which they were made, and live for ORDER_DAYS_MAX days from then. A clock that is set back
prolongs nothing that the ledger's newest entries have seen (`seen_ms`); an order that is written
then has the ledger's time.
"""

from bastide.app.environment import Environment
from bastide.core.errors import Refused
from bastide.core.evidence import Statement
from bastide.core.limits import ORDER_AHEAD_MS, ORDER_DAYS_MAX
from bastide.core.utc import DAY_MS, utc_minute
from bastide.ledger.times import seen_ms

__all__ = ["ends_ms", "is_over", "verify_alive"]


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
