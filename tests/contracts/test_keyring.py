# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The promise of the Keyring port, over every keyring; and of the key files that people hold."""

import base64
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.file import (
    create_exit,
    create_keyring,
    create_party_key,
    open_keyring,
)
from bastide.adapters.keys.memory import MemoryKeyring
from bastide.adapters.keys.openssh import read_party_key, read_public
from bastide.core.errors import (
    BastideError,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotProven,
    Unavailable,
)
from bastide.core.key import Purpose, Scheme
from bastide.core.party import Party
from bastide.crypto import age, p256
from bastide.ports import Keyring

ENTROPY = SystemEntropy()
PASSPHRASE = ENTROPY.token(32).hex()
PARTIES = (Party.FIRM, Party.GUARDIAN)
SERVICES = (Purpose.LEDGER, Purpose.EVIDENCE, Purpose.RELEASE)


def created(path: Path) -> Keyring:
    return create_keyring(path, PASSPHRASE, PARTIES, ENTROPY, generated=True)


def reopened(path: Path) -> Keyring:
    created(path)
    return open_keyring(path, PASSPHRASE)


def portioned(path: Path) -> Keyring:
    return MemoryKeyring.from_portion(MemoryKeyring.generate(PARTIES, ENTROPY).portion(Purpose))


KEYRINGS: dict[str, Callable[[Path], Keyring]] = {
    "memory": lambda path: MemoryKeyring.generate(PARTIES, ENTROPY),
    "portion": portioned,
    "file-created": created,
    "file-reopened": reopened,
}


@pytest.fixture(params=KEYRINGS)
def keyring(request: pytest.FixtureRequest, tmp_path: Path) -> Keyring:
    return KEYRINGS[request.param](tmp_path / "keyring.age")


def secrets_of(keyring: Keyring) -> list[str]:
    """Every secret in a keyring, as text."""
    assert isinstance(keyring, MemoryKeyring)
    lines = keyring.portion(Purpose).splitlines()
    found = [line.split(" ")[-1] for line in lines if not line.startswith("# public")]
    assert len(found) == 3 + 2 + 2 + 2 + 2  # services, P-256 keys, secrets, parties, identities
    return found


def test_every_service_key_signs(keyring: Keyring) -> None:
    idents = set()
    for purpose in SERVICES:
        signer = keyring.signer(purpose)
        assert (signer.public.purpose, signer.public.scheme) == (purpose, Scheme.ED25519)
        assert signer.public.party is None
        Ed25519PublicKey.from_public_bytes(signer.public.raw).verify(signer.sign(b"m"), b"m")
        idents.add(signer.public.ident)
    bundles = keyring.signer(Purpose.MODEL_SIGNING)
    p256.verify_signature(bundles.public, b"m", bundles.sign(b"m"))
    assert len({*idents, bundles.public.ident}) == 4  # one key never serves two purposes


@pytest.mark.attacks("C13")
def test_party_keys_are_held_for_the_given_parties_only(keyring: Keyring) -> None:
    for party in PARTIES:
        public = keyring.signer(Purpose.PARTY, party).public
        assert (public.party, public.scheme) == (party.value, Scheme.SSHSIG)
        signature = keyring.signer(Purpose.PARTY, party).sign(b"m")
        Ed25519PublicKey.from_public_bytes(public.raw).verify(signature, b"m")
    for missing in (Party.OPERATOR, None):
        with pytest.raises(NotFound):
            keyring.signer(Purpose.PARTY, missing)


def test_secrets_are_32_bytes_and_differ(keyring: Keyring) -> None:
    purposes = (Purpose.DATABASE, Purpose.PEPPER, Purpose.TLS_CA)
    secrets = {keyring.secret(purpose) for purpose in purposes}
    assert [len(secret) for secret in secrets] == [32, 32, 32]
    for purpose in (Purpose.LEDGER, Purpose.STORE, Purpose.PARTY):
        with pytest.raises(NotFound):
            keyring.secret(purpose)
    for purpose in (*purposes, Purpose.STORE):
        with pytest.raises(NotFound):
            keyring.signer(purpose)


def test_identities_open_what_is_sealed_to_them(keyring: Keyring) -> None:
    identities = [age.parse_identity(text) for text in keyring.identities()]
    assert [identity.recipient().family for identity in identities] == ["classic", "post-quantum"]
    for identity in identities:
        file = b"".join(age.seal([b"x"], [identity.recipient()], ENTROPY.token))
        assert b"".join(age.open_stream([file], identities)) == b"x"


def test_a_successor_is_held_beside_the_key_before_it(keyring: Keyring) -> None:
    for purpose in (*SERVICES, Purpose.MODEL_SIGNING):
        (old,) = keyring.signers(purpose)
        grown = keyring.with_new(purpose, ENTROPY)
        kept = MemoryKeyring.from_portion(grown.portion(tuple(Purpose)))
        for held in (grown, kept):
            assert held.signers(purpose)[0].public == old.public
            assert held.signer(purpose).public == held.signers(purpose)[1].public != old.public
        left = kept.without(old.public.ident)
        assert [row.public for row in left.signers(purpose)] == [grown.signer(purpose).public]
        assert left.identities() == keyring.identities()
    assert keyring.signers(Purpose.DATABASE) == ()


@pytest.mark.attacks("C62")
def test_no_key_shows_in_repr(keyring: Keyring) -> None:
    shown = repr(keyring) + repr(keyring.signer(Purpose.LEDGER)) + str(keyring)
    for secret in secrets_of(keyring):
        assert secret not in shown


def test_two_keyrings_share_nothing(tmp_path: Path) -> None:
    one, two = (MemoryKeyring.generate(PARTIES, ENTROPY) for _ in range(2))
    assert not set(secrets_of(one)) & set(secrets_of(two))


@pytest.mark.attacks("C60")
def test_a_portion_holds_what_was_asked_for_and_nothing_else() -> None:
    whole = MemoryKeyring.generate(PARTIES, ENTROPY)
    part = MemoryKeyring.from_portion(whole.portion([Purpose.DATABASE, Purpose.STORE]))
    assert part.secret(Purpose.DATABASE) == whole.secret(Purpose.DATABASE)
    assert part.identities() == whole.identities()
    for purpose in (*SERVICES, Purpose.MODEL_SIGNING):
        with pytest.raises(NotFound):
            part.signer(purpose)
    with pytest.raises(NotFound):
        part.signer(Purpose.PARTY, Party.FIRM)
    with pytest.raises(NotFound):
        part.secret(Purpose.PEPPER)
    bare = MemoryKeyring.from_portion(whole.portion([Purpose.PEPPER]))
    assert bare.identities() == ()
    assert bare.secret(Purpose.PEPPER) == whole.secret(Purpose.PEPPER)


@pytest.mark.parametrize(
    "line",
    [
        "# bastide-key evidence",
        "# bastide-key evidence c2hvcnQ=",
        "# bastide-key nothing " + base64.b64encode(bytes(32)).decode(),
        "# bastide-key party/nobody " + base64.b64encode(bytes(32)).decode(),
        "# bastide-key evidence c2VjcmV0!",
        "# bastide-identity AGE-SECRET-KEY-PQ-1QQQ",
        "AGE-SECRET-KEY-1QQQQ",
    ],
)
def test_a_damaged_portion_is_refused_without_quoting_it(line: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        MemoryKeyring.from_portion("# a comment\n" + line + "\n")
    assert line.rsplit(" ", maxsplit=1)[-1] not in caught.value.message
    assert caught.value.__cause__ is None or line not in str(caught.value.__cause__)


# The keyring file.


def test_a_keyring_file_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "keyring.age"
    first = created(path)
    second = open_keyring(path, PASSPHRASE)
    assert secrets_of(first) == secrets_of(second)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    raw = path.read_bytes()
    for secret in secrets_of(first):
        assert secret.encode() not in raw


def test_a_wrong_passphrase_is_not_allowed(tmp_path: Path) -> None:
    path = tmp_path / "keyring.age"
    created(path)
    for wrong in ("wrong", PASSPHRASE + " ", PASSPHRASE.upper()):
        with pytest.raises(NotAllowed, match=r"keyring\.age"):
            open_keyring(path, wrong)


def test_a_human_passphrase_is_stretched(tmp_path: Path) -> None:
    path = tmp_path / "keyring.age"
    create_keyring(path, "correct horse", (), ENTROPY, generated=False)
    header, _ = age.parse_header(path.read_bytes())
    assert header.stanzas[0].arguments[2] == "18"
    assert open_keyring(path, "correct horse").secret(Purpose.PEPPER)


def test_a_damaged_keyring_never_opens_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keyring.age"
    created(path)
    whole = path.read_bytes()
    places = [*range(0, len(whole), 7), len(whole) - 1]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises((NotAllowed, NotProven, Misconfigured), match=r"keyring\.age"):
            open_keyring(path, PASSPHRASE)
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises((NotProven, Misconfigured), match=r"keyring\.age"):
            open_keyring(path, PASSPHRASE)
    path.write_bytes(bytes(2 * 1024 * 1024))
    with pytest.raises(Misconfigured, match="too large"):
        open_keyring(path, PASSPHRASE)


def test_a_sealed_file_that_is_no_keyring_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.age"
    for text in (b"\xff\xfe", b"hello", b"# bastide-key evidence eA==\n"):
        phrase = age.Passphrase(PASSPHRASE, log_n=4)
        path.write_bytes(b"".join(age.seal([text], [phrase], ENTROPY.token)))
        with pytest.raises(Misconfigured, match=r"keyring\.age"):
            open_keyring(path, PASSPHRASE)


def test_a_missing_keyring_is_not_found(tmp_path: Path) -> None:
    for path in (tmp_path / "none.age", tmp_path):
        with pytest.raises(NotFound):
            open_keyring(path, PASSPHRASE)


def test_a_key_file_is_flushed_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, deeds, fsync = tmp_path / "a", [], os.fsync

    def watch(descriptor: int) -> None:
        what = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        deeds.append((what, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    created(path)
    assert deeds == [("file", False), ("folder", True)]


@pytest.mark.attacks("C62")
def test_key_files_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"precious")
    deeds: list[Callable[[], object]] = [
        lambda: created(path),
        lambda: create_exit(path, PASSPHRASE, ENTROPY, generated=True),
        lambda: create_party_key(path, Party.FIRM, ENTROPY),
    ]
    for deed in deeds:
        with pytest.raises(Misconfigured, match="never overwritten"):
            deed()
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_is_not_written_through_what_lies_in_the_way(tmp_path: Path) -> None:
    """In a folder that others can write to, the draft's name can be taken before."""
    elsewhere, readable = tmp_path / "elsewhere", tmp_path / "readable"
    readable.touch(mode=0o644)
    for lure in (
        lambda draft: draft.symlink_to(elsewhere),
        lambda draft: draft.hardlink_to(readable),
    ):
        path = tmp_path / "firm.key"
        lure(path.with_name(f".{path.name}.{os.getpid()}.partial"))
        create_party_key(path, Party.FIRM, ENTROPY)
        assert path.stat().st_mode & 0o777 == 0o600
        assert not path.is_symlink()
        path.unlink()
        path.with_name("firm.key.pub").unlink()
    assert not elsewhere.exists()
    assert readable.read_bytes() == b""


def test_an_unwritable_place_says_so() -> None:
    with pytest.raises(Unavailable, match=r"/proc/nothing/keyring\.age"):
        created(Path("/proc/nothing/keyring.age"))


def test_the_exit_identity_opens_and_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "exit.age"
    recipient = create_exit(path, PASSPHRASE, ENTROPY, generated=True)
    assert path.stat().st_mode & 0o777 == 0o600
    text = b"".join(age.open_stream([path.read_bytes()], [age.Passphrase(PASSPHRASE)])).decode()
    identity = age.parse_identity(text.splitlines()[-1])
    assert str(identity.recipient()) == recipient
    assert recipient in text.splitlines()[1]


# Parties' OpenSSH keys.


def no_passphrase(prompt: str) -> str:
    raise AssertionError(f"asked: {prompt}")


@pytest.mark.parametrize("party", Party)
def test_a_party_key_is_an_openssh_key(party: Party, tmp_path: Path) -> None:
    path = tmp_path / f"{party.value}.key"
    signer = create_party_key(path, party, ENTROPY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (signer.public.party, signer.public.scheme) == (party.value, Scheme.SSHSIG)
    again = read_party_key(path, party.value, no_passphrase)
    assert again.public == signer.public == read_public(Path(f"{path}.pub"), party.value)
    assert again.sign(b"m") == signer.sign(b"m")
    assert read_party_key(path, None, no_passphrase).public.party is None
    assert Path(f"{path}.pub").read_text().split(" ")[2] == f"{party.value}\n"
    if shutil.which("ssh-keygen"):
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", path], capture_output=True, check=True, text=True
        )
        assert signer.public.ident in shown.stdout
        derived = subprocess.run(
            ["ssh-keygen", "-y", "-f", path], capture_output=True, check=True, text=True
        )
        assert derived.stdout.split()[:2] == Path(f"{path}.pub").read_text().split()[:2]


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs OpenSSH")
@pytest.mark.parametrize("cipher", ["aes256-ctr", "aes256-gcm@openssh.com"])
def test_a_passphrase_of_ssh_keygen_is_asked_for(cipher: str, tmp_path: Path) -> None:
    path = tmp_path / "firm.key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-Z", cipher, "-N", "hello there", "-f", path]
    subprocess.run(command, check=True)
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return "hello there"

    signer = read_party_key(path, "firm", ask)
    assert signer.public == read_public(Path(f"{path}.pub"), "firm")
    assert len(prompts) == 1
    assert str(path) in prompts[0]
    for wrong in ("", "wrong"):
        with pytest.raises(NotAllowed, match=r"firm\.key"):
            read_party_key(path, "firm", lambda _, wrong=wrong: wrong)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "firm.key"
    create_party_key(path, Party.FIRM, ENTROPY)
    text = path.read_text()
    damaged = text[:200] + ("A" if text[200] != "A" else "B") + text[201:]
    for bad in ("", "hello", text[:100], damaged, Path(f"{path}.pub").read_text()):
        path.write_text(bad)
        with pytest.raises(Misconfigured, match=r"firm\.key"):
            read_party_key(path, "firm", no_passphrase)
    for bad in ("", "ssh-ed25519 AAAA", "ssh-rsa AAAA"):
        path.write_text(bad)
        with pytest.raises(Misconfigured, match=r"firm\.key"):
            read_public(path)
    for missing in (read_public, lambda where: read_party_key(where, "firm", no_passphrase)):
        with pytest.raises(NotFound):
            missing(tmp_path / "none")


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs OpenSSH")
def test_other_kinds_of_keys_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path], check=True)
    for deed in (
        lambda: read_party_key(path, "firm", no_passphrase),
        lambda: read_public(Path(f"{path}.pub")),
    ):
        with pytest.raises(BastideError, match="not an Ed25519 key") as caught:
            deed()
        assert "ssh-keygen -t ed25519" in caught.value.fix
