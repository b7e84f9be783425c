# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of ``application/vnd.amazon.eventstream``, the writing side.

A frame is: total length u32, headers' length u32, CRC-32 of these eight bytes, headers, payload,
CRC-32 of all before; numbers are big-endian. A header is: length u8, name, 7 (the type string),
length u16, value. Its CRCs find accidents, not attackers.
"""

import struct
from binascii import crc32
from typing import Final

__all__ = ["AMAZON_EVENT_STREAM", "encode_frame", "event_headers", "exception_headers"]

AMAZON_EVENT_STREAM: Final = "application/vnd.amazon.eventstream"
_STRING: Final = 7
_AROUND: Final = 16  # two lengths and two checksums


def event_headers(kind: str) -> bytes:
    """The headers of an event with a JSON payload."""
    return _headers(
        (":event-type", kind), (":content-type", "application/json"), (":message-type", "event")
    )


def exception_headers(kind: str) -> bytes:
    """The headers of an error that ends a stream, with a JSON payload."""
    return _headers(
        (":exception-type", kind),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    )


def encode_frame(headers: bytes, payload: bytes) -> bytes:
    """One frame, with headers that one of the functions above gave."""
    prelude = struct.pack(">II", _AROUND + len(headers) + len(payload), len(headers))
    front = b"".join((prelude, crc32(prelude).to_bytes(4), headers, payload))
    return front + crc32(front).to_bytes(4)


def _headers(*rows: tuple[str, str]) -> bytes:
    out = b""
    for name, value in rows:
        out += bytes((len(name),)) + name.encode()
        out += struct.pack(">BH", _STRING, len(value)) + value.encode()
    return out
