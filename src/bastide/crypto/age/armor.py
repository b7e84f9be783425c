# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""ASCII armor of age files: strict PEM (RFC 7468, figure 3) with LF or CRLF line ends."""

import base64
import binascii
import re
from typing import Final

from bastide.core.errors import Misconfigured

__all__ = ["armor", "dearmor"]

_BEGIN: Final = b"-----BEGIN AGE ENCRYPTED FILE-----"
_END: Final = b"-----END AGE ENCRYPTED FILE-----"
_COLUMNS: Final = 64
_FULL = re.compile(rb"[A-Za-z0-9+/]{64}")
_LAST = re.compile(rb"[A-Za-z0-9+/]{1,64}={0,2}")
_SPACE = b" \t\r\n"


def armor(data: bytes) -> str:
    """Wrap an age file for places that take only text."""
    body = base64.b64encode(data)
    lines = [body[start : start + _COLUMNS] for start in range(0, len(body), _COLUMNS)]
    return b"\n".join([_BEGIN, *lines, _END, b""]).decode()


def dearmor(text: bytes) -> bytes:
    """Take an armored age file apart. Raises Misconfigured for any other form."""
    lines = [line.removesuffix(b"\r") for line in text.strip(_SPACE).split(b"\n")]
    if len(lines) < 2 or lines[0] != _BEGIN or lines[-1] != _END:
        raise _malformed("it does not start and end as it should")
    if len(lines) == 2:
        return b""
    *full, last = lines[1:-1]
    if not all(_FULL.fullmatch(line) for line in full):
        raise _malformed("a line is not 64 characters of base64")
    if not _LAST.fullmatch(last) or len(last) > _COLUMNS:
        raise _malformed("its last line is not base64")
    encoded = b"".join(full) + last
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise _malformed("its base64 is damaged") from error
    if base64.b64encode(data) != encoded:
        raise _malformed("its base64 is not canonical")
    return data


def _malformed(reason: str) -> Misconfigured:
    return Misconfigured(f"not a valid age armor: {reason}", fix="copy the whole block again")
