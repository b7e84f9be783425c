# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A keyring's file is changed as a whole, under its own passphrase, or not at all."""

from pathlib import Path

import pytest

from bastide.adapters.keys.file import create_keyring, open_keyring, save_keyring
from bastide.core.errors import NotAllowed
from bastide.core.key import Purpose
from bastide.crypto import age
from contracts.test_keyring import ENTROPY, PASSPHRASE


def test_a_changed_keyring_takes_the_place_of_its_file(tmp_path: Path) -> None:
    for passphrase, generated in ((PASSPHRASE, True), ("correct horse", False)):
        path = tmp_path / f"{generated}.age"
        first = create_keyring(path, passphrase, (), ENTROPY, generated=generated)
        factor = age.parse_header(path.read_bytes())[0].stanzas[0].arguments[2]
        grown = first.with_new(Purpose.LEDGER, ENTROPY)
        before = path.read_bytes()
        with pytest.raises(NotAllowed):
            save_keyring(path, grown, "wrong", ENTROPY)
        assert path.read_bytes() == before
        save_keyring(path, grown, passphrase, ENTROPY)
        assert open_keyring(path, passphrase).portion(Purpose) == grown.portion(Purpose)
        assert path.stat().st_mode & 0o777 == 0o600
        assert age.parse_header(path.read_bytes())[0].stanzas[0].arguments[2] == factor
    assert len(list(tmp_path.iterdir())) == 2
