# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Wiring: names to adapters. With wiring_engines.py the only door to `bastide.adapters`.

Adapters are imported inside the functions that need them: a command pays for what it uses.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bastide.app.clients import ControlClient, DeskClient
from bastide.app.config import Home, Settings
from bastide.core.key import PublicKey, Purpose
from bastide.core.party import Party
from bastide.core.snapshot import Snapshot
from bastide.core.subject import Digest
from bastide.crypto.dsse import Signer
from bastide.ports import (
    Attester,
    Clock,
    DenyList,
    Engine,
    Entropy,
    Keyring,
    KeyService,
    Reader,
    Registry,
    Sandbox,
    SealingStore,
    WitnessMemory,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine as Records

    from bastide.adapters.issuer.loopback import Loopback

__all__ = [
    "ControlClient",
    "DeskClient",
    "ask_issuer",
    "ask_witness",
    "attester",
    "clock",
    "control_link",
    "create_exit",
    "create_keyring",
    "create_memfd",
    "create_party_key",
    "database_portion",
    "decrypt_to_memfd",
    "deny_list",
    "desk_link",
    "entropy",
    "key_service",
    "keyring_from_portion",
    "loopback",
    "make_store_keys",
    "open_keyring",
    "open_node_store",
    "open_records",
    "open_registry",
    "open_source",
    "open_store",
    "read_party_key",
    "read_public",
    "reader_of_descriptor",
    "register_passkey",
    "remote_engine",
    "replace_store_keys",
    "sandbox",
    "save_keyring",
    "watched_keys",
    "witness_memory",
    "write_secret",
]


def clock() -> Clock:
    """The machine's clock."""
    from bastide.adapters.clock.system import SystemClock

    return SystemClock()


def entropy() -> Entropy:
    """The operating system's generator."""
    from bastide.adapters.entropy.system import SystemEntropy

    return SystemEntropy()


def create_keyring(
    path: Path,
    passphrase: str,
    parties: tuple[Party, ...],
    source: Entropy,
    generated: bool,
    store_keys: Sequence[str],
) -> Keyring:
    """Make a keyring file with a key for every purpose, and for the given parties."""
    from bastide.adapters.keys import file

    return file.create_keyring(path, passphrase, parties, source, generated, store_keys)


def open_keyring(path: Path, passphrase: str) -> Keyring:
    """Unlock a keyring file. Raises NotAllowed for a wrong passphrase."""
    from bastide.adapters.keys import file

    return file.open_keyring(path, passphrase)


def save_keyring(
    path: Path, keyring: Keyring, passphrase: str, source: Entropy, new: str | None = None
) -> None:
    """Put a changed keyring in the place of its file, at once; `new` is another passphrase."""
    from bastide.adapters.keys import file

    file.save_keyring(path, keyring, passphrase, source, new)


def keyring_from_portion(text: str) -> Keyring:
    """A keyring in memory from what `Keyring.portion` gave."""
    from bastide.adapters.keys.memory import MemoryKeyring

    return MemoryKeyring.from_portion(text)


def database_portion(key: bytes) -> str:
    """A portion for a process that opens a database and nothing else. It is secret."""
    from bastide.adapters.keys.memory import MemoryKeyring

    return MemoryKeyring({(Purpose.DATABASE, None): (key,)}, ()).portion((Purpose.DATABASE,))


def make_store_keys(place: str, source: Entropy) -> tuple[str, ...]:
    """New keys for a store, as a keyring names them: identities for `file`, else where they are."""
    from bastide.adapters.keys.services import make_store_keys as make

    return make(place, source)


def replace_store_keys(
    path: Path, passphrase: str, keyring: Keyring, store_keys: Sequence[str], source: Entropy
) -> None:
    """Write the keyring file anew with other keys of the store; all other keys stay."""
    from bastide.adapters.keys import file

    file.replace_store_keys(path, passphrase, keyring, store_keys, source)


def write_secret(path: Path, data: bytes) -> None:
    """Write a new private file, whole or not at all. Raises Misconfigured if there is one."""
    from bastide.adapters.keys.durable import write_new

    write_new(path, data)


def replace_small(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a small file over another: whole and on the disk, or not at all."""
    from bastide.adapters.keys.durable import write_over as replace

    replace(path, data, mode)


def deny_list(path: Path) -> DenyList:
    """The owner's list of what nobody may open."""
    from bastide.adapters.keys.watched import DenyFile

    return DenyFile(path)


def key_service(identities: Sequence[str]) -> KeyService:
    """Who opens sealed objects: the identities of a keyring, or where it says that they are."""
    from bastide.adapters.keys.services import key_service as service

    return service(identities)


def watched_keys(
    home: Home, identities: Sequence[str], denied: Callable[[], Sequence[str]]
) -> KeyService:
    """The same, for whatever a home opens: each opening is recorded there, and can be denied."""
    from bastide.adapters.keys.watched import DenyFile, WatchedKeys

    file = DenyFile(home.denied, denied)
    return WatchedKeys(key_service(identities), home.openings, file, clock())


def create_party_key(path: Path, party: Party, source: Entropy) -> Signer:
    """Make an OpenSSH key file for one party."""
    from bastide.adapters.keys import file

    return file.create_party_key(path, party, source)


def read_party_key(
    path: Path, party: str | None, ask: Callable[[str], str], tell: Callable[[str], None]
) -> Signer:
    """The signer of a party's key: an OpenSSH private key, a passkey file, or a PKCS#11 URI.

    `ask` is called for a passphrase, `tell` if the person must do something.
    """
    from bastide.adapters.keys import openssh, passkey

    if str(path).startswith("pkcs11:"):
        from bastide.adapters.keys.pkcs11 import signer_of

        return signer_of(str(path), Purpose.PARTY, party)
    if passkey.is_passkey(path):
        return passkey.passkey_signer(passkey.read_passkey(path), tell)
    return openssh.read_party_key(path, party, ask)


def read_public(path: Path, party: Party) -> PublicKey:
    """A party's public key: a passkey file, an OpenSSH public key, or a P-256 key in PEM."""
    from bastide.adapters.keys import openssh, passkey

    if passkey.is_passkey(path):
        return passkey.read_passkey(path)
    return openssh.read_public(path, party.value)


def register_passkey(path: Path, party: Party, port: int, tell: Callable[[str], None]) -> PublicKey:
    """Make a passkey in a browser on this machine, and its file."""
    from bastide.adapters.keys import passkey

    return passkey.register_passkey(path, party.value, port, entropy().token(32), tell)


def create_exit(path: Path, passphrase: str | None, source: Entropy) -> str:
    """Make the owner's exit identity, plain if there is no passphrase; return its recipient."""
    from bastide.adapters.keys import file

    return file.create_exit(path, passphrase, source)


def open_records(path: Path, key: bytes, readonly: bool = False) -> "Records":
    """Open the sealed database."""
    from bastide.adapters.records.sql import open_records as open_sql

    return open_sql(path, key, readonly)


def ask_issuer(url: str, form: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Get a URL of an issuer, or post a form to it; status and JSON object of the answer."""
    from bastide.adapters.issuer.http import ask

    return ask(url, form)


def loopback() -> "Loopback":
    """Listens for the browser's answer, on this machine. Raises Unavailable."""
    from bastide.adapters.issuer.loopback import Loopback

    return Loopback()


def ask_witness(url: str, body: bytes) -> tuple[int, bytes]:
    """Post to a witness; status and body of its answer. Raises Unavailable."""
    from bastide.adapters.witness.http import post

    return post(url, body)


def witness_memory(path: Path) -> WitnessMemory:
    """What a witness knows, in a file."""
    from bastide.adapters.witness.sqlite import WitnessMemory as SqliteMemory

    return SqliteMemory(path)


def open_store(
    root: Path,
    identities: Sequence[str],
    exits: Sequence[str],
    source: Entropy,
    denied: Callable[[], Sequence[str]],
) -> SealingStore:
    """Open the sealed store of a home's folder: openings are recorded, and can be denied.

    denied: what parties denied in the ledger, asked at each opening (`app/denials.py`).
    """
    from bastide.app.wiring_store import open_sealed

    keys = watched_keys(Home(root.parent), identities, denied)
    return open_sealed(root, keys, exits, source)


def open_node_store(
    root: Path, identity: str, headers: Mapping[str, bytes], source: Entropy
) -> SealingStore:
    """The store as a node reads it: with headers for its own identity, and nothing else."""
    from bastide.adapters.keys.identities import IdentityKeys
    from bastide.app.wiring_store import open_with_headers

    return open_with_headers(root, IdentityKeys((identity,)), headers, source)


def attester(chosen: Settings, log: Path) -> Attester:
    """The hardware that says what this machine is; `log` tells what it measured."""
    from bastide.adapters.attest.tpm2 import TpmAttester

    return TpmAttester(chosen.tpm, chosen.tpm_register, log, replace_small, chosen.tpm_issuers)


def open_registry(
    host: str, repository: str, plain: bool, ca: Path | None, login: str | None, tokens: str | None
) -> Registry:
    """A repository of an OCI registry. Raises Misconfigured for a login or CA that is none."""
    from bastide.adapters.registry.oci import open_registry as open_oci

    return open_oci(host, repository, plain, ca, login, tokens)


def open_scratch(source: Entropy) -> SealingStore:
    """A sealed store in memory, under keys of its own, for what is thrown away."""
    from bastide.adapters.keys.identities import IdentityKeys
    from bastide.adapters.keys.memory import new_identities
    from bastide.adapters.store.memory import MemoryStore
    from bastide.adapters.store.sealed import SealedStore

    return SealedStore(MemoryStore(), IdentityKeys(new_identities(source)), (), source)


def open_source(path: Path) -> AbstractContextManager[Reader]:
    """Open a plain file that somebody brings. Raises NotFound or Misconfigured."""
    from contextlib import closing

    from bastide.adapters.store.files import FileReader

    return closing(FileReader(path))


def reader_of_descriptor(descriptor: int) -> Reader:
    """Read a file that is only an open descriptor, such as a sealed memfd."""
    from bastide.adapters.store.files import FileReader

    return FileReader(Path(f"/proc/self/fd/{descriptor}"))


def create_memfd() -> int:
    """An empty anonymous file, to be filled by `decrypt_to_memfd`."""
    from bastide.adapters.store.memfd import create_memfd as create

    return create()


def decrypt_to_memfd(
    store: SealingStore, name: str, expect: Digest, size: int, into: int | None = None
) -> int:
    """Decrypt one object into a sealed memfd. Raises NotProven if its digest is another."""
    from bastide.adapters.store.memfd import decrypt_to_memfd as decrypt

    return decrypt(store, name, expect, size, into=into)


def sandbox(name: str) -> Sandbox:
    """The sandbox of a setting. Raises Unavailable, naming what is missing; never none."""
    from bastide.adapters.sandbox.choose import choose_sandbox

    return choose_sandbox(name)


def remote_engine(socket: str, told: Callable[[str], None] = lambda _: None) -> Engine:
    """The engine behind a runner's socket; `told` hears why it is away, and "" when it is back."""
    from bastide.adapters.engine.remote import RemoteEngine

    return RemoteEngine(socket, told)


def desk_link(socket: str) -> DeskClient:
    """The desk behind its socket."""
    from bastide.adapters.desk.link import DeskLink

    return DeskLink(socket)


def control_link(
    socket: str, source: Clock, told: Callable[[Snapshot], None] | None = None, credential: str = ""
) -> ControlClient:
    """The control process behind its socket; `told` is called with every new snapshot."""
    from bastide.adapters.control.link import ControlLink

    return ControlLink(socket, source, told, credential)
