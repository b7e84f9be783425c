# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ID tokens of OpenID Connect: what must hold before a word of one is believed.

After OpenID Connect Core 1.0, section 3.1.3.7, and RFC 8725. See tests/paths/test_login_attacks.py.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bastide.core.errors import NotProven
from bastide.crypto.base64url import unb64url

__all__ = ["Expected", "read_id_token"]

_LEEWAY_S: Final = 60  # between the issuer's clock and ours
_AGE_S: Final = 600  # what was issued longer ago is not the answer to this login
_BYTES_MAX: Final = 16_384
_RSA_BITS_MIN: Final = 2_048
_FAMILY: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "ES384": "EC", "Ed25519": "OKP"}
_PUBLIC: Final = ("kty", "crv", "n", "e", "x", "y")
_CURVE: Final = {"ES256": "P-256", "ES384": "P-384", "Ed25519": "Ed25519"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. pins: thumbprints of keys, or empty. nonce: None if none was sent."""

    issuer: str
    client: str
    algorithms: Sequence[str]
    pins: Sequence[str]
    nonce: str | None


def read_id_token(
    token: str, keys: Mapping[str, Any], expected: Expected, now_s: float
) -> dict[str, Any]:
    """Return the claims of an ID token. Raises NotProven, with the rule that it breaks.

    keys: the issuer's JWK set, fetched for this login.
    """
    # 1. The header: an algorithm that was signed for, of a token for logins, nothing critical.
    header = _header(token)
    algorithm = header.get("alg")
    if algorithm not in expected.algorithms or algorithm not in _FAMILY:
        raise NotProven(f"the ID token's algorithm is {algorithm!r}, not one that was agreed on")
    if header.get("typ", "JWT") != "JWT" or "crit" in header:
        raise NotProven("the token is no ID token by its header")
    # 2. The signature, by exactly one key of the issuer that is for this algorithm.
    claims = _signed(token, _key(keys, header.get("kid"), algorithm, expected.pins), algorithm)
    # 3. It is by this issuer, for us alone, about somebody.
    if claims.get("iss") != expected.issuer:
        raise NotProven(f"the ID token is by {claims.get('iss')!r}, not by {expected.issuer!r}")
    if claims.get("aud") not in (expected.client, [expected.client]):
        raise NotProven("the ID token is for another client, or for others too")
    if claims.get("azp", expected.client) != expected.client:
        raise NotProven("the ID token was given to another client")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise NotProven("the ID token is about nobody")
    # 4. It is of now.
    _verify_times(claims, now_s)
    # 5. It answers this login and no other.
    nonce = claims.get("nonce", "")
    if expected.nonce is not None and (
        not isinstance(nonce, str)
        or not hmac.compare_digest(nonce.encode(), expected.nonce.encode())
    ):
        raise NotProven("the ID token is the answer to another login: its nonce is not ours")
    return claims


def _verify_times(claims: Mapping[str, Any], now_s: float) -> None:
    begins = claims.get("nbf", 0)
    for name, value in (("exp", claims.get("exp")), ("iat", claims.get("iat")), ("nbf", begins)):
        if type(value) not in (int, float):
            raise NotProven(f"the ID token has no time {name}")
    if now_s >= claims["exp"] + _LEEWAY_S:
        raise NotProven("the ID token has expired")
    if max(claims["iat"], begins) > now_s + _LEEWAY_S:
        raise NotProven("the ID token is of the future: compare the clocks")
    if now_s > claims["iat"] + _AGE_S:
        raise NotProven("the ID token was issued long ago: it is not the answer to this login")


def _header(token: str) -> dict[str, Any]:
    if len(token) > _BYTES_MAX or token.count(".") != 2:
        raise NotProven("the ID token is no signed JWT")
    try:
        header = json.loads(unb64url(token.partition(".")[0]))
    except (ValueError, RecursionError) as error:
        raise NotProven("the ID token has no header") from error
    if not isinstance(header, dict):
        raise NotProven("the ID token has no header")
    return header


def _key(keys: Mapping[str, Any], kid: Any, algorithm: str, pins: Sequence[str]) -> Any:
    """The one key of a set for a header."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    rows = keys.get("keys")
    found = []
    for row in rows if isinstance(rows, list) else []:
        fits = (
            isinstance(row, dict)
            and row.get("kty") == _FAMILY[algorithm]
            and row.get("crv") == _CURVE.get(algorithm)
            and row.get("alg", algorithm) == algorithm
            and row.get("use", "sig") == "sig"
            and (kid is None or row.get("kid") == kid)
        )
        if fits:
            # Its public numbers only: what else a key says of itself decides nothing.
            found.append({name: row[name] for name in _PUBLIC if name in row})
    if len(found) != 1:
        raise NotProven(
            f"{len(found)} keys of the issuer can be the one that signed the ID token",
            fix="one must be; did it change its keys a moment ago? Log in again",
        )
    try:
        key = JWKRegistry.import_key(found[0])
        if algorithm in ("RS256", "PS256") and _bits(found[0]) < _RSA_BITS_MIN:
            raise NotProven(f"the issuer's key has less than {_RSA_BITS_MIN} bits")
        mark = key.thumbprint()
    except (JoseError, ValueError, TypeError) as error:
        raise NotProven(f"the issuer's key cannot be read: {error}") from error
    if pins and mark not in pins:
        raise NotProven(
            f"the issuer signed with the key {mark}, which is not one of those that were pinned",
            fix="if it changed its keys, two parties sign the new thumbprints",
        )
    return key


def _bits(row: Mapping[str, Any]) -> int:
    return int.from_bytes(unb64url(row["n"])).bit_length()


def _signed(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        return dict(jwt.decode(token, key, algorithms=[algorithm]).claims)
    except (JoseError, ValueError, RecursionError) as error:
        raise NotProven("the ID token's signature does not hold") from error
