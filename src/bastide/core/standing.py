# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Standing: what a receipt needs that only the gateway knows, handed to the runner with a turn.

If the gateway dies before the receipt is durable, the runner makes a `Cut` of it: what it had
handed over, and a commitment to that. Control books it as a receipt with the finish ``cut``
(docs/adr/0008-receipts.md). The salt opens the commitments of this one receipt; the runner, which
reads prompt and answer anyway, learns nothing by it, and it goes no further than the runner.
"""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bastide.core.errors import Misconfigured

__all__ = ["CUT", "Cut", "Cuts", "Standing"]

CUT: Final = "cut"  # the finish of a receipt that a runner stated for a gateway that died

_RECEIPT = re.compile(r"r_[0-9A-HJKMNP-TV-Z]{26}\Z")
_COMMITMENT = re.compile(r"hmac-sha256:[0-9a-f]{64}\Z")
_GUARD_ROWS_MAX = 2  # before anything was found: which policy, and the day of the erasure list
_GUARD_CHARS_MAX = 128
_Commitment = Annotated[str, Meta(max_length=76)]
_Mark = Annotated[str, Meta(max_length=_GUARD_CHARS_MAX)]
_COUNT_MAX = 2**53 - 1  # what canonical JSON carries


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """Of one call. An array on the wire: it goes with every request, and is bounded."""

    receipt: Annotated[str, Meta(max_length=28)]  # its id
    key: Annotated[str, Meta(max_length=64)]  # id of the API key, never the key
    salt: Annotated[bytes, Meta(max_length=32)]  # `core.receipt.salt_for` of this receipt
    prompt_commitment: _Commitment
    guard: Annotated[tuple[_Mark, ...], Meta(max_length=_GUARD_ROWS_MAX)] = ()  # what is in force
    fingerprint: _Commitment = ""
    retry: bool = False

    def __repr__(self) -> str:
        return f"Standing({self.receipt})"  # never the salt


class Cut(msgspec.Struct, frozen=True):
    """What a runner states of a turn whose gateway is gone. No field opens a commitment."""

    receipt: str
    key: str
    model: str  # the name in the request
    prompt_commitment: str
    answer_commitment: str  # over what was handed to the gateway
    time_ms: int  # when the last of it was
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    delivered: bool = True  # the gateway streamed, and had something to stream
    guard: tuple[str, ...] = ()
    fingerprint: str = ""
    retry: bool = False

    def verify_form(self) -> None:
        """Raises Misconfigured, naming the field that is none. Counts must fit a receipt."""
        if not _RECEIPT.match(self.receipt):
            raise Misconfigured("cut.receipt: no id of a receipt")
        for name in ("prompt_commitment", "answer_commitment", "fingerprint"):
            value = getattr(self, name)
            if not _COMMITMENT.match(value) and not (name == "fingerprint" and not value):
                raise Misconfigured(f"cut.{name}: no commitment")
        for name in ("time_ms", "prompt_tokens", "completion_tokens", "cached_tokens"):
            if not 0 <= getattr(self, name) <= _COUNT_MAX:
                raise Misconfigured(f"cut.{name}: out of range")
        rows = self.guard
        if len(rows) > _GUARD_ROWS_MAX or any(len(row) > _GUARD_CHARS_MAX for row in rows):
            raise Misconfigured("cut.guard: more than a policy and the day of a list")


class Cuts(msgspec.Struct, frozen=True):
    """What one runner states of one gateway: `gateway` is the process id that the kernel gave."""

    deployment: str
    gateway: int
    rows: tuple[Cut, ...]
