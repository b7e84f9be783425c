# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Admission over a real ledger and a real sealed store: what comes in, and what does not."""

import hashlib
import io
import pickle
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.entropy.seeded import SeededEntropy
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.store.files import FileReader
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.sealed import SealedStore
from bastide.core.artifact import Artifact
from bastide.core.errors import Misconfigured, NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.subject import Digest
from bastide.crypto import age
from bastide.stages.admit import Claim, SourceFile, admit
from paths.demo import driver_environment
from unit.ledger_fixture import World, make_ledger
from unit.model_files import (
    STRING,
    U32,
    MemorySource,
    make_checkpoint,
    make_gguf,
    real_model,
)

CLAIM = Claim("demo", "a package registry", "Apache-2.0")


@dataclass
class Desk:
    """Where models are brought to."""

    world: World
    store: SealedStore
    root: Path

    def bring(self, files: dict[str, Any], claim: Claim = CLAIM, progress: Any = None) -> Evidence:
        sources = [
            SourceFile(path, MemorySource(data) if isinstance(data, bytes) else data)
            for path, data in files.items()
        ]
        signer = self.world.signers[Purpose.EVIDENCE]
        ledger, clock = self.world.ledger, self.world.clock
        return admit(ledger, self.store, sources, claim, signer, clock, progress)

    def refused(self, files: dict[str, Any], claim: Claim = CLAIM) -> tuple[str, ...]:
        with pytest.raises(Refused) as caught:
            self.bring(files, claim)
        return caught.value.reasons

    def stored_files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    identity = age.X25519Identity(hashlib.sha256(b"store").digest()).secret()
    root = tmp_path / "store"
    root.mkdir()
    store = SealedStore(LocalStore(root), IdentityKeys([identity]), [], SeededEntropy(b"admit"))
    return Desk(make_ledger(tmp_path), store, root)


def test_a_real_model_is_admitted(desk: Desk) -> None:
    told: list[tuple[str, int, int]] = []
    reader = FileReader(real_model())
    admission = desk.bring({"model.gguf": reader}, progress=lambda *step: told.append(step))
    size = reader.size
    reader.close()
    body = admission.body
    assert admission.entry == 1
    assert (body["model"], body["format"], body["architecture"]) == ("demo", "gguf", "llama")
    assert (body["parameters"], body["vocabulary"]) == (134_515_008, 49_152)
    assert body["template"]["digest"].startswith("sha256:")
    assert body["scan"] == {"format_safe": [], "findings": [], "template": []}
    artifact = Artifact.from_manifest(body["artifact"])
    assert artifact.digest == admission.subject.digest
    (row,) = body["objects"]
    assert row["object"] == f"models/{artifact.parts[0].digest.hex}"
    assert [row["header"], row["body"]] == [str(one) for one in desk.store.digests(row["object"])]
    assert [step for step in told if step[1] == step[2]] == [
        ("hashing", size, size),
        ("sealing", size, size),
        ("checking", size, size),
    ]
    desk.world.ledger.audit()


def test_admitting_again_gives_the_same_admission(desk: Desk) -> None:
    files = {"model.gguf": make_gguf().encode()}
    first = desk.bring(files)
    size = desk.world.ledger.size
    desk.world.clock.advance(1_000)
    assert desk.bring(files).digest == first.digest
    assert desk.world.ledger.size == size


def test_the_same_file_under_another_name_shares_the_sealed_object(desk: Desk) -> None:
    files = {"model.gguf": make_gguf().encode()}
    first = desk.bring(files)
    second = desk.bring(files, Claim("other", "elsewhere", "MIT"))
    assert second.digest != first.digest
    assert second.body["objects"] == first.body["objects"]
    desk.refused(files, Claim("third", "elsewhere", "not a licence"))
    assert len(desk.store.names()) == 1  # a refusal does not take an admitted object away


def test_several_files_are_one_artifact(desk: Desk) -> None:
    admission = desk.bring(make_checkpoint())
    assert admission.body["format"] == "safetensors"
    paths = [part["path"] for part in admission.body["artifact"]["parts"]]
    assert paths == sorted(make_checkpoint())
    assert len(desk.store.names()) == len(paths)
    assert [row["path"] for row in admission.body["objects"]] == paths


def torch_like() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}, 2))
    return out.getvalue()


EVIL = make_gguf().set("tokenizer.chat_template", STRING, "a\n{{ x.__class__ }}").encode()
SIDE = make_gguf().set("tokenizer.chat_template.tool_use", STRING, "{{ lipsum() }}").encode()
HOSTILE: dict[str, tuple[dict[str, bytes], str]] = {
    "pickle": ({"model.gguf": pickle.dumps({"a": 1})}, "a Python pickle, not GGUF"),
    "torch": ({"model.pt": torch_like()}, "scan-clean: model.pt: a .pt file is not admitted"),
    "named bin": ({"model.bin": make_gguf().encode()}, "a .bin file is not admitted"),
    "tail": ({"model.gguf": make_gguf().encode() + b"x" * 64}, "64 bytes follow"),
    "empty": ({"model.gguf": b""}, "format-safe: it is of no known kind"),
    "eos": (
        {"model.gguf": make_gguf().set("tokenizer.ggml.eos_token_id", U32, 9_999).encode()},
        "format-safe: tokenizer.ggml.eos_token_id is 9999",
    ),
    "template": ({"model.gguf": EVIL}, "scan-clean: line 2: the field __class__"),
    "further template": ({"model.gguf": SIDE}, "chat template tool_use, line 1: a call of lipsum"),
    "code in a checkpoint": (
        {**make_checkpoint(), "modeling_x.py": b"import os\n"},
        "format-safe: modeling_x.py: a .py file is not admitted",
    ),
    "weights alone": (
        {"model.safetensors": make_checkpoint()["model.safetensors"]},
        "format-safe: config.json is missing",
    ),
}


@pytest.mark.attacks("C37")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_is_refused_and_leaves_nothing(desk: Desk, name: str) -> None:
    files, reason = HOSTILE[name]
    reasons = desk.refused(files)
    assert any(reason in one for one in reasons), reasons
    assert desk.store.names() == []
    assert desk.stored_files() == []
    assert desk.world.ledger.find("admission/v1") == []
    (refusal,) = desk.world.ledger.find("refusal/v1")
    assert refusal.subject.name == "demo"
    assert refusal.body["stage"] == "admit"
    assert tuple(refusal.body["reasons"]) == reasons


@pytest.mark.attacks("C37")
def test_every_reason_of_every_gate_is_listed(desk: Desk) -> None:
    reasons = desk.refused({"model.pkl": pickle.dumps([1])}, Claim("demo", "", "Free"))
    gates = [reason.partition(":")[0] for reason in reasons]
    assert set(gates) == {"format-safe", "scan-clean", "origin-stated"}
    assert gates.count("scan-clean") == 2
    assert gates.count("origin-stated") == 2


def test_refusing_the_same_again_adds_nothing_to_the_ledger(desk: Desk) -> None:
    files = {"model.gguf": EVIL}
    first = desk.refused(files)
    size = desk.world.ledger.size
    desk.world.clock.advance(1_000)
    assert desk.refused(files) == first
    assert desk.world.ledger.size == size


class Changing(MemorySource):
    """A file that somebody writes to after it was hashed."""

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        return data if self.reads == 1 else data[:-1] + b"\xff"


@pytest.mark.attacks("C38")
def test_a_file_that_changes_while_it_is_read_is_refused(desk: Desk) -> None:
    reasons = desk.refused({"model.gguf": Changing(make_gguf().encode())})
    assert reasons == ("format-safe: model.gguf changed while it was read",)
    assert desk.store.names() == []
    assert desk.stored_files() == []


def test_a_policy_without_a_rule_admits_nothing(tmp_path: Path) -> None:
    identity = age.X25519Identity(hashlib.sha256(b"store").digest()).secret()
    store = SealedStore(LocalStore(tmp_path), IdentityKeys([identity]), [], SeededEntropy(b"a"))
    policy = {"name": "empty", "separate": False, "rules": {}}
    desk = Desk(make_ledger(tmp_path, policy=policy), store, tmp_path)
    (reason,) = desk.refused({"model.gguf": make_gguf().encode()})
    assert reason.startswith("policy: the policy 'empty' has no rule for the stage admit")


def damage(root: Path) -> None:
    (body,) = root.rglob("*.body")
    raw = bytearray(body.read_bytes())
    raw[-1] ^= 1
    body.write_bytes(raw)


@pytest.mark.attacks("C38")
def test_a_damaged_object_of_an_admitted_model_is_not_replaced(desk: Desk) -> None:
    files = {"model.gguf": make_gguf().encode()}
    desk.bring(files)
    damage(desk.root)
    with pytest.raises(NotProven) as caught:
        desk.bring(files, Claim("other", "elsewhere", "MIT"))
    assert "missing or damaged" in caught.value.message


def test_what_a_killed_run_left_half_written_is_sealed_again(desk: Desk) -> None:
    data = make_gguf().encode()
    name = f"models/{Digest.of(data).hex}"
    desk.store.put(name, [data[:100]])
    desk.bring({"model.gguf": data})
    with desk.store.open(name) as reader:
        assert reader.read_at(0, reader.size) == data


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", "-x", "x" * 200, "a\n"])
def test_a_bad_name_is_named(desk: Desk, name: str) -> None:
    with pytest.raises(Misconfigured):
        desk.bring({"model.gguf": b"GGUF"}, Claim(name, "x", "MIT"))


@pytest.mark.parametrize("path", ["", "../x.gguf", "a/b.gguf", "/x.gguf", "a\n.gguf", "\udc80"])
def test_a_bad_path_is_named(desk: Desk, path: str) -> None:
    with pytest.raises(Misconfigured):
        desk.bring({path: b"GGUF"})


def test_no_file_and_too_many_files_are_named(desk: Desk) -> None:
    for count in (0, 1_000):
        with pytest.raises(Misconfigured):
            desk.bring({f"f{number}": b"" for number in range(count)})


@pytest.mark.attacks("C39")
@pytest.mark.slow
def test_an_admission_that_is_killed_is_finished_by_running_it_again(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(tests / "paths" / "admit_driver.py"), "50", str(tmp_path)],
        capture_output=True,
        text=True,
        env=driver_environment(),
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    killed = int(done.stdout.split()[-1])
    assert killed > 25, done.stdout
