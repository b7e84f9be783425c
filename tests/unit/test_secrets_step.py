# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The step `secrets`: what it masks, what it removes, and that prose has no secrets.

Broken once to prove the tests: with an address that is not searched, and with a key that `remove`
names and that passes, they fail.
"""

from pathlib import Path
from typing import Any

import pytest

from bastide.core.document import Document, Outcome
from bastide.core.errors import Misconfigured
from bastide.filters.catalogue import build
from bastide.filters.secrets import SECRET_KINDS
from unit.test_detectors import FOUND, github

CORPORA = Path(__file__).parents[1] / "corpora"
KEY = bytes(range(32))


def apply(text: str, url: str = "", key: bytes = KEY, **settings: Any) -> Outcome:
    one = build("secrets", settings).keyed(key)
    return one.apply(Document(ident="d", text=text, source="s", url=url))


SECRETS = {kind: FOUND[kind] for kind in SECRET_KINDS}


@pytest.mark.parametrize("kind", SECRET_KINDS)
def test_every_kind_becomes_a_pseudonym(kind: str) -> None:
    for secret in SECRETS[kind]:
        outcome = apply(f"before {secret}\nafter", url="https://example.org/")
        assert outcome.document is not None
        assert secret.split(" = ")[-1] not in outcome.document.text
        assert f"<{kind.upper()}:" in outcome.document.text
        assert outcome.notes == {f"secrets/{kind}": 1}


def test_one_secret_has_one_pseudonym_under_one_key() -> None:
    token = github()
    one = apply(f"a {token} b {token}").document
    other = apply(f"a {token} b {token}", key=bytes(32)).document
    assert one is not None
    assert other is not None
    words = one.text.split()
    assert words[1] == words[3]
    assert words[1] not in other.text


def test_a_secret_in_the_address_is_masked() -> None:
    outcome = apply("text", url=f"https://example.org/?token={github()}")
    assert outcome.document is not None
    assert github() not in outcome.document.url
    assert outcome.notes == {"secrets/github-token": 1}


def test_a_kind_may_end_the_document() -> None:
    outcome = apply(f"a {github()}", remove=["github-token"])
    assert outcome.document is None
    assert outcome.reason == "secrets/github-token"
    assert github() not in str(outcome.notes)


def test_what_is_in_neither_list_is_not_looked_for() -> None:
    assert apply(f"a {github()}", mask=["jwt"]).notes == {}


def test_prose_has_no_secret() -> None:
    paths = [path for path in sorted(CORPORA.rglob("*")) if path.is_file()]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    assert sum(map(len, texts)) > 300_000
    assert [path.name for path, text in zip(paths, texts, strict=True) if apply(text).notes] == []


def test_without_a_key_nothing_passes() -> None:
    with pytest.raises(Misconfigured, match="key of the dataset is missing"):
        build("secrets", {}).apply(Document(ident="d", text="t", source="s"))
    with pytest.raises(Misconfigured, match="too short"):
        build("secrets", {}).keyed(b"short")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mask": ["password"]}, "there is no kind 'password'"),
        ({"mask": ["jwt"], "remove": ["jwt"]}, "cannot be masked and end"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        build("secrets", settings)
