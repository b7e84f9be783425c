# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Model-signing bundles of ours are checked by the public verifier over real files."""

import subprocess
import sys
from pathlib import Path

import pytest

from bastide.core.artifact import Artifact, Part
from bastide.core.errors import Misconfigured, NotProven
from bastide.core.key import PublicKey, Purpose
from bastide.core.subject import Digest
from bastide.crypto import p256
from bastide.crypto.model_signing import model_signing_bundle, verify_model_signing

FILES = {
    "config.json": b'{"architecture": "llama"}\n',
    "model-00001-of-00002.safetensors": bytes(range(256)) * 64,
    "model-00002-of-00002.safetensors": b"",
    "tokenizer/vocab.json": b"{}",
}
SIGNER = p256.signer_of(p256.secret_from(bytes(range(48))))
ARTIFACT = Artifact.of(Part(name, len(data), Digest.of(data)) for name, data in FILES.items())
BUNDLE = model_signing_bundle(ARTIFACT, "demo", SIGNER)


def _write(folder: Path) -> Path:
    model = folder / "model"
    for name, data in FILES.items():
        path = model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "model.sig").write_bytes(BUNDLE)
    (folder / "key.pem").write_bytes(p256.public_pem(SIGNER.public))
    return model


def _stock_verify(folder: Path, model: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(model)]
    keys = ["--signature", str(folder / "model.sig"), "--public_key", str(folder / "key.pem")]
    return subprocess.run(
        [*command, *keys],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.attacks("C63")
def test_the_public_verifier_accepts_our_bundle(tmp_path: Path) -> None:
    result = _stock_verify(tmp_path, _write(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "succeeded" in result.stdout


def test_the_public_verifier_accepts_one_gguf_file_beside_its_signature(tmp_path: Path) -> None:
    data = b"GGUF" + bytes(1000)
    artifact = Artifact.of([Part("model.gguf", len(data), Digest.of(data))])
    (tmp_path / "model.gguf").write_bytes(data)
    (tmp_path / "model.sig").write_bytes(model_signing_bundle(artifact, "tiny", SIGNER))
    (tmp_path / "key.pem").write_bytes(p256.public_pem(SIGNER.public))
    extra = _stock_verify(tmp_path, tmp_path)
    assert extra.returncode != 0, "key.pem is an extra file"
    assert "key.pem" in extra.stderr


def _flip(model: Path) -> None:
    path = model / "model-00001-of-00002.safetensors"
    data = bytearray(path.read_bytes())
    data[1234] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        _flip,
        lambda model: (model / "extra.py").write_text("import os"),
        lambda model: (model / "config.json").unlink(),
        lambda model: (model / "config.json").rename(model / "config2.json"),
    ],
    ids=["flipped-byte", "extra-file", "missing-file", "renamed-file"],
)
def test_the_public_verifier_refuses_changed_models(tmp_path: Path, harm) -> None:
    model = _write(tmp_path)
    harm(model)
    result = _stock_verify(tmp_path, model)
    assert result.returncode == 1
    assert "failed" in result.stderr


def test_the_public_verifier_refuses_another_key(tmp_path: Path) -> None:
    model = _write(tmp_path)
    other = p256.signer_of(p256.secret_from(bytes(48)))
    (tmp_path / "key.pem").write_bytes(p256.public_pem(other.public))
    assert _stock_verify(tmp_path, model).returncode == 1


def test_ours_accepts_the_bundle_and_signs_deterministically() -> None:
    verify_model_signing(BUNDLE, ARTIFACT, "demo", SIGNER.public)
    assert model_signing_bundle(ARTIFACT, "demo", SIGNER) == BUNDLE


def test_ours_refuses_every_flipped_bit() -> None:
    for position in range(0, len(BUNDLE) * 8, 3):
        bad = bytearray(BUNDLE)
        bad[position // 8] ^= 1 << position % 8
        with pytest.raises(NotProven):
            verify_model_signing(bytes(bad), ARTIFACT, "demo", SIGNER.public)


def test_ours_refuses_other_parts_names_and_keys() -> None:
    fewer = Artifact.of(ARTIFACT.parts[:-1])
    with pytest.raises(NotProven, match="other parts"):
        verify_model_signing(BUNDLE, fewer, "demo", SIGNER.public)
    with pytest.raises(NotProven, match="other parts"):
        verify_model_signing(BUNDLE, ARTIFACT, "demo2", SIGNER.public)
    other = p256.signer_of(p256.secret_from(bytes(48)))
    with pytest.raises(NotProven, match="another key"):
        verify_model_signing(BUNDLE, ARTIFACT, "demo", other.public)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_ours_meets_garbage_without_a_traceback(data: bytes) -> None:
    with pytest.raises(NotProven):
        verify_model_signing(data, ARTIFACT, "demo", SIGNER.public)


def test_keys_are_checked() -> None:
    with pytest.raises(Misconfigured):
        p256.secret_from(bytes(39))
    with pytest.raises(Misconfigured):
        p256.signer_of(bytes(32))
    with pytest.raises(Misconfigured, match="not a P-256"):
        p256.public_pem(PublicKey(bytes(32), Purpose.RELEASE))
    assert PublicKey.from_json(SIGNER.public.to_json()) == SIGNER.public


def test_the_key_id_is_what_ssh_keygen_prints(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    public = load_pem_public_key(p256.public_pem(SIGNER.public))
    (tmp_path / "key.pub").write_bytes(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True, text=True, check=True
    )
    assert SIGNER.public.ident in printed.stdout
