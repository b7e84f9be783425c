# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The promise of the KeyService port, over every service and every decorator."""

import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.keys.memory import new_identities
from bastide.adapters.keys.pkcs11 import Pkcs11Keys
from bastide.adapters.keys.pkcs11_token import Place, Token
from bastide.adapters.keys.services import key_service, make_store_keys
from bastide.adapters.keys.watched import ChainedKeys, DenyFile, WatchedKeys
from bastide.adapters.store.memory import MemoryStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotProven,
    Refused,
    Unavailable,
)
from bastide.crypto import age
from bastide.ports import KeyService
from contracts.softhsm import PIN, SoftToken, make_token, needs_softhsm, tokens
from contracts.transit_double import TransitDouble
from paths.swtpm_rig import SoftTpm, needs_swtpm

ENTROPY = SystemEntropy()
FILE_KEY = bytes(range(16))
YEAR_MS = 365 * 86_400_000


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return make_token(f"t{os.urandom(4).hex()}", tmp_path / "pin")


def held(folder: Path) -> KeyService:
    return key_service(make_store_keys("file", ENTROPY))


def in_token(folder: Path) -> KeyService:
    token = make_token(f"t{os.urandom(4).hex()}", folder / "pin")
    return key_service(make_store_keys(token.place(), ENTROPY))


def chained(folder: Path) -> KeyService:
    return ChainedKeys([in_token(folder), held(folder)])


def watched(folder: Path) -> KeyService:
    return WatchedKeys(held(folder), folder / "log" / "o", DenyFile(folder / "d"), FixedClock(0))


def in_openbao(folder: Path) -> KeyService:
    double = TransitDouble()
    (folder / "token").write_text(double.token + "\n")
    place = f"openbao:{double.url}/transit/store?token-source=file:{folder / 'token'}"
    return key_service(make_store_keys(place, ENTROPY))


_CHIPS: list[SoftTpm] = []


def in_tpm(folder: Path) -> KeyService:
    _CHIPS.append(SoftTpm())
    place = f"tpm:0x01800b57?tcti={_CHIPS[-1].tcti}&registers=0,7"
    return key_service(make_store_keys(place, ENTROPY))


SERVICES: dict[str, Callable[[Path], KeyService]] = {
    "file": held,
    "pkcs11": in_token,
    "openbao": in_openbao,
    "tpm": in_tpm,
    "chained": chained,
    "watched": watched,
}


NEEDS = {"pkcs11": needs_softhsm, "chained": needs_softhsm, "tpm": needs_swtpm}


@pytest.fixture(params=[pytest.param(name, marks=NEEDS.get(name, ())) for name in SERVICES])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyService]:
    yield SERVICES[request.param](tmp_path)
    while _CHIPS:
        _CHIPS.pop().stop()


def stanza_for(service: KeyService) -> age.Stanza:
    return service.recipients()[0].wrap(FILE_KEY, ENTROPY.token)


def test_it_opens_what_was_sealed_to_each_of_its_recipients(service: KeyService) -> None:
    for recipient in service.recipients():
        assert service.unwrap([recipient.wrap(FILE_KEY, ENTROPY.token)], "x") == FILE_KEY


def test_what_is_sealed_to_others_is_not_for_it(service: KeyService) -> None:
    stranger = IdentityKeys(new_identities(ENTROPY)).recipients()
    stanzas = [recipient.wrap(FILE_KEY, ENTROPY.token) for recipient in stranger]
    assert service.unwrap(stanzas, "x") is None
    assert service.unwrap([], "x") is None
    assert service.unwrap([*stanzas, stanza_for(service)], "x") == FILE_KEY


def test_a_changed_stanza_gives_nothing(service: KeyService) -> None:
    stanza = stanza_for(service)
    for body in (bytes(len(stanza.body)), stanza.body[::-1]):
        assert service.unwrap([age.Stanza(stanza.arguments, body)], "x") is None
    with pytest.raises(Misconfigured):
        service.unwrap([age.Stanza(stanza.arguments, stanza.body[:-1])], "x")


def test_it_is_healthy_and_says_what_it_is(service: KeyService) -> None:
    health = service.health()
    assert all(name in health for name in service.name.split(", then "))
    assert "AGE-SECRET" not in repr(service) + service.name


def test_a_store_over_it_seals_opens_and_rewraps(service: KeyService) -> None:
    inner = MemoryStore()
    owner = age.X25519Identity(ENTROPY.token(32))
    store = SealedStore(inner, service, [str(owner.recipient())], ENTROPY)
    store.put("m/x", [b"weights" * 20_000])
    body = store.digests("m/x")[1]
    store.rewrap("m/x")
    assert store.digests("m/x")[1] == body
    with store.open("m/x") as reader:
        assert reader.read_at(0, 7) == b"weights"
    assert b"".join(age.open_stream(store.export("m/x"), [owner])) == b"weights" * 20_000


def test_many_callers_at_once(service: KeyService) -> None:
    stanzas = [stanza_for(service)]
    found: list[bytes | None] = []

    def call() -> None:
        found.extend(service.unwrap(stanzas, "x") for _ in range(20))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [FILE_KEY] * 160


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    good = "pkcs11:token=t;object=o?module-path=/m.so&pin-source=file:/p"
    assert str(Place.parse(good)) == good
    odd = Place("a;b=c?&%", "o o", Path("/m & n.so"), Path("/p"), "age1tag1x")
    assert Place.parse(str(odd)) == odd
    for wrong in (
        "vault:x",
        "pkcs11:token=t;object=o",
        good + "&pin-value=1234",  # a PIN in a URI ends up in histories and lists of processes
        good + "&module-path=/n.so",
        good.replace("/m.so", "m.so"),
        good.replace("file:/p", "/p"),
        good.replace("file:/p", "file:p"),
        "pkcs11:" + "token",
    ):
        with pytest.raises(Misconfigured):
            make_store_keys(wrong, ENTROPY)
    with pytest.raises(Misconfigured, match="age1tag1"):
        key_service([good]).recipients()
    with pytest.raises(Misconfigured, match="there is no PKCS#11 module"):
        make_store_keys(good, ENTROPY)
    module = tmp_path / "m.so"
    module.write_bytes(b"")
    module.chmod(0o666)
    (tmp_path / "pin").write_text(PIN)
    theirs = f"pkcs11:token=t;object=o?module-path={module}&pin-source=file:{tmp_path / 'pin'}"
    with pytest.raises(Misconfigured, match="written by others"):
        make_store_keys(theirs, ENTROPY)


# What only a token can do wrong.


@needs_softhsm
def test_a_software_token_is_never_called_hardware(token: SoftToken) -> None:
    service = key_service(make_store_keys(token.place(), ENTROPY))
    assert "software twin" in service.health()
    assert "no hardware protects" in service.name


@needs_softhsm
def test_the_key_stays_in_the_token_and_is_made_once(token: SoftToken) -> None:
    import pkcs11

    (place,) = make_store_keys(token.place(), ENTROPY)
    assert make_store_keys(token.place(), ENTROPY) == (place,)
    seen = Token(Place.parse(place))
    for secret in (pkcs11.Attribute.VALUE, pkcs11.Attribute.PRIVATE_EXPONENT):
        with pytest.raises(Unavailable):
            seen.ask(lambda _, wanted=secret: seen.key("PRIVATE_KEY")[wanted])
    assert seen.ask(lambda _: seen.key("PRIVATE_KEY")[pkcs11.Attribute.SENSITIVE]) is True
    assert seen.ask(lambda _: seen.key("PRIVATE_KEY")[pkcs11.Attribute.EXTRACTABLE]) is False


@needs_softhsm
def test_a_lost_session_heals_by_itself(token: SoftToken) -> None:
    import pkcs11

    from contracts.softhsm import MODULE

    (place,) = make_store_keys(token.place(), ENTROPY)
    service = Pkcs11Keys(Place.parse(place), seen := Token(Place.parse(place)))
    stanza = stanza_for(service)
    assert service.unwrap([stanza], "x") == FILE_KEY
    losses: list[Callable[[], object]] = [
        lambda: seen.ask(lambda session: session.close()),
        lambda: pkcs11.lib(str(MODULE)).finalize(),
        seen.forget,
    ]
    for lose in losses:
        lose()
        assert service.unwrap([stanza], "x") == FILE_KEY


@pytest.mark.attacks("C126")
@needs_softhsm
def test_a_token_that_is_away_opens_nothing_until_it_is_back(
    token: SoftToken, tmp_path: Path
) -> None:
    import pkcs11

    from contracts.softhsm import MODULE

    (place,) = make_store_keys(token.place(), ENTROPY)
    service = Pkcs11Keys(Place.parse(place))
    stanza = stanza_for(service)
    assert service.unwrap([stanza], "x") == FILE_KEY
    there = tokens()
    away = there.rename(there.with_name("away"))
    there.mkdir()
    pkcs11.lib(str(MODULE)).finalize()  # SoftHSM keeps what it has read
    try:
        for _ in range(3):
            with pytest.raises(Unavailable, match=token.label):
                service.unwrap([stanza], "x")
            with pytest.raises(Unavailable):
                service.health()
    finally:
        there.rmdir()
        away.rename(there)
    assert service.unwrap([stanza], "x") == FILE_KEY


@needs_softhsm
def test_a_slow_token_is_not_waited_for(token: SoftToken) -> None:
    (place,) = make_store_keys(token.place(), ENTROPY)
    seen = Token(Place.parse(place), patience_s=0.3)
    service = Pkcs11Keys(Place.parse(place), seen)
    stanza = stanza_for(service)
    until = threading.Event()
    with pytest.raises(Unavailable, match="did not answer"):
        seen.ask(lambda _: until.wait(30))
    started = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer"):
        service.unwrap([stanza], "x")
    assert time.monotonic() - started < 5
    until.set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert service.unwrap([stanza], "x") == FILE_KEY
            break
        except Unavailable:
            continue
    else:
        raise AssertionError("it did not come back")


@pytest.mark.attacks("C126")
@needs_softhsm
def test_another_key_under_the_same_name_is_found_out(tmp_path: Path) -> None:
    label = f"t{os.urandom(4).hex()}"
    first = make_token(label, tmp_path / "pin")
    (place,) = make_store_keys(first.place(), ENTROPY)
    stanza = age.parse_recipient(Place.parse(place).recipient).wrap(FILE_KEY, ENTROPY.token)
    first.erase()
    make_token(label, tmp_path / "pin")
    # SoftHSM reads its tokens when it starts; a first try lets it look again.
    for _ in range(2):
        try:
            (other,) = make_store_keys(first.place(), ENTROPY)
        except BastideError:
            continue
    assert other != place
    wrong = Pkcs11Keys(Place.parse(place))
    with pytest.raises(NotProven, match="another key"):
        wrong.unwrap([stanza], "x")
    with pytest.raises(NotProven, match="another key"):
        wrong.health()


@needs_softhsm
def test_a_wrong_pin_is_tried_once(token: SoftToken) -> None:
    (place,) = make_store_keys(token.place(), ENTROPY)
    import pkcs11

    from contracts.softhsm import MODULE

    pkcs11.lib(str(MODULE)).finalize()  # nobody in this process is logged in any more
    token.pin.write_text("0000-wrong")
    service = Pkcs11Keys(Place.parse(place))
    for _ in range(5):
        with pytest.raises(NotAllowed, match="does not open") as caught:
            service.health()
        assert "0000" not in str(caught.value) + caught.value.fix
    token.pin.unlink()
    with pytest.raises(NotFound):
        service.health()
    token.pin.write_text(PIN)
    service.health()


# What the decorator adds.


def events(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "log" / "o").read_text().splitlines()
    return [(row["object"], row["outcome"]) for row in map(json.loads, lines)]


@pytest.mark.attacks("C127")
def test_every_opening_is_an_event_before_it_happens(tmp_path: Path) -> None:
    service = watched(tmp_path)
    service.unwrap([stanza_for(service)], "m/1")
    service.unwrap([], "m/2")
    with pytest.raises(Misconfigured):
        stanza = stanza_for(service)
        service.unwrap([age.Stanza(stanza.arguments, b"")], "m/3")
    assert events(tmp_path) == [
        ("m/1", "asked"),
        ("m/2", "asked"),
        ("m/2", "foreign"),
        ("m/3", "asked"),
        ("m/3", "failed"),
    ]
    record = tmp_path / "log" / "o"
    assert record.stat().st_mode & 0o777 == 0o600
    record.unlink()
    record.mkdir()  # cannot be written to
    with pytest.raises(Unavailable, match="cannot be recorded"):
        service.unwrap([stanza_for(service)], "m/1")


@pytest.mark.attacks("C127")
def test_the_owner_denies_and_allows(tmp_path: Path) -> None:
    service, denied = watched(tmp_path), DenyFile(tmp_path / "d")
    stanzas = [stanza_for(service)]
    for entry in ("m/1", "m/", "*"):
        denied.write([entry, "else"])
        with pytest.raises(Refused, match="the owner denies") as refused:
            service.unwrap(stanzas, "m/1")
        assert refused.value.fix.endswith("bastide store allow " + shlex.quote(entry))
    denied.write(["m/2"])
    assert service.unwrap(stanzas, "m/1") == FILE_KEY
    (tmp_path / "d").write_bytes(b"\xff\xfe")
    with pytest.raises(Unavailable, match="nothing is opened"):
        service.unwrap(stanzas, "m/1")
    (tmp_path / "d").unlink()
    assert service.unwrap(stanzas, "m/1") == FILE_KEY
    assert [outcome for _, outcome in events(tmp_path)].count("denied") == 3


def test_a_clock_that_jumps_a_year_changes_nothing(tmp_path: Path) -> None:
    now = 1_795_000_000_000
    for time_ms in (now, now + YEAR_MS, now - YEAR_MS):
        inner = held(tmp_path)
        record, denied = tmp_path / str(time_ms), DenyFile(tmp_path / "d")
        service = WatchedKeys(inner, record, denied, FixedClock(time_ms))
        denied.write([])
        assert service.unwrap([stanza_for(service)], "m") == FILE_KEY
        denied.write(["*"])
        with pytest.raises(Refused):
            service.unwrap([stanza_for(service)], "m")
        rows = [json.loads(line) for line in record.read_text().splitlines()]
        assert {row["time_ms"] for row in rows} == {time_ms}
