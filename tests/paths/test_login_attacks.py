# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Attacks on a login, by an issuer that lies and by browsers that bring what they should not.

Broken once to prove the tests: without the check of `iss` in the answer, of the issuer's name in
its metadata, of the hosts of endpoints, of the nonce, of the state, and with the algorithm that the
token names, they fail.
"""

import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.enrolment import add_signature
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.login import begin_login, log_in_by_browser
from bastide.app.people import apply_people, propose_people
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotProven, Refused
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.people import People
from bastide.core.subject import Digest, Subject
from bastide.crypto.base64url import b64url
from paths.demo import Demo
from paths.issuer_rig import Liar, lying_issuer, new_key, visit

PERSON = {"name": "anna", "subject": "u-1001", "party": "operator", "group": "operators"}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    demo = Demo(tmp_path_factory.mktemp("attacks") / "home")
    demo.json("init", "--parties", "separate")
    return demo


@pytest.fixture
def liar() -> Iterator[Liar]:
    with lying_issuer() as liar:
        yield liar


@pytest.fixture
def env(founded: Demo, liar: Liar) -> Iterator[Environment]:
    """An environment whose people log in at the issuer that lies."""
    home = Home(founded.home)
    with open_environment(home, read_passphrase(home), signer(founded.home, "operator")) as env:
        enrol(env, {"issuer": liar.url, "client": "bastide"})
        yield env


def signer(root: Path, party: str) -> Any:
    return wiring.read_party_key(root / "keys" / f"{party}.key", party, str, print)


def enrol(env: Environment, provider: dict[str, Any]) -> None:
    people = People.from_json({"provider": provider, "person": [PERSON]})
    envelope = propose_people(env, people, "a test", signer(env.home.root, "operator"))
    envelope = add_signature(envelope, signer(env.home.root, "guardian"))
    apply_people(env, json.dumps(envelope.to_json()))


def log_in(env: Environment, liar: Liar, show: Callable[[str], None] | None = None) -> Evidence:
    with wiring.loopback() as browser:
        return log_in_by_browser(
            env, begin_login(env, wiring.ask_issuer), browser, show or liar.bring
        )


def test_a_right_answer_is_a_login(env: Environment, liar: Liar) -> None:
    assert log_in(env, liar).body["person"] == "anna"
    assert liar.asked["code_challenge_method"] == "S256"
    assert "code_verifier" not in liar.asked


NOW = int(time.time())
TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "another audience": ({"aud": "other"}, "for another client"),
    "one audience more": ({"aud": ["bastide", "other"]}, "for another client"),
    "no audience": ({"aud": None}, "for another client"),
    "another party it was given to": ({"azp": "other"}, "given to another client"),
    "another issuer": ({"iss": "https://evil.example"}, "is by 'https://evil.example'"),
    "expired": ({"exp": NOW - 120}, "has expired"),
    "no end": ({"exp": None}, "no time exp"),
    "an end that is no number": ({"exp": True}, "no time exp"),
    "of the future": ({"iat": NOW + 3600, "exp": NOW + 7200}, "of the future"),
    "not yet": ({"nbf": NOW + 3600}, "of the future"),
    "of long ago": ({"iat": NOW - 3600}, "issued long ago"),
    "the nonce of another login": ({"nonce": "n-0S6_WzA2Mj"}, "its nonce is not ours"),
    "no nonce": ({"nonce": None}, "its nonce is not ours"),
    "a nonce that is no text": ({"nonce": 7}, "its nonce is not ours"),
    "about nobody": ({"sub": None}, "about nobody"),
}


@pytest.mark.attacks("C218")
@pytest.mark.parametrize("attack", TOKENS)
def test_a_token_that_says_something_else_is_refused(
    env: Environment, liar: Liar, attack: str
) -> None:
    liar.claims, said = TOKENS[attack]
    refused(env, liar, NotProven, said)


@pytest.mark.attacks("C218")
def test_the_algorithm_is_the_one_that_was_signed_for(env: Environment, liar: Liar) -> None:
    header = {"kid": "one", "typ": "JWT"}
    claims = {"iss": liar.url, "aud": "bastide", "sub": "u-1001", "iat": NOW, "exp": NOW + 300}
    body = b64url(json.dumps(claims).encode())
    # 1. None at all.
    for name in ("none", "None", "nOnE"):
        liar.token = f"{b64url(json.dumps({**header, 'alg': name}).encode())}.{body}."
        refused(env, liar, NotProven, "algorithm is")
    # 2. HMAC, with the public key as the secret that both know.
    import hashlib
    import hmac

    public = liar.key.as_pem(private=False)
    head = b64url(json.dumps({**header, "alg": "HS256"}).encode())
    mac = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    liar.token = f"{head}.{body}.{b64url(mac)}"
    refused(env, liar, NotProven, "algorithm is 'HS256'")
    # 3. A right signature of another kind, that nobody agreed on.
    liar.token, liar.algorithm = None, "PS256"
    refused(env, liar, NotProven, "algorithm is 'PS256'")
    # 4. A header that wants to be understood, and a token for something else.
    liar.algorithm = "RS256"
    for header in ({"typ": "at+jwt"}, {"crit": ["b64"], "b64": True}):
        liar.header = header
        refused(env, liar, NotProven, "no ID token by its header")


@pytest.mark.attacks("C218")
def test_keys_are_not_confused(env: Environment, liar: Liar) -> None:
    right, other = liar.key, new_key()
    # 1. Signed by a key that the issuer does not publish, also if the header brings it along.
    liar.key, liar.published = other, [right]
    refused(env, liar, NotProven, "signature does not hold")
    liar.header = {"jwk": other.as_dict(private=False)}
    refused(env, liar, NotProven, "signature does not hold")
    liar.header = {"kid": "two"}
    refused(env, liar, NotProven, "0 keys of the issuer")
    # 2. Two keys of one name: which one signed is nobody's guess.
    liar.header, liar.published = {}, [right, other]
    refused(env, liar, NotProven, "2 keys of the issuer")
    # 3. A key for encryption, for another algorithm, of another kind, or too short.
    for row in ({"use": "enc"}, {"alg": "PS256"}, {"kty": "oct", "k": "AAAA"}):
        liar.key, liar.published = right, [{**right.as_dict(private=False), **row}]
        refused(env, liar, NotProven, "0 keys of the issuer")
    liar.key, liar.published = new_key("RSA", 1024), None
    refused(env, liar, NotProven, "less than 2048 bits")


def test_a_pinned_key_is_the_only_one(env: Environment, liar: Liar) -> None:
    mark = liar.key.thumbprint()
    enrol(env, {"issuer": liar.url, "client": "bastide", "keys": [mark]})
    assert log_in(env, liar).body["person"] == "anna"
    liar.key = new_key()
    refused(env, liar, NotProven, "not one of those that were pinned")


@pytest.mark.attacks("C219")
def test_another_issuers_answer_is_not_taken_to_ours(env: Environment, liar: Liar) -> None:
    """RFC 9207: the code of an honest issuer must not go to the token endpoint of a lying one."""
    for issuer in ("https://honest.example", None, f"{liar.url}/"):
        liar.answer = {"iss": issuer}
        refused(env, liar, NotProven, "the answer is by")
    assert liar.tokens == 0  # no code was sent
    # An issuer that does not promise `iss` is believed without, and not with a wrong one.
    liar.metadata = {"authorization_response_iss_parameter_supported": False}
    refused(env, liar, NotProven, "the answer is by")
    liar.answer = {"iss": None}
    assert log_in(env, liar).body["person"] == "anna"


def test_an_issuer_is_what_it_calls_itself_and_where_it_was_signed_for(
    env: Environment, liar: Liar
) -> None:
    liar.metadata = {"issuer": "https://honest.example"}
    refused(env, liar, NotProven, "calls itself")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        for url in ("https://elsewhere.example/x", "http://elsewhere.example/x", "file:///x", None):
            liar.metadata = {name: url}
            refused(env, liar, Misconfigured, name)


@pytest.mark.attacks("C219")
def test_a_foreign_state_neither_logs_in_nor_ends_a_login(env: Environment, liar: Liar) -> None:
    statuses = []

    def show(url: str) -> None:
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        liar.asked = asked

        def bring() -> None:
            back, state = asked["redirect_uri"], asked["state"]
            root = back.removesuffix("/callback")
            for wrong in (
                f"{back}?code=c&state=other", f"{back}?code=c", f"{root}/other?state={state}",
                f"{back}?state={state}&state=other&code=c", back,
            ):  # fmt: skip
                statuses.append(visit(wrong))
            query = urllib.parse.urlencode({"code": "c", "state": state, "iss": liar.url})
            statuses.append(visit(f"{back}?{query}"))

        threading.Thread(target=bring).start()

    assert log_in(env, liar, show).body["person"] == "anna"
    assert statuses[:5] == [400] * 5
    # The answer of that login, brought to the next one: its state is not this one's.
    before = liar.asked["state"]
    liar.answer = {"state": before}
    with wiring.loopback() as browser:
        accepted = []
        begun = begin_login(env, wiring.ask_issuer)

        class Once:
            url = browser.url

            def wait(self, accept: Callable[[dict[str, str]], bool], _: object) -> dict[str, str]:
                accepted.append(accept({"state": before, "code": "c", "iss": liar.url}))
                raise NotProven("nothing came")

        with pytest.raises(NotProven, match="nothing came"):
            log_in_by_browser(env, begun, Once(), lambda url: None)
    assert accepted == [False]


@pytest.mark.attacks("C220")
def test_an_unknown_group_and_an_unknown_person_are_refused(env: Environment, liar: Liar) -> None:
    for groups in (None, [], ["visitors"], "operators", {"operators": 1}):
        liar.claims = {"groups": groups}
        refused(env, liar, NotAllowed, "not in the group 'operators'")
    liar.claims = {"sub": "u-9", "name": "anna"}
    refused(env, liar, NotAllowed, "not enrolled here")
    liar.claims = {}
    liar.answer = {"error": "access_denied", "error_description": "no\x1b[31m", "code": None}
    refused(env, liar, NotAllowed, r"access_denied, no\?\[31m")


@pytest.mark.attacks("C221")
def test_nobody_alone_makes_a_list_and_no_party_makes_a_login(env: Environment, liar: Liar) -> None:
    told = {"provider": {"issuer": liar.url, "client": "x"}, "person": []}
    body = {"version": 1, "previous": None, **told, "reason": "alone", "time_ms": NOW}
    people = People.from_json(told).to_json()
    from bastide.core.canonical import canonical

    body = {**body, **people}
    made = Statement("people/v1", (Subject("people", Digest.of(canonical(people))),), body)
    for keys in (
        [env.signer(Purpose.EVIDENCE)],
        [signer(env.home.root, "operator")],
        [signer(env.home.root, "guardian")],
        [signer(env.home.root, "operator"), signer(env.home.root, "firm")],
    ):
        with pytest.raises(NotProven, match="keys of the guardian and of one party more"):
            env.ledger.append_statement(made, keys)
    row = log_in(env, liar)
    login = Statement("login/v1", row.statement.subjects, row.body)
    with pytest.raises(NotProven, match="signed by the evidence key alone"):
        env.ledger.append_statement(login, [signer(env.home.root, "operator")])


def refused(env: Environment, liar: Liar, error: type[BastideError], said: str) -> None:
    """The login is refused for that reason, and nothing is written of it."""
    before = env.ledger.size
    with pytest.raises(Refused if error is NotAllowed else error, match=said):
        log_in(env, liar)
    assert env.ledger.size == before
