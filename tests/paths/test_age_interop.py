# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Our age files and those of other implementations open each other.

The reference CLI is used where it is installed (Debian package `age`); pyrage, in Rust, and the
`age-encryption` of npm always.
"""

import os
import pty
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pyrage
import pytest

from bastide.adapters.entropy.system import SystemEntropy
from bastide.adapters.keys.file import create_exit, create_keyring
from bastide.adapters.keys.identities import IdentityKeys
from bastide.adapters.keys.services import key_service, make_store_keys
from bastide.adapters.store.local import LocalStore
from bastide.adapters.store.sealed import SealedStore
from bastide.crypto import age
from bastide.ports import SealingStore
from contracts.softhsm import make_token, needs_softhsm
from paths.sdk_probes import PROBES, SDKS

ENTROPY = SystemEntropy()
SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_003]
needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="the age CLI is not installed")


def content(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def run(*argv: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(argv, input=stdin, capture_output=True, check=True, timeout=60).stdout


def run_on_terminal(passphrase: str, *argv: str) -> str:
    """Run a program that asks for a passphrase on its terminal; return what it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    shown = b""
    asked = 0
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the program closed its terminal
            break
        if not piece:
            break
        shown += piece
        if shown.lower().count(b"passphrase") > asked and shown.rstrip().endswith(b":"):
            asked = shown.lower().count(b"passphrase")
            os.write(terminal, passphrase.encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert status == 0, shown
    return shown.decode()


@pytest.fixture
def identity(tmp_path: Path) -> age.X25519Identity:
    made = age.X25519Identity(ENTROPY.token(32))
    (tmp_path / "key.txt").write_text(made.secret() + "\n")
    return made


@needs_age
@pytest.mark.parametrize("size", SIZES)
def test_the_age_cli_opens_ours_and_we_open_its(
    size: int, identity: age.X25519Identity, tmp_path: Path
) -> None:
    key = tmp_path / "key.txt"
    ours = b"".join(age.seal([content(size)], [identity.recipient()], ENTROPY.token))
    assert run("age", "-d", "-i", key, stdin=ours) == content(size)
    armored = age.armor(ours).encode()
    assert run("age", "-d", "-i", key, stdin=armored) == content(size)
    theirs = run("age", "-r", str(identity.recipient()), stdin=content(size))
    assert b"".join(age.open_stream([theirs], [identity])) == content(size)
    theirs = age.dearmor(run("age", "-a", "-r", str(identity.recipient()), stdin=content(size)))
    assert b"".join(age.open_stream([theirs], [identity])) == content(size)
    renewed = age.rewrap(
        age.parse_header(theirs)[0], [identity], [identity.recipient()], ENTROPY.token
    )
    moved = renewed.encode() + theirs[age.parse_header(theirs)[1] :]
    assert run("age", "-d", "-i", key, stdin=moved) == content(size)


@needs_age
@pytest.mark.skipif(shutil.which("age-keygen") is None, reason="age-keygen is not installed")
def test_keys_of_age_keygen_are_ours(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    run("age-keygen", "-o", path)
    identity = age.parse_identity(path.read_text().splitlines()[-1])
    assert run("age-keygen", "-y", path).decode().strip() == str(identity.recipient())


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_opens_ours_and_we_open_its(size: int) -> None:
    identity = age.X25519Identity(ENTROPY.token(32))
    theirs = pyrage.x25519.Identity.from_str(identity.secret())
    assert str(theirs.to_public()) == str(identity.recipient())
    ours = b"".join(age.seal([content(size)], [identity.recipient()], ENTROPY.token))
    assert pyrage.decrypt(ours, [theirs]) == content(size)
    file = pyrage.encrypt(content(size), [theirs.to_public()])
    assert b"".join(age.open_stream([file], [identity])) == content(size)
    phrase = b"".join(age.seal([content(size)], [age.Passphrase("hello", 10)], ENTROPY.token))
    assert pyrage.passphrase.decrypt(phrase, "hello") == content(size)


@pytest.mark.parametrize("kind", [age.X25519Identity, age.HybridIdentity])
def test_the_age_of_npm_opens_ours_and_we_open_its(
    kind: type[age.X25519Identity | age.HybridIdentity],
) -> None:
    """A third implementation, also of the keys that hold against quantum computers."""
    folder = SDKS / "javascript"
    shutil.copy(PROBES / "age.mjs", folder)
    identity, other = kind(ENTROPY.token(32)), kind(ENTROPY.token(32))
    recipients = [other.recipient(), identity.recipient()]

    def node(*words: object, stdin: bytes) -> bytes:
        program = SDKS / "node" / "bin" / "node"
        command = [program, "age.mjs", *map(str, words)]
        done = subprocess.run(command, input=stdin, capture_output=True, cwd=folder, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    data = content(SIZES[-1])
    ours = b"".join(age.seal([data], recipients, ENTROPY.token))
    assert node("open", identity.secret(), stdin=ours) == data
    theirs = node("seal", *recipients, stdin=data)
    assert b"".join(age.open_stream([theirs], [identity])) == data
    header, end = age.parse_header(theirs)
    moved = age.rewrap(header, [identity], [identity.recipient()], ENTROPY.token)
    assert node("open", identity.secret(), stdin=moved.encode() + theirs[end:]) == data


@needs_softhsm
def test_what_pyrage_seals_to_a_token_opens_in_it(tmp_path: Path) -> None:
    token = make_token(f"t{os.urandom(4).hex()}", tmp_path / "pin")
    service = key_service(make_store_keys(token.place(), ENTROPY))
    (recipient,) = service.recipients()
    data = content(SIZES[-1])
    sealed = pyrage.encrypt(data, [pyrage.tag.Recipient.from_str(str(recipient))])
    key = service.unwrap(age.parse_header(sealed)[0].stanzas, "from another")
    assert key is not None
    # The key that the token gave opens the whole file, its header's MAC included.
    assert b"".join(age.open_stream([sealed], [SimpleNamespace(unwrap=lambda _: key)])) == data
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [pyrage.x25519.Identity.generate()])


def sealed_store(tmp_path: Path, passphrase: str) -> SealingStore:
    keyring = create_keyring(tmp_path / "keyring.age", passphrase, (), ENTROPY, generated=True)
    exit_recipient = create_exit(tmp_path / "exit.age", passphrase, ENTROPY, generated=True)
    store = SealedStore(
        LocalStore(tmp_path / "store"),
        IdentityKeys(keyring.identities()),
        [exit_recipient],
        ENTROPY,
    )
    store.put("models/m", [content(200_000)])
    return store


@needs_age
@pytest.mark.parametrize("identities", ["keyring.age", "exit.age"])
def test_the_age_cli_alone_opens_a_stored_object(identities: str, tmp_path: Path) -> None:
    passphrase = ENTROPY.token(32).hex()
    sealed_store(tmp_path, passphrase)
    (header,) = (tmp_path / "store/models").glob("m.header")
    (body,) = (tmp_path / "store/models").glob("m.*.body")
    joined = run("cat", header, body)
    (tmp_path / "joined.age").write_bytes(joined)
    argv = ["age", "-d", "-i", str(tmp_path / identities), "-o", str(tmp_path / "plain")]
    run_on_terminal(passphrase, *argv, str(tmp_path / "joined.age"))
    assert (tmp_path / "plain").read_bytes() == content(200_000)


@pytest.mark.attacks("C63")
@needs_age
def test_the_age_cli_opens_an_export(tmp_path: Path) -> None:
    passphrase = ENTROPY.token(32).hex()
    exported = b"".join(sealed_store(tmp_path, passphrase).export("models/m"))
    (tmp_path / "export.age").write_bytes(exported)
    argv = ["age", "-d", "-i", str(tmp_path / "exit.age"), "-o", str(tmp_path / "plain")]
    run_on_terminal(passphrase, *argv, str(tmp_path / "export.age"))
    assert (tmp_path / "plain").read_bytes() == content(200_000)


@needs_age
def test_passphrases_go_both_ways_with_the_age_cli(tmp_path: Path) -> None:
    ours = b"".join(age.seal([b"data"], [age.Passphrase("hello", 10)], ENTROPY.token))
    (tmp_path / "ours.age").write_bytes(ours)
    plain = str(tmp_path / "plain")
    run_on_terminal("hello", "age", "-d", "-o", plain, str(tmp_path / "ours.age"))
    assert Path(plain).read_bytes() == b"data"
    run_on_terminal("hello", "age", "-p", "-o", str(tmp_path / "theirs.age"), plain)
    theirs = (tmp_path / "theirs.age").read_bytes()
    assert b"".join(age.open_stream([theirs], [age.Passphrase("hello")])) == b"data"
