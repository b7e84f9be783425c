# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Proofs of logging as files (C2SP tlog-proof): index, inclusion proof, cosigned checkpoint."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bastide.core.errors import NotProven
from bastide.crypto.merkle import HASH_BYTES

__all__ = ["TlogProof", "read_proof", "write_proof"]

_FIRST: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
_HASHES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class TlogProof:
    """What such a file holds. Nothing of it is verified; `extra` never is."""

    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""


def write_proof(index: int, proof: Sequence[bytes], checkpoint: str, extra: bytes = b"") -> str:
    """The text of a proof file."""
    lines = [_FIRST]
    if extra:
        lines.append(f"extra {base64.b64encode(extra).decode()}")
    lines.append(f"index {index}")
    lines += [base64.b64encode(row).decode() for row in proof]
    return "\n".join([*lines, "", checkpoint])


def read_proof(text: str) -> TlogProof:
    """Read a proof file. Raises NotProven if it has not the form of the specification."""
    head, divider, checkpoint = text.partition("\n\n")
    first, *rest = head.split("\n")
    if first != _FIRST or not divider:
        raise NotProven(f"not a proof file: its first line is not {_FIRST}")
    extra = b""
    if rest and rest[0].startswith("extra "):
        extra = _base64(rest.pop(0).removeprefix("extra "))
    found = _INDEX.fullmatch(rest[0]) if rest else None
    if found is None or len(rest) > 1 + _HASHES_MAX:
        raise NotProven("the proof file has no index, or too many hashes")
    proof = tuple(map(_base64, rest[1:]))
    if any(len(row) != HASH_BYTES for row in proof):
        raise NotProven("a line of the proof file is no SHA-256 hash")
    return TlogProof(int(found[1]), proof, checkpoint, extra)


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise NotProven("a line of the proof file is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise NotProven("a line of the proof file is not base64")
    return raw
