# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a TPM's quote proves about a node.

The quote is over the registers 0 to 7, which the boot fills (TCG PC Client Platform Firmware
Profile, 2.3.4), and one of 8 to 15, which only a boot empties. A node extends that one with each
measurement of itself, SHA-256 of the canonical event, and keeps a log of the events; nobody needs
to trust the log, since it must give the register's value.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.core.limits import NODE_EVENTS_MAX
from bastide.crypto import tpm
from bastide.crypto.hardware_chain import read_chain, root_digest, verify_chain
from bastide.crypto.node_quote import binding, opened

__all__ = ["BOOT", "EVENT_FIELDS", "TpmEvidence", "event_digest", "read_evidence", "replay"]

BOOT: Final = tuple(range(8))
EVENT_FIELDS: Final = ("engine", "sandbox", "software")
_OURS: Final = range(8, 16)
_PARTS: Final = ("quote", "signature", "ak", "ek", "registers", "events")
_CHAIN: Final = "ek_chain"  # may be there: from the key's certificate up to its maker's root


@dataclass(frozen=True, slots=True)
class TpmEvidence:
    """What was proven: the keys, and the measurements by name, every value that ever stood."""

    endorsing: tpm.TpmKey
    attesting: tpm.TpmKey
    measured: dict[str, list[str]]


def event_digest(event: Mapping[str, str]) -> bytes:
    """What a register is extended with for an event: digests of software, engine and sandbox."""
    return hashlib.sha256(canonical(dict(event))).digest()


def replay(events: Sequence[Mapping[str, str]]) -> bytes:
    """What a register holds that was empty and then extended with these events."""
    value = bytes(32)
    for event in events:
        value = tpm.extend(value, event_digest(event))
    return value


def read_evidence(body: Mapping[str, Any]) -> TpmEvidence:
    """Check the quote in the body of a `node/v1`. Raises NotProven, saying what does not hold.

    That the attestation key is in the TPM of the endorsement key is proven to control alone, by
    TPM2_ActivateCredential; nothing that could be shown to others comes of it.
    """
    named = body["attestation"]["evidence"]
    more = (_CHAIN,) if _CHAIN in named else ()
    raw, signature, ak, ek, registers, log, *chain = opened(body, *_PARTS, *more)
    attesting, endorsing = tpm.read_public(ak, "ak"), tpm.read_public(ek, "ek")
    endorsing.verify_endorsing()
    tpm.verify_quote_signature(attesting, raw, signature)
    quote = tpm.read_quote(raw)
    if quote.qualifying != binding(body):
        raise NotProven("quote: it is about other keys, another node or another nonce")
    if quote.registers[:-1] != BOOT or quote.registers[-1] not in _OURS:
        raise NotProven(
            f"quote: of the registers {list(quote.registers)}, not of 0 to 7 and one of 8 to 15"
        )
    if len(registers) != 32 * len(quote.registers):
        raise NotProven("registers: not one value for each that was quoted")
    if hashlib.sha256(registers).digest() != quote.digest:
        raise NotProven("registers: not the values that were quoted")
    events = _read_events(log)
    if replay(events) != registers[-32:]:
        raise NotProven(
            f"register {quote.registers[-1]}: it holds other measurements than the event log says"
        )
    measured = {f"pcr{n}": [registers[32 * n : 32 * n + 32].hex()] for n in BOOT}
    for name in EVENT_FIELDS:
        measured[name] = list(dict.fromkeys(event[name] for event in events))
    if chain:
        measured["root"] = [_maker(endorsing, chain[0], body["time_ms"])]
    return TpmEvidence(endorsing, attesting, measured)


def _maker(endorsing: tpm.TpmKey, data: bytes, at_ms: int) -> str:
    """The root of the maker who certified an endorsement key. Raises NotProven."""
    chain = read_chain(data, "ek_chain")
    verify_chain(chain, at_ms, length=None)
    key, own = chain[0].public_key(), endorsing.key
    if not isinstance(key, rsa.RSAPublicKey) or not isinstance(own, rsa.RSAPublicKey):
        raise NotProven("ek_chain: not of an RSA key")
    if key.public_numbers() != own.public_numbers():
        raise NotProven("ek_chain: of another TPM than the endorsement key's")
    return root_digest(chain)


def _read_events(log: bytes) -> list[dict[str, str]]:
    try:
        events = json.loads(log)
        if canonical(events) != log:
            raise NotProven("events: not canonical JSON (RFC 8785)")
    except (ValueError, RecursionError) as error:
        raise NotProven(f"events: not JSON: {error}") from error
    if not isinstance(events, list) or not 1 <= len(events) <= NODE_EVENTS_MAX:
        raise NotProven(f"events: not a list of 1 to {NODE_EVENTS_MAX}")
    for event in events:
        fits = isinstance(event, dict) and tuple(sorted(event)) == EVENT_FIELDS
        if not fits or not all(isinstance(value, str) for value in event.values()):
            raise NotProven("events: not measurements of software, engine and sandbox")
    return events
