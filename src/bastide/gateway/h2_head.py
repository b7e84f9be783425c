# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Heads of answers as header blocks of HTTP/2 (HPACK, RFC 7541), without a table.

Nothing is put into the client's dynamic table, and the first block of a connection says so, so an
encoder has no state: what is equal in all answers is coded once in this process. A block is some
200 bytes longer than one with a table, and costs a twentieth of its CPU. Fields that differ from
answer to answer are marked as never to be indexed (6.2.3), as nothing is gained by it.
"""

from collections.abc import Iterable
from functools import cache
from typing import Final

from bastide.gateway.reply import SECURITY, Headers

__all__ = ["CONTINUE_BLOCK", "NO_TABLE", "answer_block"]

NO_TABLE: Final = b"\x20"  # the dynamic table has no room from now on (6.3)
# Where the static table has a status, or only the name of a field (appendix A).
_STATUS: Final = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}
_STATUS_NAME: Final = 8
_NAMES: Final = {
    "cache-control": 24,
    "content-length": 28,
    "content-type": 31,
    "date": 33,
    "location": 46,
    "retry-after": 53,
    "www-authenticate": 61,
}
_UNINDEXED, _NEVER_INDEXED = 0x00, 0x10


def answer_block(
    status: int, content_type: str, headers: Headers, ident: str, date: str, length: int | None
) -> bytes:
    """The head of an answer. `length` of the body, if it is known."""
    request = _text(f"req_{ident}")
    parts = [
        _fixed(status, content_type),
        _name("date"),
        _text(date),
        *(part for name in _IDENTS for part in (_name(name), request)),
    ]
    for name, value in headers:
        parts += (_name(name.lower()), _text(value))
    if length is not None:
        parts += (_name("content-length"), _text(str(length)))
    return b"".join(parts)


_IDENTS: Final = ("x-request-id", "request-id", "x-amzn-requestid")


@cache
def _fixed(status: int, content_type: str) -> bytes:
    """What all answers of a kind have in common. The routes have few kinds."""
    index = _STATUS.get(status)
    first = (
        _integer(0x80, 7, index)
        if index is not None
        else _integer(_UNINDEXED, 4, _STATUS_NAME) + _text(str(status))
    )
    return first + _fields((("content-type", content_type), *SECURITY))


def _fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(_name(name, _UNINDEXED) + _text(value) for name, value in fields)


@cache
def _name(name: str, kind: int = _NEVER_INDEXED) -> bytes:
    """How a literal field begins: its name, by the static table if it is there."""
    index = _NAMES.get(name)
    return bytes((kind,)) + _text(name) if index is None else _integer(kind, 4, index)


def _text(text: str) -> bytes:
    """A string literal, not Huffman-coded (5.2)."""
    data = text.encode()
    size = len(data)
    return (bytes((size,)) if size < 0x7F else _integer(0, 7, size)) + data


def _integer(first: int, bits: int, value: int) -> bytes:
    """A number of which some bits stand in the first byte (5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    out, value = [first | most], value - most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


CONTINUE_BLOCK: Final = _integer(_UNINDEXED, 4, _STATUS_NAME) + _text("100")
