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
from bastide.core.key import PublicKey, Purpose, Scheme
from bastide.crypto.dsse import Signer
from bastide.crypto.merkle import HASH_BYTES

__all__ = ["Checkpoint", "open_checkpoint", "sign_checkpoint", "verifier_key"]

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
    _check_name(name)
    public = base64.b64encode(ED25519 + key.raw).decode()
    return f"{name}+{_key_hash(name, key.raw).hex()}+{public}"


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """Sign a checkpoint under its origin. Raises Misconfigured for a key of another purpose."""
    _check_name(checkpoint.origin)
    if not _is_log_key(signer.public):
        raise Misconfigured(f"the {signer.public.purpose} key does not sign checkpoints")
    text = checkpoint.text()
    tag = _key_hash(checkpoint.origin, signer.public.raw)
    signature = base64.b64encode(tag + signer.sign(text.encode())).decode()
    return f"{text}\n— {checkpoint.origin} {signature}\n"


def open_checkpoint(text: str, name: str, key: PublicKey) -> Checkpoint:
    """Verify a signed checkpoint and read it. Raises NotProven, saying which step failed.

    Signatures of other keys, such as those of witnesses, are neither checked nor counted.
    """
    # 1. The note is bounded, and falls into text and signatures.
    if len(text) > NOTE_CHARS_MAX or not text.endswith("\n"):
        raise NotProven("checkpoint: not a signed note")
    body, divider, tail = text.rpartition("\n\n")
    lines = tail.splitlines() if divider else []
    if not lines or len(lines) > SIGNATURES_MAX or tail != "\n".join(lines) + "\n":
        raise NotProven("checkpoint: not a signed note, or no signature")
    body += "\n"
    # 2. Exactly one signature is by the expected key, and it holds.
    if not _is_log_key(key):
        raise NotProven(f"checkpoint: {key.ident} is no ledger key")
    tag = _key_hash(name, key.raw)
    found = [raw for owner, raw in map(_signature, lines) if owner == name and raw[:4] == tag]
    if len(found) != 1:
        raise NotProven(f"checkpoint: not signed by {name}'s key {key.ident}")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(found[0][4:], body.encode())
    except (InvalidSignature, UnicodeEncodeError) as error:
        raise NotProven(f"checkpoint: the signature of {name} does not hold") from error
    # 3. The text is a checkpoint of that origin.
    checkpoint = _parse(body)
    if checkpoint.origin != name:
        raise NotProven(f"checkpoint: it is of {checkpoint.origin!r}, not of {name!r}")
    return checkpoint


def _parse(body: str) -> Checkpoint:
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


def _check_name(name: str) -> None:
    if not name or "+" in name or any(char.isspace() or ord(char) < 0x20 for char in name):
        raise Misconfigured(
            f"{name!r} is no origin", fix="no white space, no control characters and no +"
        )
