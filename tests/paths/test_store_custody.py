# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Nobody alone gives the store's key to another holder: not from a token to a file, nor back.

To see these tests fail I once broke the code: without `permit_move` the operator alone moved it;
without the comparison of the order, one for another holder did. With only the store asked, a server
was taken for another that had sealed the desk.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.environment import open_environment, read_passphrase
from bastide.app.orders import sign_as_parties
from bastide.app.store_custody import draft_move, permit_move
from bastide.core.errors import BastideError, NotProven, Refused, Waiting
from bastide.core.party import Party
from bastide.core.utc import DAY_MS
from bastide.crypto import dsse
from contracts.softhsm import SoftToken, make_token, needs_softhsm
from contracts.transit_double import TransitDouble
from paths.demo import Demo
from paths.test_store_shred import as_backed_up, rotate
from paths.test_store_shred import founded as founded_at

pytestmark = needs_softhsm


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return make_token(f"p{os.urandom(4).hex()}", tmp_path / "pin")


def founded(tmp_path: Path, *more: str) -> tuple[Demo, dict[str, Path]]:
    demo = Demo(tmp_path / "home")
    made = demo.json("init", *more)
    keys = {
        Path(file).stem: Path(file).rename(tmp_path / Path(file).name) for file in made["key_files"]
    }
    return demo, keys


@pytest.mark.attacks("C281")
def test_the_operator_alone_moves_no_key_out_of_its_token(tmp_path: Path, token: SoftToken) -> None:
    demo, keys = founded(tmp_path, "--parties", "separate", "--keys", token.place("one"))
    held = demo.json("store", "where")["recipients"]
    # A new key in the same token is the operator's to make.
    demo.json("store", "rotate", "--to", token.place("two"))
    assert demo.json("store", "where")["recipients"] != held
    held = demo.json("store", "where")["recipients"]
    waiting = demo.json("store", "rotate", "--to", "file", status=5)
    assert waiting["message"] == (
        f"the store's key moves from pkcs11: the token {token.label}, through"
        " /usr/lib/softhsm/libsofthsm2.so to file, which takes 2 parties, and nobody signed"
    )
    by = ("--reason", "the token is too slow")
    one = demo.json(
        "store", "rotate", "--to", "file", *by, "--key", str(keys["operator"]), status=5
    )
    assert one["reasons"] == ["signatures of 1 of: firm, guardian"]
    assert demo.json("store", "where")["recipients"] == held
    assert not demo.json("ledger", "ls", "--kind", "store-key-move/v1")
    # Two parties sign elsewhere.
    order, files = tmp_path / "order.json", []
    demo.json("store", "rotate", "--to", "file", *by, "--out", str(order))
    for name in ("firm", "guardian"):
        files += ["--import", str(tmp_path / f"{name}.json")]
        shutil.copy(order, files[-1])
        shown = demo.run("sign", files[-1], "--key", str(keys[name]))
        assert "the token is too slow" in shown.stdout + shown.stderr
    assert demo.json("store", "rotate", "--to", "file", *files[:2], status=5)["reasons"]
    demo.json("store", "rotate", "--to", "file", *files)
    assert "keyring" in demo.json("store", "where")["holds"]
    (row,) = demo.json("ledger", "ls", "--kind", "store-key-move/v1")
    assert sorted(row["signers"]) == ["firm", "guardian"]
    # It counted once: the way back takes another one, and this one opens no second move.
    back = demo.json("store", "rotate", "--to", token.place("three"), *files, status=6)
    assert "not about moving" in back["message"]
    demo.json("ledger", "audit")


@pytest.mark.attacks("C281")
def test_an_order_of_something_else_moves_nothing(tmp_path: Path, token: SoftToken) -> None:
    other = make_token(f"q{os.urandom(4).hex()}", tmp_path / "other-pin")
    demo, _ = founded(tmp_path)
    home = Home(demo.home)
    with open_environment(home, read_passphrase(home)) as env:
        draft = draft_move(env, token.place(), "a token at last")
        assert draft is not None
        order = sign_as_parties(env, draft, ())
        firm = env.party_signers()[Party.FIRM]
        wrong: list[tuple[str, object, type[BastideError]]] = [
            (other.place(), order, NotProven),  # another token
            (token.place(), None, Waiting),
            (token.place(), dsse.sign(draft.payload, [firm]), Waiting),
            (token.place(), forged(order), NotProven),
        ]
        for to, given, error in wrong:
            with pytest.raises(error):
                permit_move(env, to, given)  # type: ignore[arg-type]
        assert not env.ledger.find("store-key-move/v1")
        clock = FixedClock(env.clock.now_ms() + 8 * DAY_MS)
        late = replace(env, clock=clock)
        with pytest.raises(Refused, match="ended on"):
            permit_move(late, token.place(), order)
        permit_move(env, token.place(), order)
        permit_move(env, token.place(), None)  # a kill came before the rotation


@pytest.mark.attacks("C281")
def test_another_token_with_the_label_of_the_first_is_another_holder(
    tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator pulls the firm's token out and puts one in that they call the same."""
    demo, _ = founded(tmp_path, "--parties", "separate", "--keys", token.place("one"))
    held = demo.json("store", "where")["recipients"]
    monkeypatch.setenv("SOFTHSM2_CONF", str(elsewhere(tmp_path)))
    twin = make_token(token.label, tmp_path / "twin-pin")
    # Also once it has a key that is called as the old one is.
    for key in ("two", "one", "two"):
        to = replace(token, pin=twin.pin).place(key)
        refused = demo.json("store", "rotate", "--to", to, status=6)
        assert refused["message"].startswith("the new key is not where the old one is")
    monkeypatch.undo()
    assert demo.json("store", "where")["recipients"] == held
    demo.json("store", "rotate", "--to", token.place("two"))


@pytest.mark.attacks("C281")
@pytest.mark.parametrize("where", ["store", "desk"])
def test_another_server_at_the_address_of_the_first_is_another_holder(
    tmp_path: Path, where: str
) -> None:
    """It has a key of the same name and as many versions; only what is sealed tells it apart."""
    double = TransitDouble()
    try:
        (tmp_path / "token").write_text(double.token)
        place = f"openbao:{double.url}/transit/store?token-source=file:{tmp_path / 'token'}"
        home = founded_at(tmp_path / "home", place)
        store, identities = as_backed_up(home.root)
        if where == "desk":
            store = wiring.open_store(home.desk, identities, (), SystemEntropy(), tuple)
        store.put("m/x", [b"secret of m"])
        first = list(double.keys["store"])
        double.keys["store"][:] = [os.urandom(32)]
        with pytest.raises(NotProven, match="is not where the old one is"):
            rotate(home, place)
        double.keys["store"][:] = first
        rotate(home, place)
        _, identities = as_backed_up(home.root)
        folder = home.desk if where == "desk" else home.store
        with wiring.open_store(folder, identities, (), SystemEntropy(), tuple).open(
            "m/x"
        ) as reader:
            assert reader.read_at(0, 6) == b"secret"
    finally:
        double.close()


def elsewhere(folder: Path) -> Path:
    """The settings of a SoftHSM whose tokens are others."""
    path = folder / "bastide-test-twin.conf"
    (folder / "tokens").mkdir()
    path.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    return path


def forged(order: dsse.Envelope) -> dsse.Envelope:
    """The same signatures under another place."""
    body = json.loads(order.payload)
    body["predicate"]["reason"] = "another one"
    payload = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
    return dsse.Envelope(payload, order.signatures, order.payload_type)
