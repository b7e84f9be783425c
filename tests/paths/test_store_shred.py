# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Epochs of the store's key: two parties destroy an old one, and then no backup opens with it.

To see these tests fail I once broke the code: with one party enough in `_check_signers` and
`_check_parties`, `test_one_party_destroys_nothing` failed; with `destroy_key` deleting nothing and
not looking, `test_no_backup_opens_after_its_epoch` failed.
"""

import itertools
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from bastide.app import shredding, store_key_entries, store_keys, wiring
from bastide.app.config import Home
from bastide.app.enrolment import add_signature
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.founding import Wishes, found
from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotFound,
    NotProven,
    Refused,
    Unavailable,
    Waiting,
)
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.core.register import KeyState
from bastide.core.store_key import key_of
from bastide.crypto import age
from bastide.crypto.dsse import Envelope, Signer
from bastide.ports import SealingStore
from contracts.softhsm import SoftToken, make_token, needs_softhsm
from contracts.transit_double import TransitDouble
from paths.demo import Demo

ENTROPY = wiring.entropy()


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return make_token(f"s{os.urandom(4).hex()}", tmp_path / "pin")


def founded(root: Path, place: str) -> Home:
    home = Home(root)
    found(home, Wishes("solo", "127.0.0.1:8471", store_keys=place))
    return home


def rotate(home: Home, to: str, rekey: bool = False) -> dict[str, Any]:
    return store_keys.rotate(home, read_passphrase(home), to, rekey, quiet)


def rows_of(home: Home) -> list[dict[str, Any]]:
    with open_environment(home, read_passphrase(home)) as env:
        return store_key_entries.list_store_keys(env)


def replaced(home: Home) -> list[str]:
    return [row["key"] for row in rows_of(home) if row["state"] in ("deactivated", "compromised")]


def shred(env: Environment, key: str) -> dict[str, Any]:
    order = shredding.sign_order(env, shredding.draft_order(env, key, "its epoch is over"), [])
    return shredding.settle_order(env, order)


def party(env: Environment, which: Party) -> Signer:
    return env.party_signers()[which]


def as_backed_up(folder: Path) -> tuple[SealingStore, tuple[str, ...]]:
    """The store of a backup, opened with all that the backup has: keyring and passphrase."""
    home = Home(folder)
    identities = wiring.open_keyring(home.keyring, read_passphrase(home)).identities()
    return wiring.open_store(home.store, identities, [exit_of(home)], ENTROPY, tuple), identities


def exit_of(home: Home) -> str:
    text = (home.keys / "exit.age").read_text()
    start = text.index("# public key: ") + len("# public key: ")
    return text[start : text.index("\n", start)]


def opens(folder: Path, name: str) -> bool:
    try:
        with as_backed_up(folder)[0].open(name) as reader:
            return reader.read_at(0, 6) == b"secret"
    except BastideError:
        return False


@pytest.mark.attacks("C216")
@needs_softhsm
def test_no_backup_opens_after_its_epoch(tmp_path: Path, token: SoftToken) -> None:
    home, backups = founded(tmp_path / "home", token.place("epoch0")), []
    for epoch in range(3):
        as_backed_up(home.root)[0].put("m/shredded", [b"secret of m"])
        as_backed_up(home.root)[0].put(f"m/kept{epoch}", [b"secret kept"])
        backups.append(tmp_path / f"backup{epoch}")
        shutil.copytree(home.root, backups[-1])
        rotate(home, token.place(f"epoch{epoch + 1}"))
    as_backed_up(home.root)[0].delete("m/shredded")
    # The attack is real: so far every backup opens.
    assert all(opens(backup, "m/shredded") for backup in backups)
    old = replaced(home)
    assert len(old) == 3
    with open_environment(home, read_passphrase(home)) as env:
        for number, key in enumerate(old):
            row = shred(env, key)
            assert row["proof"] == "a header made for the key opened before, and did not after"
            # One epoch ended after the other, each alone.
            seen = [opens(backup, "m/shredded") for backup in backups]
            assert seen == [epoch > number for epoch in range(3)]
    # Every backup, its headers with every keyring, and with the keyring of now.
    keyrings = [as_backed_up(folder)[1] for folder in (*backups, home.root)]
    for backup in backups:
        store, _ = as_backed_up(backup)
        names = store.names()
        assert "m/shredded" in names
        for name, identities in itertools.product(names, keyrings):
            header, _ = age.parse_header(store.header(name))
            try:
                assert wiring.key_service(identities).unwrap(header.stanzas, name) is None
            except Misconfigured as error:
                assert "holds no key epoch" in error.message
    # What was not shredded lives on, and a backup's bodies serve with the headers of now.
    assert [opens(home.root, f"m/kept{epoch}") for epoch in range(3)] == [True] * 3
    shutil.rmtree(home.store)
    shutil.copytree(backups[2] / "store", home.store)
    assert not opens(home.root, "m/kept0")
    # What it does not reach, and says so: the owner's exit identity.
    owner = [
        age.parse_identity(line)
        for line in (backups[0] / "keys" / "exit.age").read_text().splitlines()
        if line.startswith("AGE-SECRET")
    ]
    sealed = b"".join(as_backed_up(backups[0])[0].export("m/shredded"))
    assert b"".join(age.open_stream([sealed], owner)) == b"secret of m"
    assert any("exit" in text for text in row["leaves"])


def test_a_key_in_the_keyring_file_is_in_its_backups_and_we_say_so(tmp_path: Path) -> None:
    home = founded(tmp_path / "home", "file")
    as_backed_up(home.root)[0].put("m/x", [b"secret of m"])
    shutil.copytree(home.root, tmp_path / "backup")
    rotate(home, "file")
    assert len(replaced(home)) == 2
    with open_environment(home, read_passphrase(home)) as env:
        for key in replaced(home):
            row = shred(env, key)
            assert row["proof"] == "the keyring file of this environment does not hold it"
            assert row["leaves"][0].startswith("every backup of the keyring file")
    assert opens(tmp_path / "backup", "m/x")


@pytest.mark.attacks("C215")
@needs_softhsm
def test_one_party_destroys_nothing(tmp_path: Path, token: SoftToken) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    (used,) = [row["key"] for row in rows_of(home)]
    with open_environment(home, read_passphrase(home)) as env:
        with pytest.raises(Refused, match="uses the key"):
            shredding.draft_order(env, used, "too early")
        with pytest.raises(NotFound):
            shredding.draft_order(env, key_of("another"), "none of ours")
    rotate(home, token.place("two"))
    with open_environment(home, read_passphrase(home)) as env:
        size, draft = env.ledger.size, shredding.draft_order(env, used, "its epoch is over")
        firm, guardian = party(env, Party.FIRM), party(env, Party.GUARDIAN)
        half = add_signature(draft, firm)
        for order, missing in ((draft, "2 of"), (half, "1 of: operator, guardian")):
            with pytest.raises(Waiting) as waiting:
                shredding.settle_order(env, order)
            assert missing in waiting.value.reasons[0]
            with pytest.raises(BastideError):
                env.ledger.append([order])  # nor by the ledger's own door
        with pytest.raises(NotProven, match="has signed this already"):
            add_signature(half, firm)
        evidence = add_signature(half, env.signer(Purpose.EVIDENCE))
        with pytest.raises(NotProven, match="keys of two parties"):
            env.ledger.append([evidence])
        # A signature of another statement, or under another's name.
        other = add_signature(shredding.draft_order(env, used, "another reason"), guardian)
        forged = Envelope(draft.payload, (*half.signatures, *other.signatures))
        stolen = Envelope(
            draft.payload, (*half.signatures, (guardian.public.ident, half.signatures[0][1]))
        )
        for envelope in (forged, stolen):
            with pytest.raises(NotProven):
                shredding.settle_order(env, envelope)
        # A destruction that nobody ordered is no destruction.
        assert (env.ledger.size, shredding.pending_order(env, used)) == (size, None)
        full = add_signature(half, guardian)
        assert shredding.settle_order(env, full)["key"] == used
        size = env.ledger.size
        with pytest.raises(Refused, match="destroyed"):
            shredding.settle_order(env, full)
        with pytest.raises(Refused, match="destroyed"):
            shredding.draft_order(env, used, "again")
        assert env.ledger.size == size


@needs_softhsm
def test_a_replaced_key_never_comes_back(tmp_path: Path, token: SoftToken) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    rotate(home, token.place("two"))
    (key,) = replaced(home)
    with pytest.raises(Misconfigured, match="was the store's before, and is deactivated"):
        rotate(home, token.place("one"))
    with open_environment(home, read_passphrase(home)) as env:
        shred(env, key)
    rotate(home, token.place("one"))  # the name is free again: what is there now is another key
    active = [row["key"] for row in rows_of(home) if row["state"] == "active"]
    assert len(active) == 1
    assert active != [key]


class Killed(BaseException):
    pass


def killed(*_: object) -> bool:
    raise Killed


# Before the token was asked, and after it; then by the key's name, or by the same signed files.
@needs_softhsm
@pytest.mark.parametrize("at", ["destroy", "note"])
@pytest.mark.parametrize("by_file", [False, True])
def test_a_kill_between_order_and_destruction(
    tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch, at: str, by_file: bool
) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    rotate(home, token.place("two"))
    (key,) = replaced(home)
    with open_environment(home, read_passphrase(home)) as env, monkeypatch.context() as patch:
        patch.setattr(shredding, at, killed)
        order = shredding.sign_order(env, shredding.draft_order(env, key, "over"), [])
        with pytest.raises(Killed):
            shredding.settle_order(env, order)
    with open_environment(home, read_passphrase(home)) as env:
        assert store_key_entries.lives(env)[key].state is KeyState.DEACTIVATED
        pending = shredding.pending_order(env, key)
        assert pending is not None
        row = shredding.settle_order(env, order if by_file else pending)
        assert ("opened before" in row["proof"]) is (at == "destroy")
        assert row["order"] == pending.entry
        assert shredding.pending_order(env, key) is None
        assert store_key_entries.lives(env)[key].state is KeyState.DESTROYED
        assert json.loads(home.retired.read_text()) == {}


@needs_softhsm
def test_two_at_once_say_its_end_once(tmp_path: Path, token: SoftToken) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    rotate(home, token.place("two"))
    (key,) = replaced(home)
    outcomes: list[str] = []

    def run(reason: str) -> None:
        with open_environment(home, read_passphrase(home)) as env:
            order = shredding.sign_order(env, shredding.draft_order(env, key, reason), [])
            together.wait(60)
            try:
                outcomes.append(shredding.settle_order(env, order)["proof"])
            except Refused as error:
                outcomes.append(error.message)

    together = threading.Barrier(2)
    threads = [threading.Thread(target=run, args=(reason,)) for reason in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(text.partition(":")[2] or "done" for text in outcomes) == [
        " there is nothing to destroy",
        "done",
    ]
    with open_environment(home, read_passphrase(home)) as env:
        assert store_key_entries.lives(env)[key].state is KeyState.DESTROYED
        assert len(env.ledger.find("store-key-shred/v1")) == 1


@needs_softhsm
def test_a_token_that_is_away_leaves_no_order(tmp_path: Path, token: SoftToken) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    rotate(home, "file")
    (key,) = replaced(home)
    with open_environment(home, read_passphrase(home)) as env:
        size = env.ledger.size
        places = home.retired.read_text()
        home.retired.write_text(places.replace(token.label, "elsewhere"))
        with pytest.raises(Unavailable):
            shred(env, key)
        home.retired.unlink()
        with pytest.raises(NotFound, match="does not say where"):
            shred(env, key)
        home.retired.write_text(places)
        assert env.ledger.size == size
        assert shred(env, key)["key"] == key


@pytest.mark.attacks("C216")
def test_a_server_trims_the_version_and_nothing_younger(tmp_path: Path) -> None:
    double = TransitDouble()
    try:
        (tmp_path / "token").write_text(double.token)
        place = f"openbao:{double.url}/transit/store?token-source=file:{tmp_path / 'token'}"
        home = founded(tmp_path / "home", place)
        as_backed_up(home.root)[0].put("m/x", [b"secret of m"])
        shutil.copytree(home.root, tmp_path / "backup")
        rotate(home, place)
        assert opens(tmp_path / "backup", "m/x")
        (key,) = replaced(home)
        with open_environment(home, read_passphrase(home)) as env:
            assert "opened before" in shred(env, key)["proof"]
        assert double.keys["store"][0] == bytes(32)
        assert not opens(tmp_path / "backup", "m/x")
        assert opens(home.root, "m/x")
    finally:
        double.close()


@pytest.mark.attacks("C215")
@needs_softhsm
def test_three_people_and_three_machines(tmp_path: Path, token: SoftToken) -> None:
    demo = Demo(tmp_path / "home")
    made = demo.json("init", "--parties", "separate", "--keys", token.place("one"))
    keys = {Path(file).stem: Path(file).rename(tmp_path / Path(file).name)
            for file in made["key_files"]}  # fmt: skip
    demo.json("store", "rotate", "--to", token.place("two"))
    states = {row["state"]: row["key"] for row in demo.json("store", "keys")}
    assert set(states) == {"active", "deactivated"}
    order = tmp_path / "order.json"
    demo.json("store", "shred", states["deactivated"], "--reason", "over", "--out", str(order))
    files = []
    for name in ("firm", "guardian"):
        files.append(tmp_path / f"{name}.json")
        shutil.copy(order, files[-1])
        shown = demo.run("sign", str(files[-1]), "--key", str(keys[name]))
        assert "store-key-shred/v1" in shown.stdout + shown.stderr
    waiting = demo.json("store", "shred", "--import", str(files[0]), status=5)
    assert "guardian" in waiting["reasons"][0]
    both = ("--import", str(files[0]), "--import", str(files[1]))
    done = demo.json("store", "shred", *both)
    assert done["proof"].startswith("a header made for the key opened before")
    assert {row["state"] for row in demo.json("store", "keys")} == {"active", "destroyed"}
    again = demo.run("store", "shred", *both, status=Refused.exit_status)
    assert "nothing to destroy" in again.stderr
    assert demo.json("ledger", "audit")["entries"] == done["entry"] + 1


@needs_softhsm
@pytest.mark.parametrize("rekey", [False, True])
def test_every_transition_is_in_the_ledger(tmp_path: Path, token: SoftToken, rekey: bool) -> None:
    home = founded(tmp_path / "home", token.place("one"))
    as_backed_up(home.root)[0].put("m/x", [b"secret of m"])
    rotate(home, token.place("two"), rekey)
    (key,) = replaced(home)
    with open_environment(home, read_passphrase(home)) as env:
        shred(env, key)
        told = [(row.body["key"], row.body["state"]) for row in env.ledger.find("store-key/v1")]
        mine = [state for name, state in told if name == key]
        assert mine == ["active", "compromised" if rekey else "deactivated", "destroyed"]
        assert [state for name, state in told if name != key] == ["active"]
        (order,) = env.ledger.find("store-key-shred/v1")
        destroyed = env.ledger.find("store-key/v1")[-1]
        assert destroyed.body["order"] == str(order.digest)
        parties = {env.ledger.known_keys()[ident].party for ident in order.signers}
        assert len(parties) >= 2
