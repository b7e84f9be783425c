# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An environment whose store's key lies in a token, from `init` to a served answer and to new keys.

The token is SoftHSM's: a software twin that speaks what an HSM speaks.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.keys.pkcs11 import make_key, signer_of
from bastide.adapters.keys.services import make_store_keys
from bastide.app import store_keys, wiring
from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.founding import Wishes, found
from bastide.core.errors import BastideError, Misconfigured, NotProven, Refused
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.crypto import age, dsse
from bastide.crypto.dsse import Envelope
from bastide.ports import SealingStore
from contracts.softhsm import PIN, SoftToken, make_token, needs_softhsm, tokens
from paths.demo import Demo
from paths.test_sealed_at_rest import found_below

pytestmark = needs_softhsm

ENTROPY = wiring.entropy()


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return make_token(f"p{os.urandom(4).hex()}", tmp_path / "pin")


@pytest.fixture
def home(tmp_path: Path, token: SoftToken) -> Home:
    home = Home(tmp_path / "home")
    found(home, Wishes("solo", "127.0.0.1:8471", store_keys=token.place()))
    return home


def opened(home: Home) -> SealingStore:
    keyring = wiring.open_keyring(home.keyring, read_passphrase(home))
    exit_text = (home.keys / "exit.age").read_text()
    (recipient,) = [
        line.removeprefix("# public key: ")
        for line in exit_text.splitlines()
        if line.startswith("# public key: ")
    ]
    return wiring.open_store(home.store, keyring.identities(), [recipient], ENTROPY, tuple)


def fill(home: Home, count: int) -> dict[str, bytes]:
    store, contents = opened(home), {}
    for number in range(count):
        contents[f"m/{number:03d}"] = ENTROPY.token(70_000)
        store.put(f"m/{number:03d}", [contents[f"m/{number:03d}"]])
    return contents


def read_all(home: Home) -> dict[str, bytes]:
    store, contents = opened(home), {}
    for name in store.names():
        with store.open(name) as reader:
            contents[name] = reader.read_at(0, reader.size)
    return contents


def bodies(home: Home) -> dict[str, Digest]:
    return {path.name: Digest.of(path.read_bytes()) for path in home.store.rglob("*.body")}


def rotate(home: Home, to: str, rekey: bool = False) -> dict[str, Any]:
    return store_keys.rotate(home, read_passphrase(home), to, rekey, quiet)


@pytest.mark.attacks("C126")
def test_the_key_and_the_pin_are_nowhere_on_the_disk(home: Home) -> None:
    contents = fill(home, 3)
    assert read_all(home) == contents
    keyring = wiring.open_keyring(home.keyring, read_passphrase(home))
    service = wiring.key_service(keyring.identities())
    keys = []
    for name in contents:
        header, _ = age.parse_header(opened(home).header(name))
        keys.append(service.unwrap(header.stanzas, name) or b"")
    assert len({*keys}) == 3
    for canary in (*keys, PIN.encode(), contents["m/000"][:32]):
        assert len(canary) >= 16
        assert found_below(home.root, canary) == []
        assert found_below(tokens(), canary) == []
    assert all("AGE-SECRET" not in text for text in keyring.identities())
    # Without the token the owner still gets everything out, with the exit identity alone.
    owner = [
        age.parse_identity(line)
        for line in (home.keys / "exit.age").read_text().splitlines()
        if line.startswith("AGE-SECRET")
    ]
    sealed = b"".join(opened(home).export("m/001"))
    assert b"".join(age.open_stream([sealed], owner)) == contents["m/001"]


def test_a_rotation_writes_headers_and_no_data(home: Home, token: SoftToken) -> None:
    contents, before = fill(home, 5), bodies(home)
    headers = {name: opened(home).header(name) for name in contents}
    old = wiring.open_keyring(home.keyring, read_passphrase(home)).identities()
    row = rotate(home, token.place("next"))
    assert row == {"objects": 5, "bytes": 0, "rekeyed": False, "retired": 1}
    assert bodies(home) == before
    assert read_all(home) == contents
    assert not home.rotation.exists()
    new = wiring.open_keyring(home.keyring, read_passphrase(home)).identities()
    assert not set(new) & set(old)
    for name, header in headers.items():
        renewed, _ = age.parse_header(opened(home).header(name))
        assert opened(home).header(name) != header
        assert wiring.key_service(old).unwrap(renewed.stanzas, name) is None
        # What is said of headers that somebody copied before: they stay open to the old key.
        copied, _ = age.parse_header(header)
        assert wiring.key_service(old).unwrap(copied.stanzas, name) is not None
    with pytest.raises(BastideError, match="there already"):
        rotate(home, token.place("next"))


def test_after_a_compromise_the_data_is_encrypted_anew(home: Home) -> None:
    contents, before = fill(home, 4), bodies(home)
    stolen = {}
    keyring = wiring.open_keyring(home.keyring, read_passphrase(home))
    for name in contents:
        header, _ = age.parse_header(opened(home).header(name))
        stolen[name] = wiring.key_service(keyring.identities()).unwrap(header.stanzas, name)
    row = rotate(home, "file", rekey=True)
    assert row["bytes"] == sum(map(len, contents.values()))
    assert not set(bodies(home)) & set(before)
    assert not set(bodies(home).values()) & set(before.values())
    assert read_all(home) == contents
    now = wiring.key_service(wiring.open_keyring(home.keyring, read_passphrase(home)).identities())
    for name in contents:
        header, _ = age.parse_header(opened(home).header(name))
        assert now.unwrap(header.stanzas, name) != stolen[name]


@pytest.mark.attacks("C128")
@pytest.mark.parametrize("rekey", [False, True])
def test_a_rotation_that_is_killed_goes_on(home: Home, token: SoftToken, rekey: bool) -> None:
    contents = fill(home, 6)

    class Killed(BaseException):
        pass

    for at in (0, 2, 5):

        def kill(what: str, done: int, total: int, at: int = at) -> None:
            if done == at:
                raise Killed

        with pytest.raises(Killed):
            store_keys.rotate(home, read_passphrase(home), token.place("next"), rekey, kill)
        assert home.rotation.exists()
        assert read_all(home) == contents  # meanwhile new and old keys are at hand
    rotate(home, token.place("next"))
    assert not home.rotation.exists()
    assert read_all(home) == contents
    (place,) = wiring.open_keyring(home.keyring, read_passphrase(home)).identities()
    assert "object=next" in place


def test_what_was_sealed_to_the_old_key_meanwhile_is_found(home: Home, token: SoftToken) -> None:
    fill(home, 3)
    slow = opened(home)  # a process that began before, with the old key alone

    def meanwhile(what: str, done: int, total: int) -> None:
        if what == "rewriting headers" and done == 2:
            slow.put("m/000", [b"sealed late"])
            slow.put("a/early", [b"a name already passed"])

    store_keys.rotate(home, read_passphrase(home), token.place("next"), False, meanwhile)
    contents = read_all(home)
    assert contents["m/000"] == b"sealed late"
    assert contents["a/early"] == b"a name already passed"


def test_a_token_that_is_away_during_a_rotation(home: Home, token: SoftToken) -> None:
    contents = fill(home, 3)
    right = token.pin.read_text()
    token.pin.unlink()
    with pytest.raises(BastideError):
        rotate(home, token.place("next").replace("pin-source=file:", "pin-source=file:/no"))
    token.pin.write_text(right)
    assert read_all(home) == contents
    assert rotate(home, token.place("next"))["objects"] == 3


def eventually(check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_party_signs_in_its_token(tmp_path: Path, token: SoftToken) -> None:
    make_key(token.place("guardian"), ENTROPY, "sign")
    demo = Demo(tmp_path / "home")
    key = token.place("guardian")
    made = demo.json("init", "--parties", "separate", "--party-key", f"guardian={key}")
    assert sorted(Path(path).stem for path in made["key_files"]) == ["firm", "operator"]
    anchors = json.loads(Path(made["anchors"]).read_text())["keys"]
    (guardian,) = [row for row in anchors if row.get("party") == "guardian"]
    assert guardian["scheme"] == "ecdsa-p256"
    # Entry 0 is signed by all three; the audit checks it.
    assert demo.json("ledger", "audit")["entries"] == 1
    missing = token.place("nobody")
    refused = demo.run("approve", "x", "--key", missing, status=None)
    assert "holds no key nobody" in refused.stderr


def test_a_signature_made_in_the_token_holds(token: SoftToken) -> None:
    make_key(token.place("signing"), ENTROPY, "sign")
    signer = signer_of(token.place("signing"), Purpose.MODEL_SIGNING)
    envelope = dsse.sign(b'{"a":1}', [signer])
    keys = {signer.public.ident: signer.public}
    dsse.verify_envelope(envelope, keys)
    forged = Envelope.from_json({**envelope.to_json(), "payload": "eyJhIjoyfQ=="})
    with pytest.raises(NotProven):
        dsse.verify_envelope(forged, keys)
    # A signer's key makes no key agreements: one key never serves two purposes.
    with pytest.raises(Misconfigured, match="no key agreements"):
        make_store_keys(token.place("signing"), ENTROPY)


def test_from_init_to_an_answer_with_weights_opened_through_the_token(
    tmp_path: Path, token: SoftToken
) -> None:
    demo = Demo(tmp_path / "home")
    demo.json("init", "--keys", token.place())
    try:
        assert demo.json("up")["ready"]
        before = demo.json("store", "openings")
        weights = [row for row in before if row["object"].startswith("models/")]
        # Admitted, evaluated and served: three times the weights were opened, by two processes.
        assert len({row["process"] for row in weights}) == 2
        assert all("software twin" in row["key"] for row in weights[1:])
        assert demo.run("chat", "Say hello").stdout.strip()
        assert "software twin" in demo.json("store", "where")["holds"]
        unlock = ("--passphrase-file", str(demo.home / "unlock"))
        assert "software twin" in demo.run("doctor", *unlock, status=None).stdout

        demo.run("store", "deny", "models/")
        demo.run("down")
        opened = weights_opened(demo)
        demo.popen("up")
        eventually(lambda: bool(demo.json("status")["stopped"]))
        (demo.home / "denied").unlink()
        home = Home(demo.home)
        with open_environment(home, read_passphrase(home)) as env:
            name = env.store.names("models")[0]
            with pytest.raises(Refused, match="the owner denies"):
                env.store.open(name).__enter__()
        assert outcome(demo, "denied")
        assert weights_opened(demo) == opened
        loads = len(demo.json("ledger", "ls", "--kind", "load/v1"))
        demo.run("store", "allow", "models/")
        eventually(lambda: len(demo.json("ledger", "ls", "--kind", "load/v1")) > loads)
        assert demo.run("chat", "Say hello").stdout.strip()
        refused = demo.run("store", "rotate", status=Refused.exit_status)
        assert "bastide down" in refused.stderr
    finally:
        demo.run("down", status=None)


def weights_opened(demo: Demo) -> int:
    rows = demo.json("store", "openings")
    return sum(row["object"].startswith("models/") and row["outcome"] == "asked" for row in rows)


def outcome(demo: Demo, wanted: str) -> bool:
    return any(row["outcome"] == wanted for row in demo.json("store", "openings"))
