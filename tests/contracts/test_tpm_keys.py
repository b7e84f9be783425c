# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What only a TPM's key can do wrong, with swtpm: registers, reboots, taken and lost indexes.

The promise that it shares with all key services is in test_key_service.py. To see these tests fail
I once broke the code: with `ownerread` among the attributes and no policy at the reading,
`test_another_boot_opens_nothing` failed.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys import ending
from bastide.adapters.keys.services import key_service, make_store_keys
from bastide.adapters.keys.tpm import TpmKeys, TpmPlace
from bastide.app import store_key_entries, store_keys, wiring
from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.core.errors import BastideError, Misconfigured, NotAllowed, NotProven, Unavailable
from bastide.crypto import age
from paths.swtpm_rig import SoftTpm, needs_swtpm
from paths.test_sealed_at_rest import found_below
from paths.test_store_shred import as_backed_up, founded, opens, replaced, rotate, shred

pytestmark = needs_swtpm

ENTROPY = SystemEntropy()
FILE_KEY = bytes(range(16))
INDEX = "0x01800b57"
REGISTERS = "0,2,4,7,14"  # the last is one that measurements of the engine go to


@pytest.fixture
def chip() -> Iterator[SoftTpm]:
    made = SoftTpm()
    yield made
    made.stop()


def place_of(chip: SoftTpm, index: str = INDEX) -> str:
    return f"tpm:{index}?tcti={chip.tcti}&registers={REGISTERS}"


def fresh(place: str) -> TpmKeys:
    """As a process that has just started."""
    return TpmKeys(TpmPlace.parse(place))


@pytest.mark.attacks("C217")
def test_another_boot_opens_nothing(chip: SoftTpm) -> None:
    (place,) = make_store_keys(place_of(chip), ENTROPY)
    stanza = fresh(place).recipients()[0].wrap(FILE_KEY, ENTROPY.token)
    chip.boot()
    assert fresh(place).unwrap([stanza], "x") == FILE_KEY
    for register in (7, 14):  # the boot, and the engine
        chip.boot()
        chip.tool("pcrextend", f"{register}:sha256={'ab' * 32}")
        for deed in (lambda: fresh(place).unwrap([stanza], "x"), fresh(place).health):
            with pytest.raises(NotAllowed, match="not as they were") as caught:
                deed()
            assert "store rotate --to file" in caught.value.fix
        # Root, too, who may do with the owner's hierarchy what they like, gets nothing.
        assert chip.tool("nvread", INDEX, "-C", "o", "-s", "32").returncode != 0
        assert chip.tool("nvwrite", INDEX, "-C", "o", "-i", "/dev/zero").returncode != 0
    chip.boot()
    chip.tool("pcrextend", f"9:sha256={'ab' * 32}")  # one that was not named
    assert fresh(place).unwrap([stanza], "x") == FILE_KEY


def test_a_tpm_that_is_away_opens_nothing_until_it_is_back(chip: SoftTpm) -> None:
    (place,) = make_store_keys(place_of(chip), ENTROPY)
    keys = fresh(place)
    stanza = keys.recipients()[0].wrap(FILE_KEY, ENTROPY.token)
    chip.stop()
    for _ in range(2):
        with pytest.raises(Unavailable):
            keys.unwrap([stanza], "x")
    chip.boot()
    assert keys.unwrap([stanza], "x") == FILE_KEY


def test_an_index_is_never_taken_over(chip: SoftTpm) -> None:
    (place,) = make_store_keys(place_of(chip), ENTROPY)
    with pytest.raises(Misconfigured, match="is taken"):
        make_store_keys(place_of(chip), ENTROPY)
    ending.destroy(place, ENTROPY)
    (other,) = make_store_keys(place_of(chip), ENTROPY)
    assert other != place
    stanza = fresh(place).recipients()[0].wrap(FILE_KEY, ENTROPY.token)
    for deed in (lambda: fresh(place).unwrap([stanza], "x"), fresh(place).health):
        with pytest.raises(NotProven, match="another key"):
            deed()
    with pytest.raises(NotProven, match="another key"):
        ending.destroy(place, ENTROPY)  # what is meant is gone; what is there stays
    assert fresh(other).health()


def test_a_software_tpm_is_never_called_hardware(chip: SoftTpm) -> None:
    (place,) = make_store_keys(place_of(chip), ENTROPY)
    assert "software twin" in fresh(place).health()
    assert TpmPlace.parse(place) == TpmPlace.parse(str(TpmPlace.parse(place)))
    good = f"tpm:{INDEX}?tcti=device:/dev/tpmrm0&registers=0,7"
    assert str(TpmPlace.parse(good)) == good
    for wrong in (
        "tpm:",
        good.replace("0x018", "0x818"),  # no index of the owner
        good.replace("registers=0,7", "registers="),
        good.replace("0,7", "0,24"),
        good.replace("0,7", "7,7"),
        good.replace("device:/dev/tpmrm0", "device:/dev/x;rm"),
        good.replace("device", "cmd"),  # a tcti that runs programs
        good + "&policy=none",
    ):
        with pytest.raises(Misconfigured):
            make_store_keys(wrong, ENTROPY)
    with pytest.raises(Misconfigured, match="no recipient"):
        key_service([good])


@pytest.mark.attacks("C217")
def test_from_founding_to_the_end_of_the_epoch(chip: SoftTpm, tmp_path: Path) -> None:
    home: Home = founded(tmp_path / "home", place_of(chip))
    as_backed_up(home.root)[0].put("m/x", [b"secret of m"])
    assert opens(home.root, "m/x")
    # The key is on no disk but the TPM's own.
    (place,) = as_backed_up(home.root)[1]
    secret = chip.tool("nvread", INDEX, "-P", f"pcr:sha256:{REGISTERS}", "-s", "32").stdout
    assert len(secret) == 32
    identity = age.X25519Identity(secret)
    assert str(identity.recipient()) == TpmPlace.parse(place).recipient
    for canary in (secret, identity.secret().encode(), b"secret of m"):
        assert found_below(home.root, canary) == []
    rotate(home, place_of(chip, "0x01800b58"))
    (key,) = replaced(home)
    with open_environment(home, read_passphrase(home)) as env:
        row = shred(env, key)
        assert row["service"] == "tpm"
        assert "opened before" in row["proof"]
        told = store_key_entries.list_store_keys(env)
    assert [r["state"] for r in told] == ["destroyed", "active"]
    with pytest.raises(BastideError, match="holds no key"):
        fresh(place).health()
    assert opens(home.root, "m/x")
    where = store_keys.where(home, read_passphrase(home))
    assert "software twin" in where["holds"]
    assert (
        wiring.open_keyring(home.keyring, read_passphrase(home)).identities()[0].startswith("tpm:")
    )
