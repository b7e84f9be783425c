# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as signed notes (C2SP signed-note and tlog-checkpoint, Ed25519).

A checkpoint's text is three lines: origin, size, root in base64. The note adds an empty line and
signature lines, ``— <name> <base64 of key hash and signature>``; the key's name is the origin.
Go's golang.org/x/mod/sumdb/note reads and writes the same bytes.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.key import PublicKey, Purpose, Scheme, is_weak
from bastide.crypto.dsse import Signer
from bastide.crypto.merkle import HASH_BYTES

__all__ = [
    "Checkpoint",
    "check_name",
    "keep_signature",
    "open_checkpoint",
    "parse_checkpoint",
    "read_verifier_key",
    "sign_checkpoint",
    "signature_line",
    "split_note",
    "verifier_key",
]

ED25519 = b"\x01"  # the signature type of C2SP signed-note
NOTE_CHARS_MAX = 1_000_000  # golang.org/x/mod/sumdb/note refuses longer ones
SIGNATURES_MAX = 100  # likewise

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: whose it is, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def verifier_key(name: str, key: PublicKey) -> str:
    """The key as other tools take it: ``<name>+<hash>+<base64 of type and key>``."""
    check_name(name)
    public = base64.b64encode(ED25519 + key.raw).decode()
    return f"{name}+{_key_hash(name, key.raw).hex()}+{public}"


def read_verifier_key(vkey: str) -> tuple[str, PublicKey]:
    """Name and key of a log from what `verifier_key` wrote. Raises Misconfigured."""
    name, _, rest = vkey.partition("+")
    try:
        data = base64.b64decode(rest.partition("+")[2], validate=True)
    except ValueError as error:
        raise Misconfigured(f"{vkey[:80]} is no verifier key") from error
    key = PublicKey(data[1:], Purpose.LEDGER)
    if is_weak(data[1:]):
        raise Misconfigured(f"{vkey[:80]} is no key: anybody could sign with it")
    if len(data) != 33 or verifier_key(name, key) != vkey:
        raise Misconfigured(f"{vkey[:80]} is no Ed25519 verifier key", fix="copy the whole line")
    return name, key


def keep_signature(text: str, name: str, key: PublicKey) -> str | None:
    """A note with its signatures by this key alone; None if there is none. Nothing is verified."""
    body, lines = split_note(text)
    tag = _key_hash(name, key.raw)
    kept = [raw for owner, raw in lines if owner == name and raw[:4] == tag]
    if not kept:
        return None
    return f"{body}\n" + "".join(signature_line(name, tag, raw[4:]) for raw in kept)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """Sign a checkpoint under its origin. Raises Misconfigured for a key of another purpose."""
    check_name(checkpoint.origin)
    if not _is_log_key(signer.public):
        raise Misconfigured(f"the {signer.public.purpose} key does not sign checkpoints")
    text = checkpoint.text()
    tag = _key_hash(checkpoint.origin, signer.public.raw)
    return f"{text}\n{signature_line(checkpoint.origin, tag, signer.sign(text.encode()))}"


def signature_line(name: str, tag: bytes, signature: bytes) -> str:
    """One signature of a note. tag: the four bytes of the key's hash."""
    return f"— {name} {base64.b64encode(tag + signature).decode()}\n"


def open_checkpoint(text: str, name: str, key: PublicKey) -> Checkpoint:
    """Verify a signed checkpoint and read it. Raises NotProven, saying which step failed.

    Signatures of other keys, such as those of witnesses, are neither checked nor counted.
    """
    # 1. The note is bounded, and falls into text and signatures.
    body, lines = split_note(text)
    # 2. Exactly one signature is by the expected key, and it holds.
    if not _is_log_key(key):
        raise NotProven(f"checkpoint: {key.ident} is no ledger key")
    tag = _key_hash(name, key.raw)
    found = [raw for owner, raw in lines if owner == name and raw[:4] == tag]
    if len(found) != 1:
        raise NotProven(f"checkpoint: not signed by {name}'s key {key.ident}")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(found[0][4:], body.encode())
    except (InvalidSignature, UnicodeEncodeError) as error:
        raise NotProven(f"checkpoint: the signature of {name} does not hold") from error
    # 3. The text is a checkpoint of that origin.
    checkpoint = parse_checkpoint(body)
    if checkpoint.origin != name:
        raise NotProven(f"checkpoint: it is of {checkpoint.origin!r}, not of {name!r}")
    return checkpoint


def split_note(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note that is signed, and its signatures: name, and key hash with signature.

    Nothing is verified. Raises NotProven if it is no signed note.
    """
    if len(text) > NOTE_CHARS_MAX or not text.endswith("\n"):
        raise NotProven("checkpoint: not a signed note")
    body, divider, tail = text.rpartition("\n\n")
    lines = tail.splitlines() if divider else []
    if not lines or len(lines) > SIGNATURES_MAX or tail != "\n".join(lines) + "\n":
        raise NotProven("checkpoint: not a signed note, or no signature")
    return body + "\n", [_signature(line) for line in lines]


def parse_checkpoint(body: str) -> Checkpoint:
    """Read the text of a checkpoint, whoever signed it. Raises NotProven."""
    rows = body.split("\n")
    # Extension lines may follow the root; none of them may be empty.
    if len(rows) < 4 or not all(rows[:-1]) or not _SIZE.fullmatch(rows[1]):
        raise NotProven("checkpoint: the text is not origin, size, root")
    try:
        root = base64.b64decode(rows[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotProven("checkpoint: the root is not base64") from error
    if len(root) != HASH_BYTES or base64.b64encode(root).decode() != rows[2]:
        raise NotProven("checkpoint: the root is not a SHA-256 hash")
    return Checkpoint(rows[0], int(rows[1]), root)


def _signature(line: str) -> tuple[str, bytes]:
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        raise NotProven("checkpoint: a signature line is malformed")
    try:
        raw = base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotProven("checkpoint: a signature is not base64") from error
    if len(raw) < 5 or base64.b64encode(raw).decode() != match[2]:
        raise NotProven("checkpoint: a signature is malformed")
    return match[1], raw


def _key_hash(name: str, raw: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + raw).digest()[:4]


def _is_log_key(key: PublicKey) -> bool:
    return key.purpose is Purpose.LEDGER and key.scheme is Scheme.ED25519


def check_name(name: str) -> None:
    """Raise Misconfigured if a name cannot stand in a signature line."""
    if not name or "+" in name or any(char.isspace() or ord(char) < 0x20 for char in name):
        raise Misconfigured(
            f"{name!r} is no origin", fix="no white space, no control characters and no +"
        )
