# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide passkey`."""

from pathlib import Path

import click

from bastide.cli.command import Call, parameters
from bastide.core.party import Party

__all__ = ["passkey"]

_PORT = 8475  # a passkey is bound to the port of the page that made it


@parameters(
    "passkey",
    "bastide passkey guardian --out guardian.passkey",
    click.argument("party", type=click.Choice([party.value for party in Party])),
    click.option("--out", required=True, metavar="FILE", help="Where the passkey file goes."),
    click.option(
        "--port",
        type=click.IntRange(1024, 65535),
        default=_PORT,
        show_default=True,
        help="Port of the page on this machine; the passkey is bound to it.",
    ),
)
def passkey(call: Call, party: str, out: str, port: int) -> None:
    """Make a passkey for a party: in the device, phone or key chain that your browser offers.

    The file holds no secret. Give it wherever a party's key file is asked for: a page opens
    in your browser, shows the statement, and has your authenticator sign it.
    """
    from bastide.app import wiring

    key = wiring.register_passkey(Path(out), Party(party), port, call.tell)
    call.show(
        {"passkey": out, "id": key.ident, "party": party},
        f"passkey of the {party}: {out}  {key.ident}",
    )
