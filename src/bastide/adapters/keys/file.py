# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Key files: the keyring and the exit identity (age, under a passphrase), and parties' keys.

`age -d -i keyring.age FILE` opens a sealed object with nothing of ours installed.
"""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bastide.adapters.keys.durable import read_small, write_new, write_over
from bastide.adapters.keys.memory import MemoryKeyring, is_place
from bastide.core.errors import Misconfigured, NotAllowed, NotProven
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.core.party import Party
from bastide.crypto import age
from bastide.crypto.dsse import Signer
from bastide.ports import Entropy, Keyring

__all__ = [
    "create_exit",
    "create_keyring",
    "create_party_key",
    "open_keyring",
    "replace_store_keys",
    "save_keyring",
]


def create_keyring(
    path: Path,
    passphrase: str,
    parties: tuple[Party, ...],
    entropy: Entropy,
    generated: bool,
    store_keys: Sequence[str] = (),
) -> Keyring:
    """Make a keyring file with a key for every purpose, and for the given parties.

    `generated` says that the passphrase is 256 random bits, which need no slow stretching.
    `store_keys` are the store's identities or places; without them, they are made here.
    Raises Misconfigured if the file exists, Unavailable if the disk is full.
    """
    keyring = MemoryKeyring.generate(parties, entropy, store_keys)
    write_new(path, _sealed(_text(keyring), passphrase, entropy, generated))
    return keyring


def save_keyring(
    path: Path, keyring: Keyring, passphrase: str, entropy: Entropy, new: str | None = None
) -> None:
    """Put a changed keyring in the place of its file, at once, stretched as the file before.

    `new` is the passphrase from then on, if it is another one.

    Raises NotAllowed if the passphrase does not open that file, Unavailable if the disk is full.
    """
    open_keyring(path, passphrase)  # another passphrase would lock its owner out
    header, _ = age.parse_header(read_small(path))
    recipient = age.Passphrase(new or passphrase, int(header.stanzas[0].arguments[2]))
    write_over(path, b"".join(age.seal([_text(keyring).encode()], [recipient], entropy.token)))


def replace_store_keys(
    path: Path, passphrase: str, keyring: Keyring, store_keys: Sequence[str], entropy: Entropy
) -> None:
    """Write the keyring file anew with other identities or places for the store."""
    held = MemoryKeyring.from_portion(keyring.portion(tuple(Purpose)))
    save_keyring(path, held.with_store_keys(store_keys), passphrase, entropy)


def open_keyring(path: Path, passphrase: str) -> Keyring:
    """Unlock a keyring file.

    Raises NotFound, NotAllowed for a wrong passphrase, NotProven or Misconfigured for damage.
    """
    data = read_small(path)
    try:
        opened = b"".join(age.open_stream([data], [age.Passphrase(passphrase)]))
        return MemoryKeyring.from_portion(opened.decode())
    except NotAllowed as error:
        raise NotAllowed(
            f"the passphrase does not open {path}",
            fix="check the passphrase; if it is right, the file is damaged: restore a backup",
        ) from error
    except NotProven as error:
        raise NotProven(
            f"the keyring {path} is damaged: {error.message}", fix="restore it from a backup"
        ) from error
    except (Misconfigured, UnicodeDecodeError) as error:
        reason = error.message if isinstance(error, Misconfigured) else "it is not text"
        raise Misconfigured(
            f"{path} is not a keyring: {reason}", fix="restore it from a backup"
        ) from error


def create_exit(
    path: Path, passphrase: str | None, entropy: Entropy, generated: bool = False
) -> str:
    """Make the owner's exit identity and return its recipient.

    Whatever the store seals opens with this file and stock `age`. Without a passphrase the file is
    plain: right only where a passphrase would lie beside it anyway. Raises as `create_keyring`.
    """
    identity = age.X25519Identity(entropy.token(32))
    recipient = str(identity.recipient())
    text = (
        "# The exit identity. It opens every sealed object: age -d -i THIS_FILE OBJECT\n"
        f"# public key: {recipient}\n{identity.secret()}\n"
    )
    if passphrase is None:
        write_new(path, text.encode())
    else:
        write_new(path, _sealed(text, passphrase, entropy, generated))
    return recipient


def create_party_key(path: Path, party: Party, entropy: Entropy) -> Signer:
    """Make an OpenSSH private key for one party, and ``<path>.pub`` beside it.

    It has no passphrase: its owner sets one with ``ssh-keygen -p -f <path>``.
    """
    key = Ed25519PrivateKey.from_private_bytes(entropy.token(32))
    public = key.public_key()
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    write_new(path.with_name(path.name + ".pub"), line + f" {party.value}\n".encode(), mode=0o644)
    named = PublicKey(public.public_bytes_raw(), Purpose.PARTY, Scheme.SSHSIG, party.value)
    return Signer(named, key.sign)


def _text(keyring: Keyring) -> str:
    about = "# A Bastide keyring. It opens sealed objects: age -d -i THIS_FILE OBJECT\n"
    if all(is_place(text) for text in keyring.identities()):
        about = "# A Bastide keyring. A key service opens sealed objects: see bastide-identity.\n"
    return about + keyring.portion(tuple(Purpose))


def _sealed(text: str, passphrase: str, entropy: Entropy, generated: bool) -> bytes:
    log_n = age.LOG_N_GENERATED if generated else age.LOG_N_HUMAN
    recipient = age.Passphrase(passphrase, log_n)
    return b"".join(age.seal([text.encode()], [recipient], entropy.token))
