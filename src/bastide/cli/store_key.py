# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide store keys` and `bastide store shred`."""

from typing import TYPE_CHECKING

import click

from bastide.cli.command import Call, parameters, read_envelope, write_envelope
from bastide.core.errors import Misconfigured
from bastide.core.limits import ORDER_DAYS, ORDER_DAYS_MAX

if TYPE_CHECKING:
    from bastide.app.environment import Environment
    from bastide.core.evidence import Evidence
    from bastide.crypto.dsse import Envelope

__all__ = ["keys", "shred", "write_order"]


@parameters("keys", "bastide store keys")
def keys(call: Call) -> None:
    """List the store's keys, those that were replaced or destroyed too: state, and since when."""
    from bastide.app.store_key_entries import list_store_keys

    with call.environment() as env:
        rows = list_store_keys(env)
    call.rows(rows, ("key", "service", "state", "since"), "the store has no key")


@parameters(
    "shred",
    "bastide store shred store-... --reason 'epoch 3 is over' --key firm.key --key guardian.key\n"
    "bastide store shred store-... --reason 'epoch 3 is over' --out order.json\n"
    "bastide store shred --import firm.json --import guardian.json",
    click.argument("key", required=False, metavar="[KEY]"),
    click.option("--reason", help="Why; kept in the ledger."),
    click.option(
        "--key", "signers", metavar="FILE", multiple=True, help="A party's key that signs; repeat."
    ),
    click.option("--out", metavar="FILE", help="Write the order, for others to sign."),
    click.option(
        "--days",
        type=click.IntRange(1, ORDER_DAYS_MAX),
        default=ORDER_DAYS,
        show_default=True,
        help="How long the order may be carried out.",
    ),
    click.option("--import", "files", metavar="FILE", multiple=True, help="Signed orders; repeat."),
)
def shred(
    call: Call,
    key: str | None,
    reason: str | None,
    signers: tuple[str, ...],
    out: str | None,
    days: int,
    files: tuple[str, ...],
) -> None:
    """Destroy a replaced key of the store for ever. It takes two parties, and leaves proof.

    Headers that were sealed to it, in backups too, open no more with it; `bastide store rotate`
    replaces the key in use first. After its days an order destroys nothing. An order that a kill
    interrupted goes on: give its KEY again.
    """
    from bastide.app.shredding import draft_order, pending_order, sign_order
    from bastide.app.signing_keys import merge

    if (key is None) == (not files):
        raise Misconfigured("give KEY or --import FILE", fix="bastide store shred --help")
    given = [signer for file in signers if (signer := call.party_key(file)) is not None]
    with call.environment() as env:
        if key is None:
            order = merge(read_envelope(file) for file in files)
            _settle(call, env, sign_order(env, order, given) if given else order)
            return
        if (pending := pending_order(env, key)) is not None:
            _settle(call, env, pending)
            return
        if reason is None:
            raise Misconfigured("give --reason", fix="why: it is kept in the ledger")
        order = draft_order(env, key, reason, days)
        if given or out is None:
            order = sign_order(env, order, given)
        if out is None:
            _settle(call, env, order)
            return
    write_order(call, out, order)


def write_order(call: Call, out: str, order: "Envelope") -> None:
    """Write an order for others to sign, and say who has."""
    write_envelope(out, order)
    by = [ident for ident, _ in order.signatures]
    told = f"wrote {out}  (signed by {', '.join(by) or 'nobody yet'})"
    call.show({"order": out, "signers": by}, told)


def _settle(call: Call, env: "Environment", order: "Envelope | Evidence") -> None:
    from bastide.app.shredding import settle_order

    row = settle_order(env, order)
    lines = [f"destroyed: {row['key']}  (entries {row['order']} and {row['entry']})"]
    lines += [f"proof      {row['proof']}"]
    lines += [f"leaves     {text}" for text in row["leaves"]]
    call.show(row, "\n".join(lines))
