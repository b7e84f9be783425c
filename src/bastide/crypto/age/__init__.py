# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""age v1 files (C2SP age.md): encryption to recipients, in chunks, with random access.

Primitives are those of the `cryptography` library. tests/vectors/age-cctv holds the format's own
test vectors; tests/paths/test_age_interop.py checks files against the reference implementation.
"""

from bastide.crypto.age.armor import armor, dearmor
from bastide.crypto.age.file import (
    Identity,
    Recipient,
    Sealing,
    open_stream,
    parse_identity,
    parse_recipient,
    rewrap,
    seal,
    start_sealing,
    unwrap,
)
from bastide.crypto.age.header import Header, Stanza, parse_header
from bastide.crypto.age.hybrid import HybridIdentity, HybridRecipient
from bastide.crypto.age.passphrase import LOG_N_GENERATED, LOG_N_HUMAN, Passphrase
from bastide.crypto.age.stream import Payload, PayloadReader, plain_size, sealed_size
from bastide.crypto.age.tagged import TaggedIdentity, TaggedRecipient
from bastide.crypto.age.x25519 import X25519Identity, X25519Recipient

__all__ = [
    "LOG_N_GENERATED",
    "LOG_N_HUMAN",
    "Header",
    "HybridIdentity",
    "HybridRecipient",
    "Identity",
    "Passphrase",
    "Payload",
    "PayloadReader",
    "Recipient",
    "Sealing",
    "Stanza",
    "TaggedIdentity",
    "TaggedRecipient",
    "X25519Identity",
    "X25519Recipient",
    "armor",
    "dearmor",
    "open_stream",
    "parse_header",
    "parse_identity",
    "parse_recipient",
    "plain_size",
    "rewrap",
    "seal",
    "sealed_size",
    "start_sealing",
    "unwrap",
]
