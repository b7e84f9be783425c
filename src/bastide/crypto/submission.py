# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a log sends to a witness: the body of `add-checkpoint` (C2SP tlog-witness)."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bastide.core.errors import Misconfigured
from bastide.crypto.merkle import HASH_BYTES

__all__ = ["Submission", "read_submission", "write_submission"]

PROOF_LINES_MAX: Final = 63
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint with the proof that it continues the tree of an older size."""

    old: int
    proof: tuple[bytes, ...]
    note: str


def write_submission(old: int, proof: Sequence[bytes], note: str) -> str:
    """The body of a request."""
    lines = [f"old {old}", *(base64.b64encode(row).decode() for row in proof), "", note]
    return "\n".join(lines)


def read_submission(data: bytes) -> Submission:
    """Read the body of a request. Raises Misconfigured if it has not exactly this form."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Misconfigured("the body is not UTF-8") from error
    head, divider, note = text.partition("\n\n")
    first, *rest = head.split("\n")
    old = _OLD.fullmatch(first)
    if not divider or old is None:
        raise Misconfigured("the body does not begin with the line `old <size>`")
    if len(rest) > PROOF_LINES_MAX:
        raise Misconfigured(f"a proof has at most {PROOF_LINES_MAX} lines")
    return Submission(int(old[1]), tuple(map(_hash, rest)), note)


def _hash(line: str) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except ValueError as error:
        raise Misconfigured("a line of the proof is not base64") from error
    if len(raw) != HASH_BYTES or base64.b64encode(raw).decode() != line:
        raise Misconfigured("a line of the proof is no SHA-256 hash")
    return raw
