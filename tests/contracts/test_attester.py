# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The TPM adapter over a real TPM emulator: what it answers holds, and what it cannot is said.

To see these tests fail I once broke the code: with the log written after the register was extended
a kill in between locked the machine; without the last `replay` an extend that did nothing passed.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.adapters.attest.tpm2 import TpmAttester
from bastide.adapters.keys.durable import write_over
from bastide.core.errors import Misconfigured, NotProven, Refused, Unavailable
from bastide.crypto import tpm
from bastide.crypto.hardware_chain import read_chain, verify_chain
from bastide.crypto.tpm_evidence import replay
from paths.swtpm_rig import SoftTpm, needs_swtpm
from unit.node_fixture import EVENT

OTHER = {**EVENT, "software": "sha256:" + "9" * 64}
FORM = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
pytestmark = needs_swtpm


@pytest.fixture(scope="module")
def chip() -> Iterator[SoftTpm]:
    made = SoftTpm()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def booted(chip: SoftTpm) -> SoftTpm:
    chip.boot()
    return chip


def attester(chip: SoftTpm, folder: Path, issuers: str = "") -> TpmAttester:
    return TpmAttester(chip.tcti, 14, folder / "node" / "events.json", write_over, issuers)


def held(one: TpmAttester) -> bytes:
    return one.quote(bytes(32))["registers"][-32:]


def test_keys_are_the_same_after_a_boot_and_are_what_a_quote_needs(
    booted: SoftTpm, tmp_path: Path
) -> None:
    first = attester(booted, tmp_path)
    public = first.identify()
    attesting, endorsing = (tpm.read_public(public[name], name) for name in ("ak", "ek"))
    attesting.verify_attesting()
    endorsing.verify_endorsing()
    first.measure(EVENT)
    parts = first.quote(bytes(range(32)))
    tpm.verify_quote_signature(attesting, parts["quote"], parts["signature"])
    assert tpm.read_quote(parts["quote"]).qualifying == bytes(range(32))
    assert parts["registers"][-32:] == replay([EVENT])
    first.close()
    booted.boot()
    assert attester(booted, tmp_path).identify() == public


def test_a_credential_of_ours_opens_in_the_tpm_and_only_for_its_key(
    booted: SoftTpm, tmp_path: Path
) -> None:
    one = attester(booted, tmp_path)
    public = one.identify()
    endorsing = tpm.read_public(public["ek"], "ek")
    name = tpm.read_public(public["ak"], "ak").name
    made = tpm.make_credential(endorsing, name, bytes(range(32)), os.urandom)
    challenge = {"blob": made.blob, "secret": made.secret}
    assert one.answer(challenge) == bytes(range(32))
    assert one.answer(challenge) == bytes(range(32)), "nothing is left loaded"
    other = tpm.make_credential(endorsing, b"\0\x0b" + bytes(32), bytes(32), os.urandom)
    with pytest.raises(Unavailable, match="tpm2_activatecredential failed"):
        one.answer({"blob": other.blob, "secret": other.secret})


def test_the_chain_of_its_maker_is_shown_and_holds(booted: SoftTpm, tmp_path: Path) -> None:
    public = attester(booted, tmp_path, str(booted.issuers)).identify()
    chain = read_chain(public["ek_chain"], "ek_chain")
    verify_chain(chain, time.time_ns() // 1_000_000, length=None)
    own = tpm.read_public(public["ek"], "ek").key
    assert chain[0].public_key().public_bytes(*FORM) == own.public_bytes(*FORM)
    assert len(chain) == 3
    (tmp_path / "bad.pem").write_text("no certificate")
    for wrong in (tmp_path / "bad.pem", tmp_path / "none.pem", tmp_path):
        with pytest.raises(Misconfigured, match="is no PEM file of certificates"):
            attester(booted, tmp_path, str(wrong))


def test_the_same_measurement_again_extends_nothing(booted: SoftTpm, tmp_path: Path) -> None:
    attester(booted, tmp_path).measure(EVENT)
    again = attester(booted, tmp_path)
    again.measure(EVENT)
    assert held(again) == replay([EVENT])
    again.measure(OTHER)
    again.measure(EVENT)
    assert held(again) == replay([EVENT, OTHER, EVENT]), "what once ran stays told"


def test_a_boot_empties_register_and_log(booted: SoftTpm, tmp_path: Path) -> None:
    one = attester(booted, tmp_path)
    one.measure(OTHER)
    booted.boot()
    one.measure(EVENT)
    assert held(one) == replay([EVENT])


def test_a_kill_between_log_and_register_changes_nothing(booted: SoftTpm, tmp_path: Path) -> None:
    one = attester(booted, tmp_path)
    one.measure(EVENT)
    log = tmp_path / "node" / "events.json"
    log.write_text(json.dumps([EVENT, OTHER]))  # written, and then it was killed
    assert json.loads(one.quote(bytes(32))["events"]) == [EVENT]
    one.measure(OTHER)
    assert held(one) == replay([EVENT, OTHER])


def test_a_kill_right_after_the_register_changes_nothing(
    booted: SoftTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = attester(booted, tmp_path)
    real = one._tool

    def killed(name: str, *args: str, **more: bool) -> None:
        real(name, *args, **more)
        if name == "pcrextend":
            raise KeyboardInterrupt

    monkeypatch.setattr(one, "_tool", killed)
    with pytest.raises(KeyboardInterrupt):
        one.measure(EVENT)
    again = attester(booted, tmp_path)
    again.measure(EVENT)
    assert held(again) == replay([EVENT])


@pytest.mark.parametrize("text", ["[]", "{", None])
def test_a_log_that_was_lost_or_changed_is_not_believed(
    booted: SoftTpm, tmp_path: Path, text: str | None
) -> None:
    one = attester(booted, tmp_path)
    one.measure(EVENT)
    log = tmp_path / "node" / "events.json"
    if text is None:
        log.unlink()
    else:
        log.write_text(text)
    for deed in (lambda: one.measure(EVENT), lambda: one.quote(bytes(32))):
        with pytest.raises((Refused, Unavailable)):
            deed()


@pytest.mark.attacks("C169")
def test_what_root_extends_is_seen(booted: SoftTpm, tmp_path: Path) -> None:
    one = attester(booted, tmp_path)
    one.measure(EVENT)
    booted.tool("pcrextend", f"14:sha256={'9' * 64}")
    with pytest.raises(Refused, match="holds measurements that"):
        one.quote(bytes(32))


def test_two_runners_at_once_measure_one_after_the_other(booted: SoftTpm, tmp_path: Path) -> None:
    made = [attester(booted, tmp_path) for _ in range(3)]
    failed: list[BaseException] = []

    def measure(one: TpmAttester) -> None:
        try:
            one.measure(EVENT)
            one.quote(bytes(32))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=measure, args=(one,)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert held(made[0]) == replay([EVENT])


def test_a_register_that_cannot_be_extended_is_no_measurement(
    booted: SoftTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = attester(booted, tmp_path)
    real = one._tool
    monkeypatch.setattr(
        one, "_tool", lambda name, *args, **more: name == "pcrextend" or real(name, *args, **more)
    )
    with pytest.raises(NotProven, match="was not extended as asked"):
        one.measure(EVENT)


def test_a_tpm_that_is_away_is_unavailable(tmp_path: Path) -> None:
    one = TpmAttester("swtpm:path=/nonexistent/tpm", 14, tmp_path / "events.json", write_over)
    for deed in (one.identify, lambda: one.measure(EVENT), lambda: one.quote(bytes(32))):
        with pytest.raises(Unavailable, match="failed with the TPM swtpm"):
            deed()


def test_without_the_tools_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = TpmAttester("device:/dev/null", 14, tmp_path / "events.json", write_over)
    monkeypatch.setattr("bastide.adapters.attest.tpm2.shutil.which", lambda *_, **__: None)
    with pytest.raises(Unavailable, match="tpm2-tools are not installed") as raised:
        one.identify()
    assert raised.value.fix == "install `tpm2-tools`"


def test_nothing_secret_is_left_in_its_folder(booted: SoftTpm, tmp_path: Path) -> None:
    one = attester(booted, tmp_path)
    one.identify()
    one.close()
    assert not list((tmp_path / "node").glob("tpm-*"))
