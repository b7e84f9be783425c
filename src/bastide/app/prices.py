# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about the price list. Prices are decimal amounts, kept as whole micro-euros."""

from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.naming import newest_named
from bastide.core.canonical import canonical
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.money import PICO_PER_MICRO, Price, euros, micro_euros
from bastide.core.subject import Digest, Subject

__all__ = ["list_prices", "price_of", "set_price"]


def set_price(
    env: Environment, model: str, input_eur: str, output_eur: str, cached_eur: str | None = None
) -> Evidence:
    """Set what a million tokens of a deployment cost from now on; the same again changes nothing.

    Without `cached_eur` a cached prompt token costs as much as any other. Raises NotFound if
    nothing is deployed under the name, Misconfigured for what is no amount.
    """
    require(env, "price-set", model)
    deployed = env.ledger.deployments(active=True)
    name = newest_named(deployed, model, "deployment").subject.name
    cached = input_eur if cached_eur is None else cached_eur
    price = Price(micro_euros(input_eur), micro_euros(output_eur), micro_euros(cached))
    for row in env.ledger.prices():
        if row.body["model"] == name and price_of(row) == price:
            return row
    body = {
        "model": name,
        "input": price.input,
        "output": price.output,
        "cached": price.cached,
        "time_ms": env.clock.now_ms(),
    }
    subject = Subject(name, Digest.of(canonical({"price": name})))
    signer = env.signer(Purpose.EVIDENCE)
    return env.ledger.append_statement(Statement("price/v1", (subject,), body), [signer])


def list_prices(env: Environment) -> list[dict[str, Any]]:
    """One row per model that has a price: EUR a million tokens, as exact decimals."""
    require(env, "read")
    return [
        {
            "model": row.body["model"],
            "input": euros(row.body["input"] * PICO_PER_MICRO),
            "output": euros(row.body["output"] * PICO_PER_MICRO),
            "cached": euros(row.body["cached"] * PICO_PER_MICRO),
            "entry": row.entry,
        }
        for row in env.ledger.prices()
    ]


def price_of(row: Evidence) -> Price:
    """The price that a statement sets."""
    return Price(row.body["input"], row.body["output"], row.body["cached"])
