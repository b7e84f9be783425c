# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Kills admissions at random points and finishes them. Run as a script in a fresh process.

    admit_driver.py POINTS FOLDER

The driver imports everything once and forks for every attempt; it never touches a database or a
store itself, because their threads do not survive a fork.
"""

import hashlib
import random
import shutil
import sys
from pathlib import Path

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.records.sql import open_records
from bastide.adapters.store.files import FileReader
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.errors import Refused
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.crypto import age
from bastide.ledger import Ledger
from bastide.stages.admit import Claim, SourceFile, admit
from paths.forking import elapsed, forked
from unit.ledger_fixture import DATABASE_KEY, make_ledger, make_signers
from unit.model_files import make_gguf

GOOD = Claim("small", "made by a test", "Apache-2.0")
BAD = Claim("small", "made by a test", "no licence at all")


def identity() -> str:
    return age.X25519Identity(hashlib.sha256(b"store").digest()).secret()


def opened(home: Path) -> tuple[Ledger, SealedStore]:
    records = open_records(home / "ledger.db", DATABASE_KEY)
    ledger = Ledger(records, make_signers()[Purpose.LEDGER], SystemClock())
    return ledger, SealedStore(
        LocalStore(home / "store"), IdentityKeys([identity()]), [], SystemEntropy()
    )


def run_admission(home: Path, claim: Claim) -> None:
    ledger, store = opened(home)
    reader = FileReader(home.parent / "model.gguf")
    signer = make_signers()[Purpose.EVIDENCE]
    try:
        admit(ledger, store, [SourceFile("model.gguf", reader)], claim, signer, SystemClock())
        assert claim is GOOD
    except Refused as refused:
        assert claim is BAD, refused.reasons


def check(home: Path, claim: Claim) -> None:
    """Finish what was killed, and see that the result is the one of a run in peace."""
    run_admission(home, claim)
    ledger, store = opened(home)
    ledger.audit()
    digest = Digest.of((home.parent / "model.gguf").read_bytes())
    if claim is BAD:
        assert store.names() == []
        assert ledger.find("admission/v1") == []
        assert len(ledger.find("refusal/v1")) == 1
        return
    (admission,) = ledger.find("admission/v1")
    assert store.names() == [f"models/{digest.hex}"]
    (row,) = admission.body["objects"]
    assert [row["header"], row["body"]] == [str(one) for one in store.digests(row["object"])]
    with store.open(row["object"]) as reader:
        assert Digest.of(reader.read_at(0, reader.size)) == digest
    assert admission.body["artifact"]["parts"][0]["digest"] == str(digest)
    assert admission.body["scan"] == {"format_safe": [], "findings": [], "template": []}


def found_home(home: Path) -> None:
    home.mkdir()
    (home / "store").mkdir()
    make_ledger(home)


def run_points(points: int, folder: Path) -> None:
    chance = random.Random(4)
    (folder / "model.gguf").write_bytes(make_gguf(blocks=40, vocabulary=30_000).encode())
    measured = folder / "measured"
    forked(lambda: found_home(measured))
    whole = elapsed(lambda: run_admission(measured, GOOD))
    killed = 0
    for number in range(points):
        home, claim = folder / f"home{number}", (GOOD, BAD)[number % 2]
        forked(lambda home=home: found_home(home))
        for _ in range(1 + number % 3):
            after = chance.uniform(0, 1.1 * whole)
            killed += forked(lambda home=home, claim=claim: run_admission(home, claim), after)
        forked(lambda home=home, claim=claim: check(home, claim))
        shutil.rmtree(home)
    print(f"killed {killed}")


if __name__ == "__main__":
    run_points(int(sys.argv[1]), Path(sys.argv[2]))
