# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A charter that is signed elsewhere: by every party, by nobody else, and no other charter.

To see these tests fail I once broke the code: without the comparison of payloads an older charter's
signature was counted; without `verify_envelope` a forged one was.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.charter_signing import CHARTER_FILE, CharterRound, collect_signatures
from bastide.core.errors import Misconfigured, Unavailable
from bastide.core.key import Purpose, Scheme
from bastide.core.party import Party
from bastide.crypto import dsse
from bastide.crypto.dsse import Envelope
from unit.ledger_fixture import make_signer

PAYLOAD = b'{"a":"charter"}'
SIGNERS = {party: make_signer(party.value, Purpose.PARTY, Scheme.SSHSIG, party) for party in Party}


class Waiting:
    """A round in virtual time: after each look, somebody may put a file into the folder."""

    def __init__(self, folder: Path, *deeds: Callable[[], None]) -> None:
        self.folder = folder
        self.said: list[str] = []
        self._deeds = list(deeds)
        self._clock = FixedClock(1_000)
        keys = {party: signer.public for party, signer in SIGNERS.items()}
        self.round = CharterRound(folder, keys, 60, self._clock, self._sleep, self.said.append)

    def copy(self, name: str, envelope: Envelope) -> None:
        (self.folder / name).write_text(json.dumps(envelope.to_json()))

    def _sleep(self, seconds: float) -> None:
        self._clock.advance(int(1000 * seconds))
        if self._deeds:
            self._deeds.pop(0)()


def signed(party: Party, payload: bytes = PAYLOAD) -> Envelope:
    return dsse.sign(payload, [SIGNERS[party]])


def test_three_copies_or_one_that_went_round(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    for party in Party:
        waiting.copy(f"{party}.json", signed(party))
    assert set(collect_signatures(waiting.round, PAYLOAD)) == set(Party)
    round_trip = tmp_path / "round"
    round_trip.mkdir()
    waiting = Waiting(round_trip)
    waiting.copy("all.json", dsse.sign(PAYLOAD, SIGNERS.values()))
    found = collect_signatures(waiting.round, PAYLOAD)
    assert {party: ident for party, (ident, _) in found.items()} == {
        party: signer.public.ident for party, signer in SIGNERS.items()
    }


@pytest.mark.attacks("C138")
def test_what_does_not_count_is_named_when_the_time_is_over(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    ident, signature = signed(Party.GUARDIAN).signatures[0]
    forged = bytes([signature[0] ^ 1]) + signature[1:]
    stranger = make_signer("stranger", Purpose.PARTY, Scheme.SSHSIG, Party.OPERATOR)
    waiting.copy("firm.json", signed(Party.FIRM))
    waiting.copy("guardian.json", Envelope(PAYLOAD, ((ident, forged),)))
    waiting.copy("older.json", signed(Party.OPERATOR, b'{"an":"older charter"}'))
    waiting.copy("stranger.json", dsse.sign(PAYLOAD, [stranger]))
    (tmp_path / "half.json").write_text('{"payload": "')
    with pytest.raises(Unavailable) as caught:
        collect_signatures(waiting.round, PAYLOAD)
    assert caught.value.message.endswith("not signed by operator, guardian")
    named = {reason.partition(":")[0] for reason in caught.value.reasons}
    assert named == {"guardian.json", "older.json", "stranger.json", "half.json"}
    assert not (tmp_path / CHARTER_FILE).exists(), "nobody signs it for nothing"


def test_a_copy_that_was_half_there_counts_once_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "firm.json").write_text('{"payload": "')
    waiting = Waiting(tmp_path, *(lambda party=party: put(party) for party in Party))

    def put(party: Party) -> None:
        waiting.copy(f"{party}.json", signed(party))

    assert set(collect_signatures(waiting.round, PAYLOAD)) == set(Party)
    assert [line for line in waiting.said if "signed by" in line] == [
        f"  signed by the {party}" for party in Party
    ]


def test_a_charter_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / CHARTER_FILE).write_text("somebody's")
    with pytest.raises(Misconfigured, match="is there already"):
        collect_signatures(Waiting(tmp_path).round, PAYLOAD)
    assert (tmp_path / CHARTER_FILE).read_text() == "somebody's"
