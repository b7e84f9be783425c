# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The key service `pkcs11`: a P-256 key that never leaves its token.

Objects are sealed to an age recipient of the type p256tag, which any age since 1.3 can seal to.
To open one the token makes one key agreement (CKM_ECDH1_DERIVE); the rest is public computation.
The file key is in this process's memory while an object is open; the token's key never is.
"""

import functools
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.adapters.keys.pkcs11_token import Place, Token
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.crypto import age
from bastide.crypto.signer import Signer
from bastide.ports import Entropy

__all__ = ["Pkcs11Keys", "destroy_key", "in_one_token", "make_key", "signer_of"]

_OCTET_STRING: Final = b"\x04\x41"  # CKA_EC_POINT is DER by the standard, bare with some tokens
_PROBE: Final = bytes(16)


class Pkcs11Keys:
    """Opens with a token's key. The place must name its recipient. Raises Misconfigured."""

    def __init__(self, place: Place, token: Token | None = None) -> None:
        recipient = age.parse_recipient(place.recipient) if place.recipient else None
        if not isinstance(recipient, age.TaggedRecipient):
            raise Misconfigured(
                f"the key {place.key} has no recipient of the type age1tag1...",
                fix="name the place that `bastide init` or `bastide store rotate` printed",
            )
        self._token = token or Token(place)
        self._recipient = recipient
        self._identity = age.TaggedIdentity(recipient, self._exchange)

    @property
    def name(self) -> str:
        """What the token says it is."""
        return self._token.name

    def recipients(self) -> tuple[age.Recipient, ...]:
        """The one that was pinned when the key was made."""
        return (self._recipient,)

    def unwrap(self, stanzas: Sequence[age.Stanza], what: str) -> bytes | None:
        """The file key, agreed inside the token. Raises NotProven if its key is another."""
        del what
        file_key = self._identity.unwrap(stanzas)
        if file_key is None and self._identity.fits(stanzas):
            # The tag says that the stanza is ours: chance makes one of four billion.
            self.health()
        return file_key

    def health(self) -> str:
        """Log in and open a header made for this purpose; says where the key comes from, too."""
        stanza = self._recipient.wrap(_PROBE, bytes)
        if self._identity.unwrap([stanza]) != _PROBE:
            raise NotProven(
                f"{self.name} is another key than the one that objects were sealed to",
                fix="put the right token in, or restore the token's backup",
            )
        return self._token.ask(lambda _: f"{self.name}; {_origin(self._token.key('PRIVATE_KEY'))}")

    def _exchange(self, share: bytes) -> bytes:
        return self._token.ask(lambda _: _agree(self._token.key("PRIVATE_KEY"), share, self.name))


def _doubts(key: Any, made_here: bool = False) -> list[str]:
    """Why a private key may be somewhere else, too, by what its token says of it.

    PKCS#11 has the token alone set CKA_LOCAL, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE, so
    who brings a key in and then locks it cannot claim them. A module that lies can: the attributes
    are said and not signed, and only a vendor's own attestation of the key would prove them.
    Of a key that we just had it make, what it does not say is no doubt.
    """
    from pkcs11 import Attribute

    wanted = {
        Attribute.LOCAL: (True, "was brought into its token: whoever made it may have a copy"),
        Attribute.EXTRACTABLE: (False, "can be taken out of its token"),
        Attribute.NEVER_EXTRACTABLE: (True, "could be taken out of its token at some time"),
        Attribute.SENSITIVE: (True, "can be read in its token"),
        Attribute.ALWAYS_SENSITIVE: (True, "could be read in its token at some time"),
    }
    return [
        said
        for name, (right, said) in wanted.items()
        if (found := _flag(key, name)) is not right and not (found is None and made_here)
    ]


def _flag(key: Any, name: Any) -> bool | None:
    """A property of a key; None if its token does not say."""
    import pkcs11

    try:
        return bool(key[name])
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, KeyError):
        return None


def _origin(key: Any) -> str:
    doubts = _doubts(key)
    if not doubts:
        return "the token says that the key was made in it and never could leave"
    return f"the token says that the key {'; that it '.join(doubts)}"


def _agree(key: Any, share: bytes, name: str) -> bytes:
    """The secret that a token's key and another's share make."""
    import pkcs11
    from pkcs11 import Attribute, KeyType

    if not isinstance(key, pkcs11.DeriveMixin):
        raise Misconfigured(f"{name} makes no key agreements", fix="name another `object`")
    derived = key.derive_key(
        KeyType.GENERIC_SECRET,
        256,
        mechanism_param=(pkcs11.KDF.NULL, None, share),
        store=False,
        capabilities=pkcs11.MechanismFlag(0),
        template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
    )
    try:
        return derived[Attribute.VALUE]
    finally:
        derived.destroy()


def in_one_token(first: str, second: str) -> bool:
    """True if one session to one token opens with the keys of both places.

    Labels do not tell tokens apart, and serial numbers are what a module says. Who has the first
    key's token has the second's then. Raises as `Token.ask` does.
    """
    places = [Place.parse(text) for text in (first, second)]
    token = Token(places[0])

    def opens(session: Any, place: Place) -> bool:
        import pkcs11
        from pkcs11 import Attribute

        private = {Attribute.LABEL: place.key, Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
        recipient = age.parse_recipient(place.recipient)
        assert isinstance(recipient, age.TaggedRecipient)
        stanza = recipient.wrap(_PROBE, bytes)
        for key in session.get_objects(private):
            agree = functools.partial(_agree, key, name=token.name)
            if age.TaggedIdentity(recipient, agree).unwrap([stanza]) == _PROBE:
                return True
        return False

    return token.ask(lambda session: all(opens(session, place) for place in places))


def make_key(text: str, entropy: Entropy, purpose: str = "derive") -> str:
    """Make the key that a PKCS#11 URI names, if there is none; return the URI with its recipient.

    `purpose` is `derive` for a store's key and `sign` for a signer's: one key never does both.
    Raises as `Token.ask` does, and Misconfigured for a key that was there and of which the token
    does not say that it was made inside and never was outside; and for a new one of which it says
    the contrary, which is destroyed again.
    """
    import pkcs11
    from pkcs11 import Attribute, KeyType, MechanismFlag
    from pkcs11.util.ec import encode_named_curve_parameters

    place = Place.parse(text)
    token = Token(place)

    name = entropy.token(8)

    def ensure(session: Any) -> bool:
        label = {Attribute.LABEL: place.key, Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
        if any(True for _ in session.get_objects(label)):
            return False
        writing = session.token.open(rw=True)  # the login of this process holds for it, too
        try:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            writing.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
                id=name,
                label=place.key,
                store=True,
                capabilities=MechanismFlag.SIGN if purpose == "sign" else MechanismFlag.DERIVE,
                private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
        finally:
            writing.close()
        return True

    made = token.ask(ensure)
    if said := token.ask(lambda _: _doubts(token.key("PRIVATE_KEY"), made)):
        if made:
            token.ask(lambda session: _destroy(session, {Attribute.ID: name}))
            token.forget()
        raise Misconfigured(
            f"the key {place.key} {said[0]}",
            reasons=said[1:],
            fix="name another `object`, and let its key be made there",
        )
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _public(token))
    raw = point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    place = place.pinned(str(age.TaggedRecipient(raw)))
    if purpose == "derive":
        Pkcs11Keys(place, token).health()
    return str(place)


def _destroy(session: Any, which: dict[Any, Any]) -> None:
    writing = session.token.open(rw=True)
    try:
        for row in [*writing.get_objects(which)]:
            row.destroy()
    finally:
        writing.close()


def destroy_key(text: str) -> None:
    """Delete the key pair that a place names from its token; one that is gone stays so.

    Raises as `Token.ask` does, and NotProven if the token holds another key under that name, or
    still has the key afterwards.
    """
    from pkcs11 import Attribute

    place = Place.parse(text)
    token = Token(place)
    Pkcs11Keys(place, token)  # the place must say which key it means

    def found(session: Any) -> list[Any]:
        return [*session.get_objects({Attribute.LABEL: place.key})]

    def end(session: Any) -> None:
        if found(session):
            _destroy(session, {Attribute.LABEL: place.key})

    if token.ask(found):
        Pkcs11Keys(place, token).health()  # NotProven if it is not the one that is meant
    token.ask(end)
    token.forget()
    if token.ask(found):
        raise NotProven(f"the token {place.token} still holds the key {place.key}")


def signer_of(text: str, purpose: Purpose, party: str | None = None) -> Signer:
    """The ECDSA P-256 signer of a token's key; the message is hashed here, signed there."""
    import pkcs11

    token = Token(Place.parse(text))
    public = PublicKey(_public(token), purpose, Scheme.ECDSA_P256, party)

    def sign(message: bytes) -> bytes:
        digest = sha256(message).digest()
        raw = token.ask(
            lambda _: token.key("PRIVATE_KEY").sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        )
        return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))

    return Signer(public, sign)


def _public(token: Token) -> bytes:
    """The public key as an uncompressed point, 65 bytes."""
    from pkcs11 import Attribute

    point = token.ask(lambda _: bytes(token.key("PUBLIC_KEY")[Attribute.EC_POINT]))
    return point.removeprefix(_OCTET_STRING) if len(point) == 67 else point
