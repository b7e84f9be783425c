# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Models that others signed with the stock tool are admitted as signed, or not at all."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bastide.app.models import add_model, show_model
from bastide.app.releases import bundle_key_pem, export_bundle
from bastide.core.errors import Misconfigured, NotProven, Refused
from bastide.core.subject import Digest
from bastide.crypto.signed_model import read_signed_model
from bastide.stages.admit import Claim
from paths.demo import Demo
from paths.loading_rig import Served
from unit.model_files import make_checkpoint, make_gguf


def new_key(folder: Path, name: str, curve: ec.EllipticCurve) -> Path:
    key = ec.generate_private_key(curve)
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key").write_bytes(plain)
    public = folder / f"{name}.pem"
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return public


def sign(model: Path, signature: Path, key: Path) -> None:
    command = [sys.executable, "-m", "model_signing", "sign", "key", str(model)]
    files = ["--signature", str(signature), "--private_key", str(key.with_suffix(".key"))]
    subprocess.run([*command, *files], check=True, capture_output=True)


def write_model(folder: Path) -> Path:
    model = folder / "model"
    model.mkdir()
    for name, data in make_checkpoint().items():
        (model / name).write_bytes(data)
    return model


def claim(signature: Path, key: Path) -> Claim:
    signed = read_signed_model(signature.read_bytes(), key.read_bytes())
    return Claim("theirs", "https://example.org/theirs", "Apache-2.0", signed)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_the_stock_tool_signed_is_admitted_with_its_signer(
    broken: Served, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    model, key = write_model(tmp_path), new_key(tmp_path, "signer", curve)
    signature = model / "model.sig"  # beside the files, where the stock tool puts it
    (model / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    sign(model, signature, key)
    row = add_model(broken.env, model, claim(signature, key), None)
    stated = row.body["signature"]
    assert stated["bundle"] == str(Digest.of(signature.read_bytes()))
    assert stated["key"] == str(Digest.of(key.read_bytes()))
    paths = {part["path"] for part in row.body["artifact"]["parts"]}
    assert paths == set(make_checkpoint()), "nothing that is not signed comes in"
    assert show_model(broken.env, "theirs")["signature"] == stated
    broken.env.ledger.audit()


def test_one_file_signed_by_the_stock_tool(broken: Served, tmp_path: Path) -> None:
    file, key = tmp_path / "one.gguf", new_key(tmp_path, "signer", ec.SECP256R1())
    file.write_bytes(make_gguf(blocks=3).encode())
    sign(file, tmp_path / "one.sig", key)
    assert add_model(broken.env, file, claim(tmp_path / "one.sig", key), None).body["signature"]


def test_what_we_signed_ourselves_is_admitted_elsewhere(broken: Served, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tiny.gguf").write_bytes(make_gguf().encode())
    (tmp_path / "model.sig").write_bytes(export_bundle(broken.env, "tiny"))
    (tmp_path / "key.pem").write_text(bundle_key_pem(broken.env, "tiny"))
    wanted = claim(tmp_path / "model.sig", tmp_path / "key.pem")
    assert add_model(broken.env, tmp_path / "model", wanted, None).body["signature"]


def _flip(model: Path) -> None:
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(data)


@pytest.mark.attacks("C133")
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_flip, "model.safetensors is not the file that was signed"),
        (lambda model: (model / "extra.json").write_text("{}"), "extra.json is not signed"),
        (lambda model: (model / "config.json").unlink(), "config.json is signed but missing"),
    ],
    ids=["changed-byte", "extra-file", "missing-file"],
)
def test_other_files_than_the_signed_are_refused(
    broken: Served, tmp_path: Path, harm: Callable[[Path], None], reason: str
) -> None:
    model, key = write_model(tmp_path), new_key(tmp_path, "signer", ec.SECP256R1())
    sign(model, tmp_path / "model.sig", key)
    harm(model)
    before = broken.env.store.names("models")
    with pytest.raises(Refused) as caught:
        add_model(broken.env, model, claim(tmp_path / "model.sig", key), None)
    assert f"signature: {reason}" in caught.value.reasons
    assert broken.env.store.names("models") == before, "nothing was sealed"
    assert broken.env.ledger.find("refusal/v1", name="theirs")


@pytest.mark.attacks("C133")
def test_another_key_is_refused(tmp_path: Path) -> None:
    model, key = write_model(tmp_path), new_key(tmp_path, "signer", ec.SECP256R1())
    sign(model, tmp_path / "model.sig", key)
    other = new_key(tmp_path, "other", ec.SECP256R1())
    with pytest.raises(NotProven, match="another key"):
        claim(tmp_path / "model.sig", other)
    # The hint is not signed: who changes it still lacks the key.
    bundle = json.loads((tmp_path / "model.sig").read_text())
    bundle["verificationMaterial"]["publicKey"]["hint"] = Digest.of(other.read_bytes()).hex
    with pytest.raises(NotProven, match="does not hold"):
        read_signed_model(json.dumps(bundle).encode(), other.read_bytes())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_bundle_is_refused(tmp_path: Path, data: bytes) -> None:
    key = new_key(tmp_path, "signer", ec.SECP256R1())
    with pytest.raises(NotProven):
        read_signed_model(data, key.read_bytes())


def test_a_key_of_another_kind_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (pem, b"no key"):
        with pytest.raises(Misconfigured):
            read_signed_model(b"{}", data)


def test_the_command_states_the_signer(broken: Served, tmp_path: Path) -> None:
    model, key = write_model(tmp_path), new_key(tmp_path, "signer", ec.SECP256R1())
    sign(model, tmp_path / "model.sig", key)
    demo = Demo(broken.env.home.root)
    options = ("--name", "theirs", "--origin", "https://example.org", "--licence", "Apache-2.0")
    signature = ("--signature", str(tmp_path / "model.sig"), "--signer", str(key))
    demo.run("model", "add", str(model), *options, *signature)
    assert (
        f"signed by    {Digest.of(key.read_bytes())}" in demo.run("model", "show", "theirs").stdout
    )
    demo.run("model", "add", str(model), *options, "--signer", str(key), status=2)
