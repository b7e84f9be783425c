# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Log in at the issuer that two parties signed for: by the browser, or by a code on another device.

After OAuth 2.0 for native apps (RFC 8252), PKCE (RFC 7636), the issuer in the answer (RFC 9207),
the device flow (RFC 8628) and OpenID Connect. Only `bastide login` connects to the issuer, and
only to hosts that are in the signed list. Tokens are read once and kept nowhere.
"""

import hmac
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.extras import require_extra
from bastide.app.sessions import Listed, newest_people, open_session
from bastide.core.errors import NotAllowed, NotFound, NotProven, Unavailable
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.party import Principal
from bastide.core.people import Provider
from bastide.core.subject import Digest
from bastide.crypto.base64url import b64url
from bastide.crypto.id_token import Expected, read_id_token

__all__ = ["Browser", "begin_login", "log_in_by_browser", "log_in_by_device"]

Ask = Callable[[str, Mapping[str, str] | None], tuple[int, dict[str, Any]]]
_WAIT_S = 300.0  # that a person may take
_POLL_S = 5  # RFC 8628, section 3.2: where the issuer does not say
_POLL_MAX_S = 60
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_TEXT_MAX = 200


class Browser(Protocol):
    """Where the browser brings the answer."""

    @property
    def url(self) -> str:
        """The redirect URI."""
        ...

    def wait(
        self, accept: Callable[[dict[str, str]], bool], going_on: Callable[[], bool]
    ) -> dict[str, str]:
        """The first answer that is accepted. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Login:
    """A list of people, and what its issuer says of itself."""

    listed: Listed
    provider: Provider
    told: Mapping[str, Any]
    ask: Ask

    def endpoint(self, name: str) -> str:
        """An endpoint. Raises Misconfigured if it is elsewhere than was signed."""
        return self.provider.signed_endpoint(self.told.get(name), name)


def begin_login(env: Environment, ask: Ask) -> Login:
    """Ask the issuer what it is. Raises NotFound if nobody logs in here, NotProven, Unavailable."""
    require_extra("oidc")  # before anybody is sent to a browser
    listed = newest_people(env.ledger)
    if listed is None or (provider := listed.people.provider) is None:
        raise NotFound(
            "nobody logs in here: no list of people is in force",
            fix="`bastide people propose FILE`; until then keys say who one is",
        )
    # Discovery 1.0, section 4: below the issuer's own path.
    url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
    status, told = ask(url, None)
    if status != 200:
        raise Unavailable(f"the issuer answers {url} with {status}")
    if told.get("issuer") != provider.issuer:
        raise NotProven(f"{provider.issuer!r} calls itself {_shown(told.get('issuer'))}")
    return Login(listed, provider, told, ask)


def log_in_by_browser(
    env: Environment, login: Login, browser: Browser, show: Callable[[str], None]
) -> Evidence:
    """Let the browser bring a code, and take its ID token. `show` gets the URL to open.

    Raises NotAllowed for a person who is not enrolled, NotProven for an answer that does not hold.
    """
    state, nonce, verifier = (b64url(env.entropy.token(32)) for _ in range(3))
    endpoint = login.endpoint("authorization_endpoint")
    query = {
        "response_type": "code",
        "client_id": login.provider.client,
        "redirect_uri": browser.url,
        "scope": " ".join(login.provider.scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": b64url(Digest.of(verifier.encode()).raw),
        "code_challenge_method": "S256",
    }
    joint = "&" if urllib.parse.urlsplit(endpoint).query else "?"
    show(f"{endpoint}{joint}{urllib.parse.urlencode(query)}")
    ends = env.clock.monotonic() + _WAIT_S
    # Another state is another login's, or a forger's: it does not end ours either.
    answer = browser.wait(
        lambda given: hmac.compare_digest(given.get("state", "").encode(), state.encode()),
        lambda: env.clock.monotonic() < ends,
    )
    _verify_answer(login, answer)
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": browser.url,
        "client_id": login.provider.client,
        "code_verifier": verifier,
    }
    status, row = login.ask(login.endpoint("token_endpoint"), form)
    if status != 200:
        raise NotProven(f"the issuer gives no token for the code: {_error(row)}")
    return _enter(env, login, row, nonce, "code")


def log_in_by_device(
    env: Environment,
    login: Login,
    show: Callable[[str, str], None],
    sleep: Callable[[float], None],
) -> Evidence:
    """Let a person confirm a code elsewhere, and take the ID token.

    `show` gets the URL to open and the code to compare. Raises as `log_in_by_browser`.
    """
    if "device_authorization_endpoint" not in login.told:
        raise NotFound("the issuer has no device flow", fix="`bastide login` without --device")
    form = {"client_id": login.provider.client, "scope": " ".join(login.provider.scopes)}
    status, row = login.ask(login.endpoint("device_authorization_endpoint"), form)
    code, user, where = (row.get(name) for name in ("device_code", "user_code", "verification_uri"))
    texts = isinstance(code, str) and isinstance(user, str)
    if status != 200 or not texts:
        raise NotProven(f"the issuer begins no device flow: {_error(row)}")
    show(login.provider.signed_endpoint(where, "verification_uri"), _shown(user))
    wait_s, ends = row.get("interval", _POLL_S), env.clock.monotonic() + _WAIT_S
    if type(wait_s) not in (int, float) or not 0 < wait_s <= _POLL_MAX_S:
        wait_s = _POLL_S
    form = {"grant_type": _DEVICE_GRANT, "device_code": code, "client_id": login.provider.client}
    while env.clock.monotonic() < ends:
        sleep(wait_s)
        status, row = login.ask(login.endpoint("token_endpoint"), form)
        if status == 200:
            return _enter(env, login, row, None, "device")
        if row.get("error") == "slow_down":
            wait_s = min(wait_s + 5, _POLL_MAX_S)
        elif row.get("error") != "authorization_pending":
            raise NotAllowed(f"the login was not confirmed: {_error(row)}")
    raise Unavailable("the login was not confirmed in time", fix="bastide login --device")


def _verify_answer(login: Login, answer: Mapping[str, str]) -> None:
    """Check who answered, then what. Raises NotProven, NotAllowed."""
    # RFC 9207, section 2.4: before anything else, or another issuer's code goes to ours.
    says = login.told.get("authorization_response_iss_parameter_supported") is True
    issuer = answer.get("iss")
    if issuer != login.provider.issuer and (says or issuer is not None):
        raise NotProven(f"the answer is by {_shown(issuer)}, not by {login.provider.issuer!r}")
    if "error" in answer:
        raise NotAllowed(f"the issuer refused the login: {_error(answer)}")
    if not answer.get("code"):
        raise NotProven("the answer has no code")


def _enter(
    env: Environment, login: Login, row: Mapping[str, Any], nonce: str | None, how: str
) -> Evidence:
    provider, token = login.provider, row.get("id_token")
    if not isinstance(token, str):
        raise NotProven("the issuer's answer has no ID token")
    status, keys = login.ask(login.endpoint("jwks_uri"), None)
    if status != 200:
        raise Unavailable(f"the issuer's keys cannot be read: {status}")
    expected = Expected(provider.issuer, provider.client, provider.algorithms, provider.keys, nonce)
    now_ms = env.clock.now_ms()
    claims = read_id_token(token, keys, expected, now_ms / 1000)
    person = login.listed.people.named(claims)
    # The policies decide whether this person may come in, as they decide all else.
    who = Principal(person.name, frozenset({person.party}))
    inside = replace(env, principal=who, claim=None)
    require(inside, "login")
    evidence = env.signer(Purpose.EVIDENCE)
    return open_session(
        env.home, env.ledger, evidence, env.entropy, login.listed, person, how, now_ms
    )


def _error(row: Mapping[str, Any]) -> str:
    told = [row[name] for name in ("error", "error_description") if name in row]
    return ", ".join(map(_shown, told)) or "it does not say why"


def _shown(value: object) -> str:
    """What somebody else wrote, fit for a terminal."""
    return "".join(one if one.isprintable() else "?" for one in str(value)[:_TEXT_MAX])
