# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide init`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bastide.cli.command import Call, parameters, parties_of, read_text
from bastide.core.errors import Misconfigured
from bastide.core.party import Party

if TYPE_CHECKING:
    from bastide.app.charter_signing import CharterRound
    from bastide.app.founding import Founded, Wishes

__all__ = ["found_here", "init"]


@parameters(
    "init",
    "bastide init --parties separate --passphrase-file FILE",
    click.option(
        "--parties",
        type=click.Choice(["solo", "separate"]),
        default="solo",
        show_default=True,
        help="One person for all three parties, or three people.",
    ),
    click.option("--listen", metavar="HOST:PORT", help="Gateway address."),
    click.option(
        "--exit-recipient", metavar="AGE1...", help="age recipient that opens exports for you."
    ),
    click.option(
        "--party-key",
        "party_keys",
        multiple=True,
        metavar="PARTY=FILE",
        help="A party's own key: OpenSSH private key, or passkey file (repeatable); "
        "with --charter its public key.",
    ),
    click.option(
        "--charter",
        metavar="DIR",
        help="Sign elsewhere: the charter goes there, and its signed copies come there.",
    ),
    click.option(
        "--wait",
        type=click.FloatRange(0, 1440),
        default=60.0,
        show_default=True,
        help="With --charter: minutes to wait for the signatures.",
    ),
    click.option(
        "--quorum",
        multiple=True,
        metavar="PARTY=AGE1...",
        help="age recipient of a custodian, once for each party: any two unseal the keyring.",
    ),
    click.option(
        "--sandbox",
        type=click.Choice(["auto", "bubblewrap", "landlock"]),
        default="auto",
        show_default=True,
        help="What isolates engines; never none.",
    ),
    click.option(
        "--keys",
        "store_keys",
        metavar="PLACE",
        default="file",
        show_default=True,
        help="Where the key that opens sealed objects is: file, pkcs11:... or openbao:...",
    ),
    click.option(
        "--attested", is_flag=True, help="Only attested nodes may ever serve: it is in the policy."
    ),
    click.option(
        "--pack-released",
        is_flag=True,
        help="Only released datasets may ever be packed: it is in the policy.",
    ),
)
def init(
    call: Call,
    parties: str,
    listen: str | None,
    exit_recipient: str | None,
    party_keys: tuple[str, ...],
    charter: str | None,
    wait: float,
    quorum: tuple[str, ...],
    sandbox: str,
    store_keys: str,
    attested: bool,
    pack_released: bool,
) -> None:
    """Make an environment: keys of the three parties, ledger, sealed store. All or nothing.

    With --charter this machine never holds a party's key: --party-key names public keys, each party
    signs a copy of the charter with `bastide sign`, and founding waits for the three copies.

    Without --passphrase-file a passphrase is generated and kept in the file `unlock`, so that
    services can start unattended; keep it elsewhere in production.
    """
    away = None if charter is None else (charter, wait)
    row = found_here(
        call, parties, listen, exit_recipient, sandbox, party_keys, quorum, store_keys, away,
        attested, pack_released,
    )  # fmt: skip
    call.show(row)


def found_here(
    call: Call,
    parties: str,
    listen: str | None,
    exit_recipient: str | None,
    sandbox: str,
    party_keys: tuple[str, ...] = (),
    quorum: tuple[str, ...] = (),
    store_keys: str = "file",
    charter: tuple[str, float] | None = None,
    attested: bool = False,
    pack_released: bool = False,
) -> dict[str, object]:
    """Found the environment of a call and tell what was made."""
    from bastide.app.founding import Wishes, found, free_address

    passphrase = None
    if call.passphrase_file is not None:
        passphrase = read_text(call.passphrase_file).strip()
    files = parties_of(party_keys)
    away = None if charter is None else _charter_round(call, files, *charter)
    keys = {} if away else {party: call.party_key(file) for party, file in files.items()}
    wishes = Wishes(
        parties,
        listen or free_address(),
        passphrase,
        exit_recipient,
        sandbox,
        {party: signer for party, signer in keys.items() if signer is not None},
        parties_of(quorum),
        store_keys,
        away,
        attested,
        pack_released,
    )
    founded = found(call.home, wishes)
    _tell(call, founded, wishes)
    return {
        "environment": founded.environment,
        "home": str(founded.home.root),
        "parties": parties,
        "key_files": [str(path) for path in founded.key_files],
        "exit_identity": str(founded.exit_identity) if founded.exit_identity else None,
        "unlock": str(founded.unlock) if founded.unlock else None,
        "shares": [str(path) for path in founded.shares],
        "anchors": str(founded.home.anchors),
    }


def _tell(call: Call, founded: "Founded", wishes: "Wishes") -> None:
    """Say what was made, and what its reader must do with it."""
    call.tell(f"Founded {founded.environment} in {founded.home.root}, policy {wishes.parties}.")
    if wishes.parties == "solo":
        call.tell(
            "  solo: ONE PERSON holds the keys of firm, operator and guardian. For a demo only."
        )
    for path in founded.key_files:
        call.tell(
            f"  key of the {path.stem}: {path}  (give it to that person, then delete it here)"
        )
    if founded.unlock is not None:
        call.tell(
            f"  passphrase of the keyring: {founded.unlock}  (whoever reads it holds all keys)"
        )
    for path in founded.shares:
        call.tell(f"  share of the {path.name.partition('.')[0]}: {path}  (opens with their key)")
    if wishes.store_keys != "file":
        call.tell(f"  sealed objects open only through {wishes.store_keys.partition('?')[0]}")
    call.tell(
        "  who may what: the default policies (bastide policy show --text); the guardian and one"
        " more party can sign others"
    )
    if founded.exit_identity is not None:
        call.tell(
            f"  exit identity: {founded.exit_identity}  (opens every export with the age tool)"
        )


def _charter_round(call: Call, files: dict[Party, str], folder: str, wait: float) -> "CharterRound":
    """How the parties sign elsewhere. Raises Misconfigured unless each one's key is given."""
    import time

    from bastide.app import wiring
    from bastide.app.charter_signing import CharterRound

    missing = [party for party in Party if party not in files]
    if missing:
        raise Misconfigured(
            f"--charter without the public key of {', '.join(missing)}",
            fix="give --party-key PARTY=FILE for each party: OpenSSH or PEM, or a passkey file",
        )
    keys = {party: wiring.read_public(Path(file), party) for party, file in files.items()}
    for party, key in keys.items():
        if key.party != party:
            raise Misconfigured(f"{files[party]} was made for the {key.party}, not the {party}")
    return CharterRound(Path(folder), keys, 60 * wait, wiring.clock(), time.sleep, call.tell)
