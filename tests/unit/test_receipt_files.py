# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Receipt files from strangers: what two readers would read differently is refused."""

import json
from pathlib import Path

import pytest

from bastide.app.receipts import read_anchors, read_bundle
from bastide.core.errors import NotFound, NotProven
from unit.chain_fixture import make_chain


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    honest = json.dumps(chain.bundle())
    shown = json.dumps({**chain.bundle()["receipt"], "tenant": "somebody else"})
    file = tmp_path / "receipt.json"
    file.write_text(honest)
    assert read_bundle(file) == chain.bundle()
    # A reader that takes the first of two would show another tenant under "verified".
    for twice in (
        honest.replace("{", '{"receipt": ' + shown + ", ", 1),
        honest.replace('"tenant":', '"tenant": "somebody else", "tenant":', 1),
    ):
        file.write_text(twice)
        for read in (read_bundle, read_anchors):
            with pytest.raises(NotProven, match="twice"):
                read(file)


def test_what_is_no_json_object_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    for text in ("", "[]", "{", "[" * 100_000, '"a"'):
        file.write_text(text)
        with pytest.raises(NotProven):
            read_bundle(file)
    with pytest.raises(NotFound):
        read_bundle(tmp_path / "none.json")
