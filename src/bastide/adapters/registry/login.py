# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Logging in to a registry: a password, or the token that it buys (distribution-spec, "token")."""

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from bastide.core.errors import Misconfigured, NotAllowed

__all__ = ["Login", "bearer_token"]

_PARAMETER: Final = re.compile(r'(realm|service|scope)="([^"]*)"', re.IGNORECASE)

Fetch = Callable[[str, Mapping[str, str]], bytes]  # URL and headers; the body of a 200


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, which is in no representation of it."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Login":
        """Read NAME:PASSWORD, with a line's end or without. Raises Misconfigured."""
        user, colon, password = text.strip().partition(":")
        if not colon or not user or not password or "\n" in password:
            raise Misconfigured("the login is not NAME:PASSWORD", fix="one line, one colon")
        return cls(user, password)

    def basic(self) -> str:
        """The value of the header `Authorization` (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def bearer_token(
    challenge: str, hosts: Collection[str], plain: bool, login: Login | None, fetch: Fetch
) -> str:
    """Get a token as a challenge asks; the value of the header `Authorization`.

    hosts: who may be asked. plain: whether without TLS. Raises NotAllowed for another host, or if
    there is no token in what comes.
    """
    asked = {name.lower(): value for name, value in _PARAMETER.findall(challenge)}
    realm = urlsplit(asked.pop("realm", ""))
    if realm.scheme != "https" and not (plain and realm.scheme == "http"):
        raise NotAllowed("the registry's token service has no TLS, and no password goes there")
    if realm.netloc not in hosts:
        raise NotAllowed(
            f"the registry sends the login to another host: {realm.netloc}",
            fix=f"if it is the registry's own: --token-host {realm.netloc}",
        )
    query = "&".join(filter(None, [realm.query, urlencode(asked)]))
    head = {} if login is None else {"Authorization": login.basic()}
    data = fetch(realm._replace(query=query).geturl(), head)
    try:
        found = json.loads(data)
        token = found.get("token") or found["access_token"]
    except (ValueError, LookupError, AttributeError, RecursionError) as error:
        raise NotAllowed(f"{realm.netloc} gave no token") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise NotAllowed(f"{realm.netloc} gave no token")
    return f"Bearer {token}"
