# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Tagged P-256 recipients: with another implementation, and against malformed stanzas."""

import os
from collections.abc import Callable

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.errors import Misconfigured, NotAllowed, NotProven
from bastide.crypto import age

KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
OTHER = ec.derive_private_key(0xFEDCBA0987654321, ec.SECP256R1())


def recipient_of(key: ec.EllipticCurvePrivateKey) -> age.TaggedRecipient:
    raw = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return age.TaggedRecipient(raw)


def identity_of(
    key: ec.EllipticCurvePrivateKey, asked: Callable[[bytes], None] = lambda share: None
) -> age.TaggedIdentity:
    def exchange(share: bytes) -> bytes:
        asked(share)
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), share)
        return key.exchange(ec.ECDH(), peer)

    return age.TaggedIdentity(recipient_of(key), exchange)


def test_what_another_implementation_seals_opens() -> None:
    text = str(recipient_of(KEY))
    assert text.startswith("age1tag1")
    foreign = pyrage.tag.Recipient.from_str(text)
    for size in (0, 1, 65_536, 200_001):
        data = os.urandom(size)
        sealed = pyrage.encrypt(data, [foreign])
        assert b"".join(age.open_stream([sealed], [identity_of(KEY)])) == data
    with pytest.raises(NotAllowed):
        list(age.open_stream([sealed], [identity_of(OTHER)]))


def test_it_stands_beside_an_age_recipient_that_others_open() -> None:
    owner = age.X25519Identity(bytes(range(32)))
    recipients = [age.parse_recipient(str(recipient_of(KEY))), owner.recipient()]
    sealed = b"".join(age.seal([b"weights"], recipients, os.urandom))
    assert b"".join(age.open_stream([sealed], [identity_of(KEY)])) == b"weights"
    theirs = pyrage.x25519.Identity.from_str(owner.secret())
    assert pyrage.decrypt(sealed, [theirs]) == b"weights"
    quantum = age.HybridIdentity(bytes(range(32))).recipient()
    with pytest.raises(Misconfigured, match="family"):
        list(age.seal([b""], [recipients[0], quantum], os.urandom))


def test_the_holder_is_asked_only_for_what_is_meant_for_it() -> None:
    asked: list[bytes] = []
    stanza = recipient_of(OTHER).wrap(bytes(16), os.urandom)
    identity = identity_of(KEY, asked.append)
    assert identity.unwrap([stanza]) is None
    assert not identity.fits([stanza])
    assert asked == []
    mine = recipient_of(KEY).wrap(bytes(range(16)), os.urandom)
    assert identity.unwrap([stanza, mine]) == bytes(range(16))
    assert len(asked) == 1


def test_malformed_stanzas_never_reach_the_holder() -> None:
    asked: list[bytes] = []
    identity = identity_of(KEY, asked.append)
    good = recipient_of(KEY).wrap(bytes(16), os.urandom)
    kind, tag, enc = good.arguments
    off_curve = b"\x04" + bytes(63) + b"\x01"
    forged = age.Stanza((kind, b64(recipient_of(KEY).tag(off_curve)), b64(off_curve)), good.body)
    for stanza in (
        age.Stanza((kind, tag), good.body),
        age.Stanza((kind, tag, enc, enc), good.body),
        age.Stanza((kind, tag[:-1], enc), good.body),
        age.Stanza((kind, tag, enc[:-2]), good.body),
        age.Stanza((kind, tag, enc), good.body[:-1]),
        age.Stanza((kind, tag, enc), good.body + b"\0"),
        forged,
    ):
        with pytest.raises(Misconfigured):
            identity.unwrap([stanza])
    assert asked == []
    changed = age.Stanza(good.arguments, bytes(32))
    assert identity.unwrap([changed]) is None


def test_a_changed_header_is_not_proven() -> None:
    sealed = bytearray(b"".join(age.seal([b"x"], [recipient_of(KEY)], os.urandom)))
    place = sealed.index(b"\n--- ") + 5
    sealed[place] ^= 1
    with pytest.raises((NotProven, Misconfigured)):
        list(age.open_stream([bytes(sealed)], [identity_of(KEY)]))


@pytest.mark.parametrize("raw", [b"", bytes(33), b"\x02" + b"\xff" * 32, bytes(65)])
def test_what_is_no_point_is_no_recipient(raw: bytes) -> None:
    with pytest.raises(Misconfigured):
        age.TaggedRecipient(raw)


def b64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).rstrip(b"=").decode()
