# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""API keys bound to names of certificates: made by commands, and kept by rotation."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.keys import key_grants
from bastide.core.errors import Misconfigured
from bastide.core.spiffe import verify_spiffe_id
from paths.demo import Demo

NAME = "spiffe://acme.example/ns/chat/sa/web"


def test_a_bound_key_stays_bound_when_it_is_rotated(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "home")
    demo.json("init")
    demo.json("tenant", "add", "acme")
    made = demo.json("key", "new", "--tenant", "acme", "--spiffe", NAME)
    free = demo.json("key", "new", "--tenant", "acme")
    assert (made["peers"], free["peers"]) == ([NAME], [])
    again = demo.json("key", "rotate", made["id"], "--overlap", "1h")
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home)) as env:
        grants = key_grants(env.ledger.api_keys(), env.ledger.key_expiries()).values()
        peers = {grant.key: grant.peers for grant in grants}
        env.ledger.audit()
    assert peers == {made["id"]: (NAME,), free["id"]: (), again["id"]: (NAME,)}
    row = demo.json("key", "new", "--tenant", "acme", "--spiffe", "spiffe://ACME/web", status=2)
    assert row["message"] == "'spiffe://ACME/web' is no SPIFFE ID of a service"


@pytest.mark.parametrize(
    "text",
    [
        "", "spiffe://", "spiffe://acme", "spiffe://acme/", "spiffe:///web", "SPIFFE://acme/web",
        "spiffe://acme:1/web", "spiffe://me@acme/web", "spiffe://acme/web?x", "spiffe://acme/web#x",
        "spiffe://acme/a//b", "spiffe://acme/./b", "spiffe://acme/../b", "spiffe://acme/a/",
        "spiffe://acme/%2e", "spiffe://acme/\u00e5", "spiffe://acme/web\n", "https://acme/web",
        f"spiffe://acme/{'a' * 2048}", f"spiffe://{'a' * 256}/web",
    ],
)  # fmt: skip
def test_what_is_no_spiffe_id_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured):
        verify_spiffe_id(text)


_PART = st.text("abcXYZ019._-", min_size=1, max_size=20).filter(lambda text: text.strip("."))


@given(st.text("abc019._-", min_size=1, max_size=255), st.lists(_PART, min_size=1, max_size=5))
def test_a_spiffe_id_is_taken_and_another_spelling_of_it_is_not(
    domain: str, parts: list[str]
) -> None:
    text = f"spiffe://{domain}/{'/'.join(parts)}"
    verify_spiffe_id(text)
    for other in (f"{text}/", f"{text}/.", text.replace("spiffe", "Spiffe"), f" {text}"):
        with pytest.raises(Misconfigured):
            verify_spiffe_id(other)
