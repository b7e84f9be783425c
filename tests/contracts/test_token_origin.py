# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A key that was outside of its token is none that the owner can deny.

The operator makes a key, keeps a copy, brings it into the token and locks it there. Broken once to
prove the tests: with a check of CKA_EXTRACTABLE alone, as it was, the first two pass unnoticed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys import pkcs11 as module
from bastide.adapters.keys.pkcs11 import Pkcs11Keys, _public, make_key
from bastide.adapters.keys.pkcs11_token import Place, Token
from bastide.core.errors import Misconfigured
from bastide.crypto import age
from contracts.softhsm import SoftToken, make_token, needs_softhsm

pytestmark = needs_softhsm

ENTROPY = SystemEntropy()
CURVE = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return make_token(f"o{ENTROPY.token(4).hex()}", tmp_path / "pin")


def bring_in(token: SoftToken, **private: bool) -> None:
    """Bring a key into the token whose secret is known outside."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    x, y = numbers.public_numbers.x, numbers.public_numbers.y
    point = b"\x04\x41\x04" + x.to_bytes(32) + y.to_bytes(32)
    both: dict[Any, Any] = {
        Attribute.LABEL: "store",
        Attribute.TOKEN: True,
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.DERIVE: True,
        **CURVE,
    }
    public = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.EC_POINT: point}
    secret = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.VALUE: numbers.private_value.to_bytes(32),
        Attribute.PRIVATE: True,
        **_flags(private),
    }

    def write(session: Any) -> None:
        session.create_object(both | public)
        session.create_object(both | secret)

    _writing(token, write)


def make_inside(token: SoftToken, **private: bool) -> None:
    _writing(
        token,
        lambda session: session.create_domain_parameters(
            KeyType.EC, CURVE, local=True
        ).generate_keypair(
            label="store",
            store=True,
            capabilities=MechanismFlag.DERIVE,
            private_template=_flags(private),
        ),
    )


def _writing(token: SoftToken, deed: Callable[[Any], Any]) -> None:
    def inside(session: Any) -> None:
        writing = session.token.open(rw=True)
        try:
            deed(writing)
        finally:
            writing.close()

    Token(Place.parse(token.place())).ask(inside)


def _flags(private: dict[str, bool]) -> dict[Any, bool]:
    return {Attribute[name.upper()]: value for name, value in private.items()}


@pytest.mark.attacks("C289")
@pytest.mark.parametrize(
    ("made", "flags", "said"),
    [
        (bring_in, {"sensitive": True, "extractable": False}, "whoever made it may have a copy"),
        (bring_in, {"sensitive": False, "extractable": True}, "whoever made it may have a copy"),
        (make_inside, {"sensitive": True, "extractable": True}, "can be taken out of its token"),
        (make_inside, {"sensitive": False, "extractable": False}, "can be read in its token"),
    ],
)
def test_a_key_that_may_be_elsewhere_is_not_taken(
    token: SoftToken, made: Any, flags: dict[str, bool], said: str
) -> None:
    made(token, **flags)
    with pytest.raises(Misconfigured, match=said):
        make_key(token.place(), ENTROPY)


def test_a_key_that_was_made_inside_says_so(token: SoftToken) -> None:
    place = Place.parse(make_key(token.place(), ENTROPY))
    told = Pkcs11Keys(place).health()
    assert told.endswith("the token says that the key was made in it and never could leave")
    assert "software twin" in told
    assert make_key(token.place(), ENTROPY) == str(place), "it is taken again"


@pytest.mark.attacks("C289")
def test_a_key_from_before_is_told(token: SoftToken) -> None:
    """A home whose key was taken before this was looked at goes on, and shows it."""
    bring_in(token, sensitive=True, extractable=False)
    point = _public(Token(Place.parse(token.place())))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    recipient = age.TaggedRecipient(key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint))
    place = Place.parse(token.place()).pinned(str(recipient))
    assert "whoever made it may have a copy" in Pkcs11Keys(place).health()


@pytest.mark.attacks("C289")
def test_a_new_key_of_which_the_token_says_less_is_taken(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We saw it being made. One that was there must be vouched for, also if we made it once."""
    said = module._flag
    silent = (Attribute.LOCAL, Attribute.NEVER_EXTRACTABLE)
    monkeypatch.setattr(
        module, "_flag", lambda key, name: None if name in silent else said(key, name)
    )
    make_key(token.place(), ENTROPY)
    with pytest.raises(Misconfigured, match="may have a copy"):
        make_key(token.place(), ENTROPY)


@pytest.mark.attacks("C289")
def test_a_new_key_that_can_leave_is_destroyed_again(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = module._flag
    monkeypatch.setattr(
        module, "_flag", lambda key, name: name == Attribute.EXTRACTABLE or said(key, name)
    )
    with pytest.raises(Misconfigured, match="can be taken out"):
        make_key(token.place(), ENTROPY)
    monkeypatch.undo()
    place = Place.parse(token.place())
    assert not Token(place).ask(lambda session: [*session.get_objects({Attribute.LABEL: "store"})])
    make_key(token.place(), ENTROPY)
