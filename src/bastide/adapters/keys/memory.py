# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A keyring in memory: what every other keyring becomes once it is unlocked.

Its text form is an age identity file, whose comment lines carry the keys that are not age's:

    # bastide-key evidence <base64 of 32 bytes>
    # bastide-key party/firm <base64 of 32 bytes>
    # bastide-identity AGE-SECRET-KEY-PQ-1...
    AGE-SECRET-KEY-1...

The post-quantum identity is a comment because age before 1.3 refuses a file that has one. A signing
key that was replaced stands before its successor. Where a key service holds the store's key, such a
comment says where instead, and no identity is here:

    # bastide-identity pkcs11:token=...
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.core.errors import Misconfigured, NotFound
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.core.party import Party
from bastide.crypto import age, p256
from bastide.crypto.dsse import Signer
from bastide.ports import Entropy

__all__ = ["MemoryKeyring", "is_place", "new_identities"]

_SECRETS: Final = (Purpose.DATABASE, Purpose.PEPPER, Purpose.TLS_CA)
_SIGNING: Final = tuple(
    purpose for purpose in Purpose if purpose not in (Purpose.PARTY, Purpose.STORE, *_SECRETS)
)
_KEY: Final = "# bastide-key "
_IDENTITY: Final = "# bastide-identity "

# A purpose, and a party if the key is a party's.
Slot = tuple[Purpose, Party | None]


class MemoryKeyring:
    """Keys by purpose, each of 32 bytes: an Ed25519 seed, a P-256 scalar or a plain secret."""

    def __init__(self, keys: Mapping[Slot, Sequence[bytes]], identities: Sequence[str]) -> None:
        if any(len(raw) != 32 for raws in keys.values() for raw in raws):
            raise Misconfigured("every key of a keyring has 32 bytes")
        for text in identities:
            if not is_place(text):
                age.parse_identity(text)
        self._keys = {slot: tuple(raws) for slot, raws in keys.items() if raws}
        self._identities = tuple(identities)

    @classmethod
    def generate(
        cls, parties: Iterable[Party], entropy: Entropy, store_keys: Sequence[str] = ()
    ) -> "MemoryKeyring":
        """Make a key for every purpose, and one for each given party.

        `store_keys` are the store's identities or places; without them, they are made here.
        """
        slots: list[Slot] = [(purpose, None) for purpose in (*_SIGNING, *_SECRETS)]
        slots += [(Purpose.PARTY, party) for party in parties]
        keys = {slot: (_secret(slot[0], entropy),) for slot in slots}
        return cls(keys, store_keys or new_identities(entropy))

    def with_store_keys(self, store_keys: Sequence[str]) -> "MemoryKeyring":
        """The same keyring with other identities or places for the store."""
        return MemoryKeyring(self._keys, store_keys)

    @classmethod
    def from_portion(cls, text: str) -> "MemoryKeyring":
        """Read what `portion` wrote. Raises Misconfigured; its message names no secret."""
        keys: dict[Slot, list[bytes]] = {}
        identities: list[str] = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line.startswith(_KEY):
                slot, raw = _parse_key(line.removeprefix(_KEY), number)
                keys.setdefault(slot, []).append(raw)
            elif line.startswith(_IDENTITY):
                identities.append(line.removeprefix(_IDENTITY).strip())
            elif line.strip() and not line.startswith("#"):
                identities.append(line.strip())
        return cls(keys, identities)

    def portion(self, purposes: Iterable[Purpose]) -> str:
        """The keys of some purposes as text, for a process that needs only these. It is secret."""
        wanted = set(purposes)
        lines = [
            f"{_KEY}{purpose.value}{'/' + party.value if party else ''} "
            + base64.b64encode(raw).decode()
            for (purpose, party), raws in self._keys.items()
            if purpose in wanted
            for raw in raws
        ]
        if Purpose.STORE in wanted:
            for text in self._identities:
                identity = None if is_place(text) else age.parse_identity(text)
                if isinstance(identity, age.X25519Identity):
                    lines += [f"# public key: {identity.recipient()}", text]
                else:
                    lines.append(_IDENTITY + text)
        return "\n".join([*lines, ""])

    def signer(self, purpose: Purpose, party: Party | None = None) -> Signer:
        """The newest signing key of a purpose (and party). Raises NotFound if none is held here."""
        found = self.signers(purpose, party)
        if not found:
            whose = f"{purpose.value} key" + (f" of the {party.value}" if party else "")
            raise NotFound(f"this keyring holds no {whose}", fix="unlock the keyring that does")
        return found[-1]

    def signers(self, purpose: Purpose, party: Party | None = None) -> tuple[Signer, ...]:
        """All signing keys of a purpose (and party), oldest first."""
        if purpose in (Purpose.STORE, *_SECRETS):
            return ()
        return tuple(_signer(raw, purpose, party) for raw in self._keys.get((purpose, party), ()))

    def with_new(self, purpose: Purpose, entropy: Entropy) -> "MemoryKeyring":
        """The same keyring with one more signing key of a service."""
        assert purpose in _SIGNING
        slot = (purpose, None)
        raws = (*self._keys.get(slot, ()), _secret(purpose, entropy))
        return MemoryKeyring({**self._keys, slot: raws}, self._identities)

    def without(self, ident: str) -> "MemoryKeyring":
        """The same keyring without the signing key of an id."""
        keys = {
            (purpose, party): [
                raw
                for raw in raws
                if purpose in _SECRETS or _signer(raw, purpose, party).public.ident != ident
            ]
            for (purpose, party), raws in self._keys.items()
        }
        return MemoryKeyring(keys, self._identities)

    def secret(self, purpose: Purpose) -> bytes:
        """The 32 secret bytes of `DATABASE`, `PEPPER` or `TLS_CA`. Raises NotFound."""
        if purpose not in _SECRETS or (purpose, None) not in self._keys:
            raise NotFound(f"this keyring holds no {purpose.value} secret")
        return self._keys[purpose, None][-1]

    def identities(self) -> tuple[str, ...]:
        """age identities that open sealed objects, or where their key is held; newest first."""
        return self._identities

    def __repr__(self) -> str:
        count = sum(len(raws) for raws in self._keys.values())
        return f"MemoryKeyring({count} keys, {len(self._identities)} identities)"


def _secret(purpose: Purpose, entropy: Entropy) -> bytes:
    """The secret of a new key."""
    if purpose in (Purpose.MODEL_SIGNING, Purpose.TLS_CA):
        return p256.secret_from(entropy.token(48))
    return entropy.token(32)


def _signer(raw: bytes, purpose: Purpose, party: Party | None) -> Signer:
    if purpose is Purpose.MODEL_SIGNING:
        return p256.signer_of(raw)
    key = Ed25519PrivateKey.from_private_bytes(raw)
    scheme = Scheme.SSHSIG if purpose is Purpose.PARTY else Scheme.ED25519
    public = PublicKey(
        key.public_key().public_bytes_raw(), purpose, scheme, party.value if party else None
    )
    return Signer(public, key.sign)


def is_place(identity: str) -> bool:
    """True if an identity of a keyring is no key but says where one is held."""
    return ":" in identity


def new_identities(entropy: Entropy) -> tuple[str, ...]:
    """New identities for a store, one of each family."""
    return (
        age.X25519Identity(entropy.token(32)).secret(),
        age.HybridIdentity(entropy.token(32)).secret(),
    )


def _parse_key(text: str, number: int) -> tuple[Slot, bytes]:
    try:
        slot, encoded = text.split(" ")
        purpose, _, party = slot.partition("/")
        raw = base64.b64decode(encoded, validate=True)
        return (Purpose(purpose), Party(party) if party else None), raw
    except ValueError:
        # The cause is left out on purpose: it may quote the line.
        raise Misconfigured(f"line {number} of the keyring is damaged") from None
