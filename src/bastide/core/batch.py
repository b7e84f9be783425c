# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Files that tenants keep with us, and batches: many requests in one file, answered by and by.

The receipts of a batch are salted by its *secret*, ``HMAC-SHA256(API key, "bastide/batch/v1" ||
batch id)`` in hex, in the place of the API key, which nobody keeps. Whoever has the key derives
the secret of each batch; whoever has a secret learns nothing about the key or another batch.
"""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["ENDED", "Batch", "Fault", "KeptFile", "Status", "batch_secret"]


class Status(StrEnum):
    """Where a batch is; the words are those of the OpenAI API."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ENDED = frozenset((Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED))


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a tenant; times are seconds since 1970 (UTC)."""

    ident: str
    tenant: str
    name: str
    purpose: str
    size: int
    created_s: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an input file, or why a batch stopped. Lines count from 1; 0 is none."""

    code: str
    message: str
    line: int = 0
    param: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """The state of a batch, replaced as a whole. It has no repr: its secret opens receipts.

    `times` has a time in seconds for each status that was reached. Both ids of results are chosen
    when the batch is made, so that writing the results twice writes the same files.
    """

    ident: str
    tenant: str
    key: str  # id of the API key that made it
    secret: str  # empty once the batch has ended
    endpoint: str
    input_file: str
    output_file: str
    error_file: str
    created_s: int
    expires_s: int
    window: str = "24h"
    output_seconds: int = 0  # how long its results are kept; 0 is as long as any file
    metadata: dict[str, str] = field(default_factory=dict)
    status: Status = Status.VALIDATING
    ending: Status = Status.COMPLETED  # what it becomes once its results are written
    times: dict[str, int] = field(default_factory=dict)
    total: int = 0
    completed: int = 0
    failed: int = 0
    faults: tuple[Fault, ...] = ()


def batch_secret(api_key: str, batch: str) -> str:
    """What salts the receipts of a batch."""
    return hmac.digest(api_key.encode(), b"bastide/batch/v1" + batch.encode(), "sha256").hex()
