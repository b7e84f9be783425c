# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""People: who may log in, at which issuer of OpenID Connect, and who of its subjects is whom here.

Two parties sign it (`people/v1`). A person has one party and no second: `sub`, which an issuer
never gives away again, says who it is. A group that is named must be in the ID token too, so that
the issuer can take a person out; no group lets anybody in who is not listed.
"""

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bastide.core.errors import Misconfigured, NotAllowed
from bastide.core.limits import LOGIN_MINUTES_MAX
from bastide.core.party import Party

__all__ = ["ALGORITHMS", "People", "Person", "Provider", "origin_of", "verify_url"]

# Signatures that need the issuer's private key; never HS*, whose key we would share, nor none.
ALGORITHMS: Final = ("Ed25519", "ES256", "ES384", "PS256", "RS256")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HOST = re.compile(r"[a-z0-9.-]{1,253}(:[0-9]{1,5})?")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_SUBJECT_MAX = 255  # OpenID Connect Core 1.0, section 2
_PEOPLE_MAX = 100  # with its signatures the statement must fit into an entry


@dataclass(frozen=True, slots=True)
class Provider:
    """An issuer, and what of it is believed.

    keys: RFC 7638 thumbprints of its keys, if they are pinned; empty for those that it publishes.
    hosts: other hosts at which it may have endpoints. groups_claim: which claim lists groups.
    """

    issuer: str
    client: str
    algorithms: tuple[str, ...] = ("RS256",)
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("openid",)
    groups_claim: str = "groups"
    minutes: int = 60

    def __post_init__(self) -> None:
        verify_url(self.issuer, "issuer")
        if not self.client:
            raise Misconfigured("client is empty", place="client", fix='client = "bastide"')
        if not self.algorithms or set(self.algorithms) - set(ALGORITHMS):
            raise Misconfigured(
                f"algorithms = {list(self.algorithms)}",
                place="algorithms",
                fix=f"some of: {', '.join(ALGORITHMS)}",
            )
        if not all(map(_THUMBPRINT.fullmatch, self.keys)):
            raise Misconfigured("keys: not RFC 7638 thumbprints", place="keys")
        if not all(map(_HOST.fullmatch, self.hosts)):
            raise Misconfigured("hosts: not names like keys.example.org", place="hosts")
        if "openid" not in self.scopes or any(" " in scope for scope in self.scopes):
            raise Misconfigured("scopes: without openid", place="scopes", fix='["openid"]')
        if not 1 <= self.minutes <= LOGIN_MINUTES_MAX:
            raise Misconfigured(f"minutes is not 1 to {LOGIN_MINUTES_MAX}", place="minutes")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        lists = ("algorithms", "keys", "hosts", "scopes")
        rows = {name: getattr(self, name) for name in self.__slots__}
        return {name: list(value) if name in lists else value for name, value in rows.items()}

    def signed_endpoint(self, url: Any, name: str) -> str:
        """Return an endpoint of the issuer's own host, or of one that was signed too.

        Raises Misconfigured.
        """
        if not isinstance(url, str):
            raise Misconfigured(f"the issuer names no {name}", fix="ask who runs it")
        verify_url(url, name)
        host = urllib.parse.urlsplit(url).netloc
        if origin_of(url) != origin_of(self.issuer) and host not in self.hosts:
            raise Misconfigured(
                f"the issuer's {name} is at {host}, which nobody signed",
                place="hosts",
                fix=f"if it is the issuer's: hosts = [{host!r}], signed again",
            )
        return url


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in. group: what the issuer must say too; empty for nothing."""

    name: str
    subject: str
    party: Party
    group: str = ""


@dataclass(frozen=True, slots=True)
class People:
    """A provider and its people; without a provider nobody logs in, and nobody has to."""

    provider: Provider | None
    people: tuple[Person, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "People":
        """Read `provider` and `person`, as a file or a statement has them. Raises Misconfigured."""
        _known(value, ("provider", "person"), "")
        told, rows = value.get("provider"), value.get("person", [])
        if not isinstance(rows, list) or len(rows) > _PEOPLE_MAX:
            raise Misconfigured(f"person: not a list of at most {_PEOPLE_MAX}", place="person")
        provider = None
        if told is not None:
            row = _known(told, Provider.__slots__, "provider", ("issuer", "client"))
            given: dict[str, Any] = {
                name: tuple(item) if isinstance(item, list) else item for name, item in row.items()
            }
            provider = Provider(**given)
        people = tuple(_person(row, f"person {number}") for number, row in enumerate(rows, 1))
        for what in ("name", "subject"):
            values = [getattr(person, what) for person in people]
            doubled = sorted({one for one in values if values.count(one) > 1})
            if doubled:
                raise Misconfigured(
                    f"two people have the {what} {doubled[0]!r}",
                    place=f"person.{what}",
                    fix="a person has one party",
                )
        if people and provider is None:
            raise Misconfigured("people without a provider", place="provider")
        return cls(provider, people)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        rows = [{name: getattr(one, name) for name in Person.__slots__} for one in self.people]
        told = None if self.provider is None else self.provider.to_json()
        return {"provider": told, "person": [{**row, "party": str(row["party"])} for row in rows]}

    def named(self, claims: Mapping[str, Any]) -> Person:
        """Who the claims of a verified ID token speak of. Raises NotAllowed."""
        found = [person for person in self.people if person.subject == claims["sub"]]
        if self.provider is None or not found:
            raise NotAllowed(
                "the issuer knows you, but you are not enrolled here",
                reasons=(f"no person has the subject {claims['sub']!r}",),
                fix="two parties sign a list with you in it: `bastide people propose`",
            )
        (person,) = found
        groups = claims.get(self.provider.groups_claim)
        listed = isinstance(groups, Sequence) and not isinstance(groups, str) and groups
        if person.group and person.group not in (listed or ()):
            raise NotAllowed(
                f"{person.name} is not in the group {person.group!r} at the issuer",
                reasons=(f"the claim {self.provider.groups_claim!r} does not list it",),
                fix="ask who runs the issuer; the claim must be in the ID token",
            )
        return person


def verify_url(url: str, name: str) -> None:
    """Check that a URL is HTTPS, or HTTP to this machine, and plain. Raises Misconfigured."""
    try:
        parts = urllib.parse.urlsplit(url)
        right = parts.port is None or parts.port > 0
    except ValueError:
        right, parts = False, urllib.parse.urlsplit("")
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    right = right and (parts.scheme == "https" or local) and bool(parts.hostname)
    if not right or parts.username is not None or parts.fragment or not url.isascii():
        raise Misconfigured(
            f"{name}: {url!r} is no https:// URL", place=name, fix="https://login.example.org"
        )


def origin_of(url: str) -> tuple[str, str]:
    """Scheme and host of a URL."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _person(row: Any, place: str) -> Person:
    told = _known(row, Person.__slots__, place, ("name", "subject", "party"))
    name, subject, party = told["name"], told["subject"], told["party"]
    if not _NAME.fullmatch(name):
        raise Misconfigured(f"{place}: the name {name!r}", place=place, fix='name = "anna"')
    if not 0 < len(subject) <= _SUBJECT_MAX or not subject.isascii() or "@" in subject:
        # The ledger keeps it for ever.
        fix = "the issuer's `sub` of the person, which is no address of theirs"
        raise Misconfigured(f"{place}: the subject {subject!r}", place=place, fix=fix)
    if party not in set(Party):
        raise Misconfigured(f"{place}: the party {party!r}", place=place, fix=", ".join(Party))
    return Person(name, subject, Party(party), told.get("group", ""))


def _known(
    row: Any, names: Sequence[str], place: str, needed: Sequence[str] = ()
) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise Misconfigured(f"{place or 'people'}: not a table", place=place)
    for name, value in row.items():
        if name not in names:
            fix = f"known: {', '.join(names)}"
            raise Misconfigured(f"{place}: unknown key {name!r}", place=place, fix=fix)
        wanted = _KINDS.get(name, str)
        if name in ("provider", "person"):
            continue
        if type(value) is not wanted or (
            wanted is list and not all(isinstance(one, str) for one in value)
        ):
            raise Misconfigured(f"{place}.{name}: not of type {wanted.__name__}", place=place)
    for name in needed:
        if name not in row:
            raise Misconfigured(f"{place}: {name} is missing", place=place)
    return dict(row)


_KINDS: Final[dict[str, type]] = {
    "algorithms": list, "keys": list, "hosts": list, "scopes": list, "minutes": int,
}  # fmt: skip
