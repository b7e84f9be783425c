# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenSSH signatures: ours and ssh-keygen's accept each other; nothing altered is accepted."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.errors import Misconfigured, NotProven
from bastide.crypto import sshsig

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
SPACE = "approval@bastide.eu"
MESSAGE = b"a candidate"
BLOB = sshsig.sign(PUBLIC, KEY.sign, MESSAGE, SPACE)

needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)


def _key_files(folder: Path) -> Path:
    private = folder / "key"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    private.chmod(0o600)
    public = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (folder / "key.pub").write_bytes(public + b"\n")
    (folder / "signers").write_bytes(b"firm " + public + b"\n")
    return private


def _ssh_verify(folder: Path, message: bytes, space: str) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", "-Y", "verify", "-I", "firm", "-n", space]
    return subprocess.run(
        [*command, "-f", folder / "signers", "-s", folder / "sig"],
        input=message,
        capture_output=True,
        check=False,
    )


@needs_ssh_keygen
@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(100_000)])
def test_ssh_keygen_accepts_what_we_sign(tmp_path: Path, message: bytes) -> None:
    _key_files(tmp_path)
    blob = sshsig.sign(PUBLIC, KEY.sign, message, SPACE)
    (tmp_path / "sig").write_text(sshsig.armor(blob))
    good = _ssh_verify(tmp_path, message, SPACE)
    assert good.returncode == 0, good.stderr
    assert _ssh_verify(tmp_path, message + b".", SPACE).returncode != 0
    assert _ssh_verify(tmp_path, message, "other@bastide.eu").returncode != 0


@needs_ssh_keygen
@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(100_000)])
def test_we_accept_what_ssh_keygen_signs(tmp_path: Path, message: bytes) -> None:
    private = _key_files(tmp_path)
    (tmp_path / "file").write_bytes(message)
    subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", private, "-n", SPACE, tmp_path / "file"],
        check=True,
        capture_output=True,
    )
    text = (tmp_path / "file.sig").read_text()
    blob = sshsig.dearmor(text)
    sshsig.verify_signature(PUBLIC, message, SPACE, blob)
    assert sshsig.public_of(blob) == PUBLIC
    # Ed25519 is deterministic, so the two programs write the same text.
    assert sshsig.armor(sshsig.sign(PUBLIC, KEY.sign, message, SPACE)) == text


@needs_ssh_keygen
def test_sha256_signatures_are_refused(tmp_path: Path) -> None:
    private = _key_files(tmp_path)
    (tmp_path / "file").write_bytes(MESSAGE)
    command = ["ssh-keygen", "-Y", "sign", "-O", "hashalg=sha256", "-f", private, "-n", SPACE]
    subprocess.run([*command, tmp_path / "file"], check=True, capture_output=True)
    blob = sshsig.dearmor((tmp_path / "file.sig").read_text())
    with pytest.raises(NotProven, match="sha512"):
        sshsig.verify_signature(PUBLIC, MESSAGE, SPACE, blob)


@given(st.binary(max_size=300), st.text(min_size=1, max_size=40).filter(str.isprintable))
def test_what_is_signed_verifies(message: bytes, space: str) -> None:
    blob = sshsig.sign(PUBLIC, KEY.sign, message, space)
    sshsig.verify_signature(PUBLIC, message, space, blob)
    assert sshsig.dearmor(sshsig.armor(blob)) == blob


@pytest.mark.attacks("C15")
def test_every_flipped_bit_is_refused() -> None:
    for position in range(len(BLOB) * 8):
        bad = bytearray(BLOB)
        bad[position // 8] ^= 1 << position % 8
        with pytest.raises(NotProven):
            sshsig.verify_signature(PUBLIC, MESSAGE, SPACE, bytes(bad))


def test_every_flipped_bit_of_the_text_is_refused() -> None:
    text = sshsig.armor(BLOB).encode()
    for position in range(len(text) * 8):
        bad = bytearray(text)
        bad[position // 8] ^= 1 << position % 8
        with pytest.raises(NotProven):
            blob = sshsig.dearmor(bad.decode("latin-1"))
            sshsig.verify_signature(PUBLIC, MESSAGE, SPACE, blob)


@pytest.mark.attacks("C15")
def test_another_key_namespace_or_message_is_refused() -> None:
    with pytest.raises(NotProven, match="another key"):
        sshsig.verify_signature(OTHER, MESSAGE, SPACE, BLOB)
    with pytest.raises(NotProven, match="namespace"):
        sshsig.verify_signature(PUBLIC, MESSAGE, "file", BLOB)
    with pytest.raises(NotProven, match="does not hold"):
        sshsig.verify_signature(PUBLIC, b"another candidate", SPACE, BLOB)


def test_an_empty_namespace_is_refused() -> None:
    with pytest.raises(Misconfigured, match="namespace"):
        sshsig.sign(PUBLIC, KEY.sign, MESSAGE, "")


@pytest.mark.parametrize("blob", [b"", BLOB[:-1], BLOB + b"\0", BLOB * 2, b"SSHSIG", bytes(5000)])
def test_wrong_lengths_are_refused(blob: bytes) -> None:
    with pytest.raises(NotProven):
        sshsig.verify_signature(PUBLIC, MESSAGE, SPACE, blob)


@settings(max_examples=300)
@given(st.binary(max_size=400) | st.binary(max_size=300).map(lambda tail: BLOB[:40] + tail))
def test_the_parser_meets_garbage_without_a_traceback(blob: bytes) -> None:
    with pytest.raises(NotProven):
        sshsig.verify_signature(PUBLIC, MESSAGE, SPACE, blob)


@given(st.text(max_size=300))
def test_text_that_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(NotProven):
        sshsig.dearmor(text)
