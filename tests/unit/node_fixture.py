# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A TPM's twin for tests: it makes what a TPM makes, and what an attacker would like it to.

tests/paths/test_nodes.py asks a real TPM emulator instead.
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from bastide.core.canonical import canonical
from bastide.core.evidence import Statement
from bastide.core.subject import Digest, Subject
from bastide.crypto import age, tpm
from bastide.crypto.base64url import b64url
from bastide.crypto.node_quote import binding
from bastide.crypto.tpm_evidence import event_digest

SOFTWARE, ENGINE, SANDBOX = (f"sha256:{letter * 64}" for letter in "abc")
EVENT = {"software": SOFTWARE, "engine": ENGINE, "sandbox": SANDBOX}
NODE_TIME_MS = 1_790_000_000_000


@cache
def endorsement(seed: int) -> rsa.RSAPrivateKey:
    """An endorsement key for each seed; RSA keys cost half a second, so they are kept."""
    del seed
    return rsa.generate_private_key(65_537, 2_048)


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


@dataclass
class Twin:
    """One machine: its keys, its registers, its event log."""

    seed: int = 1
    attributes: int = 0x00050472
    register: int = 14
    events: list[dict[str, str]] = field(default_factory=list)
    values: dict[int, bytes] = field(default_factory=lambda: {n: bytes(32) for n in range(24)})

    def __post_init__(self) -> None:
        secret = int.from_bytes(hashlib.sha256(f"ak{self.seed}".encode()).digest()) >> 1
        self.attesting = ec.derive_private_key(secret, ec.SECP256R1())

    @property
    def ak(self) -> bytes:
        """TPM2B_PUBLIC of the attestation key."""
        numbers = self.attesting.public_key().public_numbers()
        head = struct.pack(">HHIH", 0x23, 0x0B, self.attributes, 0)
        scheme = struct.pack(">HHHHH", 0x10, 0x18, 0x0B, 3, 0x10)
        return sized(head + scheme + sized(numbers.x.to_bytes(32)) + sized(numbers.y.to_bytes(32)))

    @property
    def ek(self) -> bytes:
        """TPM2B_PUBLIC of the endorsement key, of the TCG's template L-1."""
        modulus = endorsement(self.seed).public_key().public_numbers().n
        policy = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
        head = struct.pack(">HHI", 1, 0x0B, 0x000300B2) + sized(policy)
        return sized(
            head
            + struct.pack(">HHHHHI", 6, 128, 0x43, 0x10, 2048, 0)
            + sized(modulus.to_bytes(256))
        )

    @property
    def identity(self) -> str:
        """What names the machine."""
        return str(tpm.read_public(self.ek, "ek").digest)

    def measure(self, event: Mapping[str, str] = EVENT, logged: bool = True) -> None:
        """Extend the register, and write the log unless somebody would rather not."""
        if logged:
            self.events.append(dict(event))
        before = self.values[self.register]
        self.values[self.register] = tpm.extend(before, event_digest(event))

    def quote(
        self, qualifying: bytes, registers: Sequence[int] | None = None
    ) -> tuple[bytes, bytes, bytes]:
        """TPMS_ATTEST, TPMT_SIGNATURE and the values of the registers."""
        chosen = (*range(8), self.register) if registers is None else tuple(registers)
        bits = sum(1 << n for n in chosen).to_bytes(3, "little")
        values = b"".join(self.values[n] for n in chosen)
        attest = b"\xffTCG" + struct.pack(">H", 0x8018) + sized(b"\0\x0b" + bytes(32))
        attest += sized(qualifying) + bytes(8) + struct.pack(">IIB", 2, 0, 1) + bytes(8)
        attest += struct.pack(">IHB", 1, 0x0B, 3) + bits + sized(hashlib.sha256(values).digest())
        return attest, self.sign(attest), values

    def sign(self, attest: bytes) -> bytes:
        """TPMT_SIGNATURE over anything: a TPM would sign only what it made."""
        der = self.attesting.sign(attest, ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        return struct.pack(">HH", 0x18, 0x0B) + sized(r.to_bytes(32)) + sized(s.to_bytes(32))

    def activate(self, blob: bytes, secret: bytes) -> bytes:
        """TPM2_ActivateCredential, with the library's own KDF in counter mode (SP 800-108)."""
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
        seed = endorsement(self.seed).decrypt(secret[2:], oaep)
        name = tpm.read_public(self.ak, "ak").name
        mac, sealed = blob[4:36], blob[36:]
        key = _kdf(seed, b"INTEGRITY", b"", 32)
        assert hmac.compare_digest(hmac.digest(key, sealed + name, "sha256"), mac)
        symmetric = algorithms.AES128(_kdf(seed, b"STORAGE", name, 16))
        decryptor = Cipher(symmetric, CFB(bytes(16))).decryptor()
        return (decryptor.update(sealed) + decryptor.finalize())[2:]


def _kdf(seed: bytes, label: bytes, context: bytes, length: int) -> bytes:
    return KBKDFHMAC(
        hashes.SHA256(), Mode.CounterMode, length, 4, 4, CounterLocation.BeforeFixed,
        label, context, None,
    ).derive(seed)  # fmt: skip


def node_body(twin: Twin, **changes: Any) -> dict[str, Any]:
    """The body of a `node/v1` of a twin that has measured itself. Changes come before the quote."""
    keys = {
        "age": str(age.X25519Identity(hashlib.sha256(b"node").digest()).recipient()),
        "hpke": b64url(hashlib.sha256(b"hpke").digest()),
    }
    body: dict[str, Any] = {
        "node": "node-1",
        "deployment": "sha256:" + "d" * 64,
        "replica": 1,
        "attestation": {"kind": "tpm2", "reference": "sha256:" + "e" * 64, "nonce": "07" * 32},
        "keys": keys,
        "time_ms": NODE_TIME_MS,
        "expires_ms": NODE_TIME_MS + 3_600_000,
        **changes,
    }
    return with_evidence(body, twin, *twin.quote(binding(body)))


def with_evidence(
    body: dict[str, Any], twin: Twin, quote: bytes, signature: bytes, values: bytes
) -> dict[str, Any]:
    """The body with a quote, and with what an honest reader would find in it."""
    parts = {
        "quote": quote,
        "signature": signature,
        "ak": twin.ak,
        "ek": twin.ek,
        "registers": values,
        "events": canonical(twin.events),
    }
    measured = {f"pcr{n}": [values[32 * n : 32 * n + 32].hex()] for n in range(8)}
    for name in ("engine", "sandbox", "software"):
        measured[name] = list(dict.fromkeys(event[name] for event in twin.events))
    stated = {
        **body["attestation"],
        "identity": twin.identity,
        "key": str(tpm.read_public(twin.ak, "ak").spki),
        "evidence": {name: b64url(part) for name, part in parts.items()},
        "measured": measured,
    }
    return {**body, "attestation": stated}


def node_statement(body: Mapping[str, Any]) -> Statement:
    """A `node/v1` with a body."""
    identity = body["attestation"]["identity"]
    subject = Subject(body["node"], Digest.of(canonical({"node": identity})))
    return Statement("node/v1", (subject,), body)


def reference_body(twin: Twin, **changes: Any) -> dict[str, Any]:
    """The body of a `node-reference/v1` that allows a twin."""
    return {
        "name": "machines",
        "kind": "tpm2",
        "identities": [twin.identity],
        "measured": {"software": [SOFTWARE], "engine": [ENGINE], "sandbox": [SANDBOX]},
        "minimum": {},
        "valid_s": 3_600,
        "time_ms": NODE_TIME_MS,
        **changes,
    }


def reference_statement(body: Mapping[str, Any]) -> Statement:
    """A `node-reference/v1` with a body."""
    subject = Subject(body["name"], Digest.of(canonical({"node-reference": body["name"]})))
    return Statement("node-reference/v1", (subject,), body)
