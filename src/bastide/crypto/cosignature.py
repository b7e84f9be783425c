# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Cosignatures of witnesses over checkpoints (C2SP tlog-cosignature, Ed25519 and ML-DSA-44).

A cosignature says: at this time, this was the largest tree of this log that I had seen, and it
continued every other. A witness signs with both algorithms, so a forger must break both keys of as
many witnesses as the policy asks for, also with a quantum computer.
"""

import base64
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from bastide.core.errors import Misconfigured, NotProven
from bastide.core.key import is_weak
from bastide.crypto.note import Checkpoint, check_name, parse_checkpoint, signature_line, split_note

__all__ = ["Cosigner", "CosignerKey", "cosigned_by", "read_cosigner", "with_cosignatures"]

ED25519: Final = 0x04
MLDSA44: Final = 0x06
_PUBLIC_BYTES: Final = {ED25519: 32, MLDSA44: 1_312}
_SEED_BYTES: Final = 32
_TIME_MAX: Final = 2**63 - 1
_PRIVATE: Final = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness as others know it: its name and its public keys, by the type of its signatures."""

    name: str
    keys: tuple[tuple[int, bytes], ...]

    def vkeys(self) -> list[str]:
        """The keys as other tools take them (C2SP signed-note)."""
        return [
            f"{self.name}+{_key_hash(self.name, kind, raw).hex()}"
            f"+{base64.b64encode(bytes((kind,)) + raw).decode()}"
            for kind, raw in self.keys
        ]


@dataclass(frozen=True, slots=True, repr=False)
class CosignerKey:
    """The private keys of a witness. Its repr says nothing."""

    name: str
    ed25519: Ed25519PrivateKey
    mldsa44: MLDSA44PrivateKey

    @classmethod
    def from_seeds(cls, name: str, ed25519: bytes, mldsa44: bytes) -> "CosignerKey":
        """From two independent seeds of 32 bytes. Raises Misconfigured for a name that is none."""
        check_name(name)
        return cls(
            name,
            Ed25519PrivateKey.from_private_bytes(ed25519),
            MLDSA44PrivateKey.from_seed_bytes(mldsa44),
        )

    @classmethod
    def from_text(cls, text: str) -> "CosignerKey":
        """Read what `to_text` wrote. Raises Misconfigured."""
        seeds: dict[int, bytes] = {}
        names = set()
        for line in text.split():
            if not line.startswith(_PRIVATE):
                raise Misconfigured("not a witness's private key")
            name, kind, raw = _vkey(line.removeprefix(_PRIVATE), private=True)
            names.add(name)
            seeds[kind] = raw
        if len(names) != 1 or seeds.keys() != {ED25519, MLDSA44}:
            raise Misconfigured("not one witness's two private keys")
        return cls.from_seeds(names.pop(), seeds[ED25519], seeds[MLDSA44])

    def to_text(self) -> str:
        """Both keys, one a line, in the form of Go's sumdb/note. A secret."""
        seeds = {
            ED25519: self.ed25519.private_bytes_raw(),
            MLDSA44: self.mldsa44.private_bytes_raw(),
        }
        public = dict(self.public.keys)
        return "".join(
            f"{_PRIVATE}{self.name}+{_key_hash(self.name, kind, public[kind]).hex()}"
            f"+{base64.b64encode(bytes((kind,)) + seed).decode()}\n"
            for kind, seed in seeds.items()
        )

    @property
    def public(self) -> Cosigner:
        """What others may know."""
        ed25519 = self.ed25519.public_key().public_bytes_raw()
        return Cosigner(
            self.name,
            ((ED25519, ed25519), (MLDSA44, self.mldsa44.public_key().public_bytes_raw())),
        )

    def cosign(self, text: str, time_s: int) -> str:
        """Sign a checkpoint's text at a POSIX time: two signature lines for its note."""
        checkpoint = parse_checkpoint(text)
        classic = self.ed25519.sign(_classic(text, time_s))
        quantum = self.mldsa44.sign(_quantum(self.name, checkpoint, time_s))
        made = zip(self.public.keys, (classic, quantum), strict=True)
        return "".join(
            signature_line(
                self.name, _key_hash(self.name, kind, raw), struct.pack(">Q", time_s) + signature
            )
            for (kind, raw), signature in made
        )


def read_cosigner(vkeys: Iterable[str]) -> Cosigner:
    """A witness from its vkeys, all of one name. Raises Misconfigured."""
    rows = [_vkey(text) for text in vkeys]
    names = {name for name, _, _ in rows}
    kinds = [kind for _, kind, _ in rows]
    if len(names) != 1 or len(set(kinds)) != len(kinds):
        raise Misconfigured("not the keys of one witness, one of each type")
    return Cosigner(names.pop(), tuple((kind, raw) for _, kind, raw in rows))


def cosigned_by(note: str, cosigner: Cosigner) -> int | None:
    """When a witness cosigned a note (POSIX seconds); None if it did not.

    Raises NotProven if one of its signatures does not hold or was taken away, or if the note is
    malformed. A witness signs with all of its keys at once: a note with one of them alone would
    let a forger choose the algorithm to break. Two signatures of one key are malformed, too.
    """
    text, lines = split_note(note)
    times: list[int] = []
    for kind, raw in cosigner.keys:
        tag = _key_hash(cosigner.name, kind, raw)
        found = [data[4:] for name, data in lines if name == cosigner.name and data[:4] == tag]
        if len(found) > 1:
            raise NotProven(f"checkpoint: {cosigner.name} has cosigned it twice with one key")
        times += [_verified(text, cosigner.name, kind, raw, data) for data in found]
    if times and len(times) != len(cosigner.keys):
        raise NotProven(f"checkpoint: {cosigner.name} has cosigned it with one key of several")
    return min(times, default=None)


def with_cosignatures(head: str, known: str, lines: str) -> str:
    """A signed head with the cosignatures that a note of it had, and the new ones.

    head: the note that the log signed. known: a note that was kept, of this head or of another.
    lines: signature lines. A witness that cosigns again, after a restart of whoever asks it,
    replaces its earlier line; the lines of another head are left out. Raises NotProven.
    """
    if not known.startswith(head):
        return head + lines
    fresh = {(name, data[:4]) for name, data in split_note(head + lines)[1]}
    kept = [
        signature_line(name, data[:4], data[4:])
        for name, data in split_note(known)[1]
        if (name, data[:4]) not in fresh
    ]
    return head + "".join(kept) + lines


def _verified(text: str, name: str, kind: int, raw: bytes, data: bytes) -> int:
    if len(data) <= 8:
        raise NotProven(f"checkpoint: the cosignature of {name} is too short")
    (time_s,) = struct.unpack(">Q", data[:8])
    try:
        if not 0 < time_s <= _TIME_MAX:
            raise NotProven(f"checkpoint: the cosignature of {name} has no time")
        if kind == ED25519:
            Ed25519PublicKey.from_public_bytes(raw).verify(data[8:], _classic(text, time_s))
        else:
            message = _quantum(name, parse_checkpoint(text), time_s)
            MLDSA44PublicKey.from_public_bytes(raw).verify(data[8:], message)
    except (InvalidSignature, ValueError) as error:
        raise NotProven(f"checkpoint: the cosignature of {name} does not hold") from error
    return time_s


def _classic(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _quantum(name: str, checkpoint: Checkpoint, time_s: int) -> bytes:
    """The structure `cosigned_message` of the specification, for a whole tree."""
    return b"".join(
        (
            b"subtree/v1\n\0",
            _opaque(name),
            struct.pack(">Q", time_s),
            _opaque(checkpoint.origin),
            struct.pack(">QQ", 0, checkpoint.size),
            checkpoint.root,
        )
    )


def _opaque(text: str) -> bytes:
    data = text.encode()
    if not 1 <= len(data) <= 255:
        raise NotProven(f"{text[:40]!r} has not between 1 and 255 bytes")
    return bytes((len(data),)) + data


def _key_hash(name: str, kind: int, raw: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + raw).digest()[:4]


def _vkey(text: str, private: bool = False) -> tuple[str, int, bytes]:
    """Name, type and key of a vkey. Raises Misconfigured."""
    name, _, rest = text.partition("+")
    tag, _, encoded = rest.partition("+")
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise Misconfigured("a witness's key is not base64") from error
    kind = data[0] if data else 0
    if kind not in _PUBLIC_BYTES:
        raise Misconfigured(f"a witness's key is of type 0x{kind:02x}, not 0x04 or 0x06")
    wanted = _SEED_BYTES if private else _PUBLIC_BYTES[kind]
    if len(data) != 1 + wanted:
        raise Misconfigured(f"a witness's key has {len(data) - 1} bytes, not {wanted}")
    if kind == ED25519 and not private and is_weak(data[1:]):
        raise Misconfigured("a witness's key is none: anybody could sign with it")
    if not private and _key_hash(name, kind, data[1:]).hex() != tag:
        raise Misconfigured("a witness's key is not the one of its hash", fix="copy the whole line")
    check_name(name)
    return name, kind, data[1:]
