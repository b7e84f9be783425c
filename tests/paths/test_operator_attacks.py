# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What the operator tries who holds the keyring and every file of the home, and no key of others.

Broken once to prove the tests: with the division of parties read from the settings, and with a
claim that `require` takes without a signature, they fail.
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bastide.app.config import Home
from bastide.app.duties import require
from bastide.app.environment import Environment, open_environment, read_passphrase
from bastide.app.presence import PRESENCE_TYPE, Claim
from bastide.core.errors import NotAllowed, NotProven
from bastide.core.party import Party
from bastide.crypto import dsse
from bastide.crypto.dsse import Signer
from paths.demo import Demo, found_apart
from paths.test_access_policies import signer
from paths.test_passkeys import Person, free_port
from unit.authenticator import Passkey, Token


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    return found_apart(tmp_path_factory.mktemp("operator"))


@pytest.fixture
def env(apart: tuple[Demo, Path]) -> Iterator[Environment]:
    home = Home(apart[0].home)
    with open_environment(home, read_passphrase(home)) as env:
        yield env


# The division of parties


@pytest.mark.attacks("C266")
def test_one_word_in_the_settings_makes_nobody_all_three_parties(
    apart: tuple[Demo, Path], tmp_path: Path
) -> None:
    demo, _ = apart
    policy = tmp_path / "guard.toml"
    policy.write_text("[out]\niban = 'mask'\n")
    config = demo.home / "config.toml"
    honest = config.read_text()
    try:
        config.write_text(honest.replace('parties = "separate"', 'parties = "solo"'))
        told = demo.json("guard", "set", str(policy), status=2)
        assert told["error"] == "misconfigured"
        assert "the charter 'separate'" in told["message"]
        assert 'parties = "separate"' in told["fix"]
        demo.run("ledger", "audit", status=2)
    finally:
        config.write_text(honest)
    assert demo.json("guard", "set", str(policy), status=4)["error"] == "not-allowed"
    both = demo.json("guard", "set", "--signed", str(policy), "--out", "g.json", status=2)
    assert (
        "give one" in both["message"]
    )  # and nothing is drafted, least of all the end of the policy
    assert demo.json("ledger", "audit")["entries"] == 1


@pytest.mark.attacks("C266")
def test_who_is_there_is_read_from_the_charter_alone(env: Environment) -> None:
    assert env.principal.parties == {Party.OPERATOR}


# Who claims to be a party


def claiming(env: Environment, party: Party, sign: Callable[[bytes], bytes] | None) -> Environment:
    """With a key that names the party's enrolled public key, and signs in another way."""
    key = next(key for key in env.ledger.keys().values() if key.party == party)

    def refuse(message: bytes) -> bytes:
        raise NotAllowed("nobody touched the device")

    signer = Signer(key, sign or refuse)
    return replace(env, claim=Claim(signer, party, "here", env.clock, env.entropy))


@pytest.mark.attacks("C267")
def test_a_public_key_alone_is_no_party(env: Environment) -> None:
    with pytest.raises(NotAllowed, match="nobody touched"):
        require(claiming(env, Party.GUARDIAN, None), "guard-set", "*")


@pytest.mark.attacks("C267")
def test_a_signature_of_another_key_is_none(env: Environment, apart: tuple[Demo, Path]) -> None:
    stranger = signer(apart[1], Party.OPERATOR)
    with pytest.raises(NotAllowed, match="did not sign the challenge"):
        require(claiming(env, Party.GUARDIAN, stranger.sign), "guard-set", "*")


@pytest.mark.attacks("C267")
def test_a_signature_of_an_earlier_challenge_is_none(
    env: Environment, apart: tuple[Demo, Path]
) -> None:
    guardian, kept = signer(apart[1], Party.GUARDIAN), []

    def recorded(message: bytes) -> bytes:
        kept.append(guardian.sign(message))
        return kept[-1]

    require(claiming(env, Party.GUARDIAN, recorded), "guard-set", "*")
    with pytest.raises(NotAllowed, match="did not sign the challenge"):
        require(claiming(env, Party.GUARDIAN, lambda _: kept[0]), "guard-set", "*")


def test_a_key_is_asked_once_and_only_for_what_needs_it(
    env: Environment, apart: tuple[Demo, Path]
) -> None:
    firm, asked = signer(apart[1], Party.FIRM), []

    def counted(message: bytes) -> bytes:
        asked.append(message)
        return firm.sign(message)

    acting = claiming(env, Party.FIRM, counted)
    require(acting, "read")
    require(acting, "deployment-start")  # the operator's own
    with pytest.raises(NotAllowed, match="may not guard"):
        require(acting, "guard-set", "*")  # what the firm may not do either takes no touch
    assert not asked
    require(acting, "dataset-text", "books")
    require(acting, "dataset-export", "books")
    assert len(asked) == 1


@pytest.mark.attacks("C268")
def test_a_signed_challenge_is_no_statement(env: Environment, apart: tuple[Demo, Path]) -> None:
    guardian = signer(apart[1], Party.GUARDIAN)
    envelope = dsse.sign(b"{}", [guardian], PRESENCE_TYPE)
    with pytest.raises(NotProven, match="payload type"):
        dsse.verify_envelope(envelope, env.ledger.keys())
    with pytest.raises(NotProven, match="payload type"):
        dsse.verify_envelope(dsse.sign(b"{}", [guardian]), env.ledger.keys(), PRESENCE_TYPE)


@pytest.mark.attacks("C267")
@pytest.mark.parametrize("holder", [Passkey("guardian"), Token("guardian")], ids=["passkey", "sk"])
def test_a_key_in_a_device_proves_itself(env: Environment, holder: Passkey | Token) -> None:
    known = holder.signer(Party.GUARDIAN)
    other = type(holder)("another")
    for device, holds in ((holder, True), (other, False)):
        given = Signer(known.public, device.sign)
        acting = replace(env, claim=Claim(given, Party.GUARDIAN, "here", env.clock, env.entropy))
        if holds:
            require(acting, "guard-set", "*")
        else:
            with pytest.raises(NotAllowed, match="did not sign"):
                require(acting, "guard-set", "*")


@pytest.mark.attacks("C267")
def test_a_passkey_file_that_was_copied_opens_nothing(tmp_path: Path) -> None:
    """The whole road: the file alone waits for a signature, and another passkey's is refused."""
    demo = Demo(tmp_path / "home")
    person, file = Person(demo, free_port(), "guardian"), tmp_path / "guardian.passkey"
    person.make(file, "guardian")
    person.sign("init", "--parties", "separate", "--party-key", f"guardian={file}")
    names, out = tmp_path / "names.txt", tmp_path / "list.json"
    names.write_text("Anna Schmidt-Müller\n")
    made = ("guard", "erasure", "make", str(names), str(out), "--key", str(file))
    process = person.start(*made)
    shown = person.task()
    assert json.loads(person_text(shown["message"]))["action"] == "erasure-list"
    process.terminate()
    process.communicate(timeout=30)
    assert not out.exists()
    assert person.sign(*made)["names"] == 1
    assert out.exists()


def person_text(message: str) -> str:
    """What the page shows of a challenge."""
    text = base64.urlsafe_b64decode(message + "=" * (-len(message) % 4)).decode()
    assert PRESENCE_TYPE in text
    return text[text.index("{") :]


# What the guardian decides


@pytest.mark.attacks("C89")
def test_a_guard_policy_takes_the_guardians_signature(
    apart: tuple[Demo, Path], tmp_path: Path
) -> None:
    demo, people = apart
    policy, statement = tmp_path / "guard.toml", tmp_path / "guard.json"
    policy.write_text("[out]\niban = 'mask'\n")
    told = demo.json("guard", "set", str(policy), "--key", str(people / "operator.key"), status=4)
    assert told["error"] == "not-allowed"
    row = demo.json("guard", "set", str(policy), "--key", str(people / "guardian.key"))
    # On the guardian's own machine: the file travels there and back.
    demo.json("guard", "set", "--off", "--out", str(statement))
    told = demo.json("guard", "set", "--signed", str(statement), status=4)
    assert told["error"] == "not-allowed", "nobody has signed it"
    Demo(tmp_path / "elsewhere").json("sign", str(statement), "--key", str(people / "guardian.key"))
    ended = demo.json("guard", "set", "--signed", str(statement))
    assert (ended["entry"], ended["digest"]) == (row["entry"] + 1, None)
    told = demo.json("guard", "set", "--signed", str(statement), status=3)
    assert told["error"] == "refused", "it does not come into force twice"
    assert demo.json("guard", "show") == []
    assert demo.json("ledger", "audit")["entries"] == row["entry"] + 2


@pytest.mark.attacks("C89")
def test_an_erasure_list_takes_the_guardians_signature(
    apart: tuple[Demo, Path], tmp_path: Path
) -> None:
    demo, people = apart
    key = ("--key", str(people / "guardian.key"))
    names, listed, other, statement = (tmp_path / name for name in ("names", "list", "other", "s"))
    names.write_text("Anna Schmidt-Müller\n")
    for file in (listed, other):
        demo.json("guard", "erasure", "make", str(names), str(file), *key)
    demo.json("guard", "erasure", "import", str(listed), status=4)
    demo.json("guard", "erasure", "import", str(listed), "--out", str(statement))
    demo.json("sign", str(statement), *key)
    signed = ("--signed", str(statement))
    told = demo.json("guard", "erasure", "import", str(other), *signed, status=6)
    assert "another list" in told["message"]
    assert demo.json("guard", "erasure", "import", str(listed), *signed)["entries"]
    out = tmp_path / "again"
    demo.json("guard", "erasure", "export", str(out), *key)
    assert out.read_bytes() == listed.read_bytes()
    demo.json("ledger", "audit")
