# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide share ...`."""

import click

from bastide.cli.command import Call, parameters
from bastide.core.limits import SHARE_BURST_S

__all__ = ["share"]


@click.group()
def share() -> None:
    """Promise tenants a part of a deployment, and prove that they got it."""


@parameters(
    "set",
    "bastide share set acme --model smollm2-135m-instruct --tokens-per-s 40",
    click.argument("tenant"),
    click.option("--model", required=True, help="Name of the deployment."),
    click.option(
        "--tokens-per-s",
        type=float,
        required=True,
        help="Output tokens a second that are guaranteed; 0 promises nothing.",
    ),
    click.option(
        "--burst-s",
        type=float,
        default=SHARE_BURST_S,
        show_default=True,
        help="Seconds of the promise that may be taken at once.",
    ),
    click.option(
        "--weight",
        type=float,
        default=1.0,
        show_default=True,
        help="Part of what others leave, beside everybody else's.",
    ),
)
def set_command(
    call: Call, tenant: str, model: str, tokens_per_s: float, burst_s: float, weight: float
) -> None:
    """Promise a tenant tokens a second. Setting it anew replaces it, within a second.

    A prompt token counts a quarter of an output token (the settings say how much), and nothing if
    it is in the engine's cache. Promises that are more than the deployment was measured to do are
    refused.
    """
    from bastide.app.shares import set_share

    with call.environment() as env:
        row = set_share(env, tenant, model, tokens_per_s, burst_s, weight)
    body = row.body
    result = {**body, "entry": row.entry}
    text = f"{tenant} is promised {body['tokens_per_s']:g} tokens/s of {body['deployment']}"
    call.show(result, f"{text}  (entry {row.entry})")


@parameters("ls", "bastide share ls")
def ls(call: Call) -> None:
    """List what is promised, and what each deployment was measured to do."""
    from bastide.app.shares import list_shares

    with call.environment() as env:
        rows = list_shares(env)
    columns = ("tenant", "deployment", "tokens_per_s", "burst_s", "weight", "capacity", "entry")
    call.rows(rows, columns, "no share yet: bastide share set TENANT --model M --tokens-per-s N")


@parameters(
    "prove",
    "bastide share prove acme 2026-11",
    click.argument("tenant"),
    click.argument("month"),
)
def prove(call: Call, tenant: str, month: str) -> None:
    """Replay a month (YYYY-MM, UTC) of signed minutes: promised, delivered, and the worst one.

    Every statement's signature and its place in the ledger are checked first.
    """
    from bastide.app.shares import prove_shares

    with call.environment() as env:
        rows = prove_shares(env, tenant, month)
    if call.as_json or not rows:
        call.show(rows, f"no statement about {tenant} in {month}: it asked for nothing")
        return
    for row in rows:
        worst = row["worst"] or {"start": "-", "kept": 1.0, "starved_ms": 0}
        lost = "".join(
            f"  no proof   {gap['start']} to {gap['end']}: {gap['statements']} statements lost\n"
            for gap in row["no_evidence"]
        )
        call.show(
            row,
            f"{tenant} of {row['deployment']} in {month}\n"
            f"  promised   {row['promised']:g} units in {row['minutes']} active minutes\n"
            f"  delivered  {row['delivered']:g} ({100 * row['kept']:.2f} %)\n"
            f"  borrowed   {row['borrowed']:g}\n"
            f"  starved    {row['starved_ms'] / 1000:g} s, {row['refused']} refused\n"
            f"  worst      {worst['start']}: {100 * worst['kept']:.2f} %, "
            f"starved {worst['starved_ms'] / 1000:g} s\n"
            f"{lost}"
            f"  proven     {len(row['entries'])} statements, signatures and inclusion",
        )


share.add_command(set_command)
share.add_command(ls)
share.add_command(prove)
