# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Environment: a home directory that was unlocked, with everything behind it opened."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from bastide.app import wiring
from bastide.app.config import Home, Settings, read_settings
from bastide.app.duties import everyone
from bastide.app.unsealing import kept_passphrase
from bastide.core.errors import NotAllowed, NotFound
from bastide.core.key import Purpose
from bastide.core.party import Party, Principal
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ledger.cosigned import CosignedHeads
from bastide.ledger.erasure import ErasureShelf
from bastide.ledger.receipts import ReceiptBook
from bastide.ports import Clock, Entropy, Keyring, SealingStore

__all__ = ["Environment", "open_environment", "read_passphrase"]


@dataclass(frozen=True, slots=True)
class Environment:
    """All that a use case needs. `principal` is who called it."""

    home: Home
    settings: Settings
    keyring: Keyring
    ledger: Ledger
    book: ReceiptBook
    lists: ErasureShelf
    heads: CosignedHeads
    store: SealingStore
    clock: Clock
    entropy: Entropy
    principal: Principal

    def signer(self, purpose: Purpose) -> Signer:
        """A service's signing key."""
        return self.keyring.signer(purpose)

    def party_signers(self) -> dict[Party, Signer]:
        """The parties' keys that this keyring holds: all under `solo`, none under `separate`."""
        held = {}
        for party in Party:
            with contextlib.suppress(NotFound):
                held[party] = self.keyring.signer(Purpose.PARTY, party)
        return held

    def party_of(self, signer: Signer) -> dict[Party, Signer]:
        """The party for which a key is enrolled. Raises NotAllowed if it is none's."""
        key = self.ledger.keys().get(signer.public.ident)
        if key is None or key.party is None:
            raise NotAllowed(
                f"the key {signer.public.ident} is no party's key in this environment",
                fix="use the key that was enrolled when the environment was founded",
            )
        enrolled = Signer(key, signer.sign)
        return {Party(key.party): enrolled}


@contextlib.contextmanager
def open_environment(
    home: Home, passphrase: str, party_key: Signer | None = None
) -> Iterator[Environment]:
    """Unlock a home directory. Raises NotAllowed for a wrong passphrase."""
    settings = read_settings(home)
    clock, entropy = wiring.clock(), wiring.entropy()
    keyring = wiring.open_keyring(home.keyring, passphrase)
    records = wiring.open_records(home.database, keyring.secret(Purpose.DATABASE))
    try:
        ledger = Ledger(records, keyring.signer(Purpose.LEDGER), clock)
        book = ReceiptBook(records, ledger, keyring.signer(Purpose.EVIDENCE), clock)
        exits = ledger.charter().body["exit_recipients"]
        store = wiring.open_store(home.store, keyring.identities(), exits, entropy)
        yield Environment(
            home=home,
            settings=settings,
            keyring=keyring,
            ledger=ledger,
            book=book,
            lists=ErasureShelf(records),
            heads=CosignedHeads(records),
            store=store,
            clock=clock,
            entropy=entropy,
            principal=_principal(settings, ledger, party_key),
        )
    finally:
        records.dispose()


def read_passphrase(home: Home) -> str:
    """The passphrase from the unlock file, or of the custodians while they keep it open.

    Raises NotAllowed if there is neither.
    """
    try:
        return home.unlock.read_text().strip()
    except FileNotFoundError as error:
        fix = "give --passphrase-file FILE (`-` reads standard input)"
        if home.quorum.exists():
            kept = kept_passphrase(home)
            if kept is not None:
                return kept
            fix = "two custodians run `bastide unseal --share FILE --for MINUTES`"
        raise NotAllowed(f"the keyring in {home.root} is locked", fix=fix) from error


def _principal(settings: Settings, ledger: Ledger, party_key: Signer | None) -> Principal:
    """Who is at the door: the whole of `solo`, or the operator plus the party of a given key."""
    if settings.parties == "solo":
        return everyone("the holder of the keyring")
    parties = {Party.OPERATOR}
    enrolled = ledger.keys().get(party_key.public.ident) if party_key is not None else None
    if enrolled is not None and enrolled.party:
        parties.add(Party(enrolled.party))
    return Principal("the operator", frozenset(parties))
