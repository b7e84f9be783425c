# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a tenant's share and its bill count of a prompt that the engine had in its cache."""

from bastide.core.chat import Usage
from bastide.core.fair_queue import FairQueue
from bastide.core.money import Price
from bastide.core.share import Cost

COST = Cost(prompt=0.25, output=1.0)


def spent(usage: Usage) -> float:
    """Units that one answer cost its tenant, by what the queue states."""
    queue = FairQueue(2, COST)
    ticket = queue.enter(0.0, "a", prompt=400.0, output_max=10)
    assert queue.dispatch(0.0) == [ticket]
    assert ticket.charged == COST.of(400, 0)  # an estimate, by the whole prompt
    queue.charge(0.1, ticket, usage)
    queue.finish(0.2, ticket, usage)
    return queue.close_period(0.3)["a"].borrowed


def test_a_cached_prompt_token_costs_a_share_nothing():
    assert spent(Usage(400, 10, 0)) == COST.of(400, 10)
    assert spent(Usage(400, 10, 390)) == COST.of(10, 10)
    assert spent(Usage(400, 10, 400)) == COST.of(0, 10)


def test_a_cached_prompt_token_costs_what_the_price_list_says():
    price = Price(input=100, output=400, cached=10)
    assert price.cost(Usage(400, 10, 390)) == 10 * 100 + 390 * 10 + 10 * 400
    assert price.cost(Usage(400, 10, 0)) == 400 * 100 + 10 * 400
