# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Environment: a home directory that was unlocked, with everything behind it opened."""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass

from bastide.app import wiring
from bastide.app.access import Access
from bastide.app.config import Home, Settings, read_settings
from bastide.app.denials import SignedDenials
from bastide.app.duties import everyone
from bastide.app.presence import Claim
from bastide.app.sessions import newest_people, session_at
from bastide.app.unsealing import kept_passphrase
from bastide.core.errors import Misconfigured, NotAllowed, NotFound
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.party import Party, Principal
from bastide.crypto.dsse import Signer
from bastide.ledger import Ledger
from bastide.ledger.cosigned import CosignedHeads
from bastide.ledger.erasure import ErasureShelf
from bastide.ledger.receipts import ReceiptBook
from bastide.ports import Clock, Entropy, Keyring, SealingStore

__all__ = [
    "Environment",
    "active_signer",
    "hold_all",
    "open_environment",
    "read_passphrase",
    "verify_parties",
]


@dataclass(frozen=True, slots=True)
class Environment:
    """All that a use case needs. `principal` is who called it, without a party's key.

    claim: a party's key that was given; `require` has it sign before its party counts.
    unknown: the id of a key that was given and is no party's here, or "".

    reread_keyring: the keyring as its file has it now; another process may have changed it.
    save_keyring: writes a changed keyring in the place of that file.
    """

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
    claim: Claim | None
    reread_keyring: Callable[[], Keyring]
    save_keyring: Callable[[Keyring], None]
    access: Access
    unknown: str = ""

    def signer(self, purpose: Purpose) -> Signer:
        """The signing key with which a service signs now. Raises NotFound."""
        return active_signer(self.ledger, self.keyring, purpose)

    @property
    def denied(self) -> tuple[str, ...]:
        """What parties denied in the ledger, for processes that have no database."""
        return SignedDenials(self.ledger)()

    def party_signers(self) -> dict[Party, Signer]:
        """The parties' keys that this keyring holds and that may sign: under `separate` none."""
        signing = self.ledger.keys()
        return {
            party: signer
            for party in Party
            for signer in self.keyring.signers(Purpose.PARTY, party)
            if signer.public.ident in signing
        }

    def party_of(self, signer: Signer) -> dict[Party, Signer]:
        """The party for which a key is enrolled. Raises NotAllowed if it is none's."""
        key = self.ledger.keys().get(signer.public.ident)
        if key is None or key.party is None:
            raise NotAllowed(
                f"the key {signer.public.ident} is no party's key in this environment",
                fix="use one that is enrolled and active: `bastide signing-key ls`",
            )
        enrolled = Signer(key, signer.sign)
        return {Party(key.party): enrolled}

    def parties_at_hand(self, given: Signer | None) -> dict[Party, Signer]:
        """The party of the given key; without one, the parties' keys that are held here."""
        return self.party_signers() if given is None else self.party_of(given)


def active_signer(ledger: Ledger, keyring: Keyring, purpose: Purpose) -> Signer:
    """Of the keys of a purpose that are held, the one that the register calls active.

    Raises NotFound.
    """
    key = ledger.register().active(purpose)
    for signer in keyring.signers(purpose):
        if key is not None and signer.public.ident == key.ident:
            return signer
    if key is None:
        fix = f"`bastide signing-key rotate {purpose}` makes one"
        raise NotFound(f"no {purpose} key is active", fix=fix)
    raise NotFound(
        f"the {purpose} key {key.ident} is not in this keyring",
        fix="it was replaced a moment ago: try again; or restore the keyring that holds it",
    )


@contextlib.contextmanager
def open_environment(
    home: Home, passphrase: str, party_key: Signer | None = None
) -> Generator[Environment]:
    """Unlock a home directory. Raises NotAllowed for a wrong passphrase."""
    settings = read_settings(home)
    clock, entropy = wiring.clock(), wiring.entropy()
    keyring = wiring.open_keyring(home.keyring, passphrase)
    if not home.database.exists():  # opening would make an empty one
        raise NotFound(f"{home.database} is missing", fix="restore it from a backup")
    records = wiring.open_records(home.database, keyring.secret(Purpose.DATABASE))
    try:
        ledger = Ledger(records, keyring.signer(Purpose.LEDGER), clock)
        book = ReceiptBook(records, ledger, keyring.signer(Purpose.EVIDENCE), clock)
        hold_all(keyring, ledger, book)
        verify_parties(home, settings, ledger)
        exits = ledger.charter().body["exit_recipients"]
        denied = SignedDenials(ledger)
        store = wiring.open_store(home.store, keyring.identities(), exits, entropy, denied)
        principal, session = _caller(home, ledger, clock)
        ledger.login = None if session is None else session.digest
        claim = _claim(settings, ledger, party_key, clock, entropy)
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
            principal=principal,
            claim=claim,
            reread_keyring=lambda: wiring.open_keyring(home.keyring, passphrase),
            save_keyring=lambda kept: wiring.save_keyring(home.keyring, kept, passphrase, entropy),
            access=Access(ledger, clock),
            unknown="" if party_key is None or claim is not None else party_key.public.ident,
        )
    finally:
        records.dispose()


def hold_all(keyring: Keyring, ledger: Ledger, book: ReceiptBook) -> None:
    """Give ledger and book every key of theirs; each picks the one in force when it signs."""
    for signer in keyring.signers(Purpose.LEDGER):
        ledger.hold(signer)
    for signer in keyring.signers(Purpose.EVIDENCE):
        book.hold(signer)


def verify_parties(home: Home, settings: Settings, ledger: Ledger) -> None:
    """Check that the settings say of the parties what the charter says, which all of them signed.

    Raises Misconfigured.
    """
    signed = "separate" if ledger.policy().separate else "solo"
    if settings.parties != signed:
        raise Misconfigured(
            f"{home.config} says parties = {settings.parties!r}, and the charter {signed!r}",
            place="parties",
            fix=f'write parties = "{signed}"; another division of parties is another environment:'
            " `bastide init` in another folder",
        )


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


def _caller(home: Home, ledger: Ledger, clock: Clock) -> tuple[Principal, Evidence | None]:
    """Who is at the door, by the charter, and the login by which one is.

    What the operator's own files say decides nothing.

    The whole of `solo`; else who logged in, or the operator where nobody logs in.
    """
    if not ledger.policy().separate:
        return everyone("the holder of the keyring"), None
    name, parties, session = "the operator", {Party.OPERATOR}, None
    if (listed := newest_people(ledger)) is not None:
        session = session_at(home, ledger, listed, clock.now_ms())
        name, parties = "who has not logged in (`bastide login`)", set()
        if session is not None:
            # Of a party whose keys are all stopped nobody acts, until it has a new one.
            standing = {key.party for key in ledger.keys().values()}
            parties = {Party(session.body["party"])} if session.body["party"] in standing else set()
            name = session.body["person"]
    return Principal(name, frozenset(parties)), session


def _claim(
    settings: Settings, ledger: Ledger, given: Signer | None, clock: Clock, entropy: Entropy
) -> Claim | None:
    """What a given key claims; None if it is no party's."""
    key = None if given is None else ledger.keys().get(given.public.ident)
    if given is None or key is None or key.party is None:
        return None
    signer = Signer(key, given.sign)
    return Claim(signer, Party(key.party), settings.environment, clock, entropy)
