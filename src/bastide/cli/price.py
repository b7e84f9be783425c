# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide price ...`."""

import click

from bastide.cli.command import Call, parameters

__all__ = ["price"]


@click.group()
def price() -> None:
    """Set and list what tokens cost."""


@parameters(
    "set",
    "bastide price set --model smollm2-135m-instruct --input-eur-per-mtok 0.10"
    " --output-eur-per-mtok 0.40",
    click.option("--model", required=True, help="Name of the deployment."),
    click.option("--input-eur-per-mtok", required=True, help="EUR for a million prompt tokens."),
    click.option("--output-eur-per-mtok", required=True, help="EUR for a million answer tokens."),
    click.option("--cached-eur-per-mtok", help="EUR for a million cached prompt tokens."),
)
def set_command(
    call: Call,
    model: str,
    input_eur_per_mtok: str,
    output_eur_per_mtok: str,
    cached_eur_per_mtok: str | None,
) -> None:
    """Set the price of a model from now on, to six decimals. What was answered keeps its cost."""
    from bastide.app.prices import set_price

    with call.environment() as env:
        row = set_price(env, model, input_eur_per_mtok, output_eur_per_mtok, cached_eur_per_mtok)
    call.show({**row.body, "entry": row.entry}, f"set for {row.subject.name} (entry {row.entry})")


@parameters("ls", "bastide price ls")
def ls(call: Call) -> None:
    """List prices, in EUR for a million tokens."""
    from bastide.app.prices import list_prices

    with call.environment() as env:
        rows = list_prices(env)
    call.rows(rows, ("model", "input", "output", "cached", "entry"), "no price yet")


price.add_command(set_command)
price.add_command(ls)
