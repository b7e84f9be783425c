# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""An exported ledger and its proofs are verified by Go's sumdb/note and sumdb/tlog, unchanged.

The program is tests/go/verify_log.go; it knows nothing of Bastide.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bastide.app.witnesses import enrolment
from bastide.core.key import Purpose
from bastide.core.party import Party
from bastide.crypto import note
from bastide.crypto.cosignature import CosignerKey
from bastide.crypto.tlog_proof import write_proof
from unit.ledger_fixture import ORIGIN, World, make_ledger, refusal

ROOT = Path(__file__).parents[2]
GO = ROOT / ".sdks" / "go" / "bin" / "go"
MODULE = Path("/usr/share/gocode/src/golang.org/x/mod")
ENTRIES = 600  # two whole tiles and a part of one

pytestmark = [
    pytest.mark.skipif(not GO.exists(), reason="make setup-dev installs Go"),
    pytest.mark.skipif(not MODULE.exists(), reason="golang-golang-x-mod-dev is not installed"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("go")
    source = made / "source"
    shutil.copytree(ROOT / "tests" / "go", source)
    environment = {
        **os.environ,
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
        "GOCACHE": str(made / "cache"),
        "GOPATH": str(made / "path"),
    }
    command = [str(GO), "build", "-o", str(made / "verify_log"), "."]
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made / "verify_log"


@dataclass
class Exported:
    """A log in a folder, and a proof file of its 300th entry under a cosigned head."""

    world: World
    program: Path
    folder: Path
    proof: Path

    def verify(self, status: int = 0) -> str:
        vkey = note.verifier_key(ORIGIN, self.world.signers[Purpose.LEDGER].public)
        done = subprocess.run(
            [str(self.program), str(self.folder), vkey, str(self.proof)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout.strip() or done.stderr.strip()

    def flip(self, path: Path, at: int) -> None:
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)


@pytest.fixture
def exported(tmp_path: Path, program: Path) -> Iterator[Exported]:
    world = make_ledger(tmp_path)
    keys = [
        CosignerKey.from_seeds(f"{party}.example/w1", bytes([n]) * 32, bytes([n + 9]) * 32)
        for n, party in enumerate(Party)
    ]
    for party, key in zip(Party, keys, strict=True):
        statement = enrolment(key.public, party.value, world.clock)
        world.ledger.append_statement(statement, [world.parties[party]])
    rows = [world.state(refusal(f"r{number}")) for number in range(ENTRIES - world.ledger.size)]
    world.ledger.append(rows)
    text = world.ledger.checkpoint()
    body = text.partition("\n\n")[0] + "\n"
    head = text + "".join(key.cosign(body, 1_700_000_000) for key in keys)
    proof = tmp_path / "300.tlog-proof"
    proof.write_text(write_proof(300, world.ledger.prove_inclusion(300, ENTRIES), head))
    folder = tmp_path / "log"
    world.ledger.export(folder)
    yield Exported(world, program, folder, proof)
    world.records.dispose()


@pytest.mark.attacks("C110")
def test_go_accepts_every_entry_and_a_cosigned_proof(exported: Exported) -> None:
    # Six cosignatures by three witnesses stand below the head; Go's note passes over them.
    assert exported.verify() == f"{ENTRIES} 1 3"


@pytest.mark.attacks("C110")
def test_go_refuses_what_was_changed(exported: Exported) -> None:
    entries = exported.folder / "tile" / "entries" / "001"
    for path, at, words in (
        (entries, 40, "entry"),
        (exported.folder / "tile" / "0" / "000", 100, "entry"),
        (exported.folder / "checkpoint", 3, ""),
        (exported.proof, 60, str(exported.proof)),
    ):
        exported.flip(path, at)
        assert words in exported.verify(status=1)
        exported.flip(path, at)
    assert exported.verify() == f"{ENTRIES} 1 3"


def test_go_refuses_another_key(exported: Exported) -> None:
    other = exported.world.signers[Purpose.EVIDENCE].public
    exported.world.signers[Purpose.LEDGER] = exported.world.signers[Purpose.EVIDENCE]
    assert other is exported.world.signers[Purpose.LEDGER].public
    assert "note" in exported.verify(status=1)
