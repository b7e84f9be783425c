# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Summary: what a validator learned about a model, and Source: what it reads from.

Every validator of this folder keeps the same promise. It reads its source through `read_at`
only, a bounded number of bytes; it runs nothing that the file contains; and whatever the bytes
are, it returns or raises Refused with every reason, within a bound of memory and steps.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Protocol

__all__ = ["TEMPLATE_NAME", "Source", "Summary"]

# What a further chat template may be called, for instance tool_use.
TEMPLATE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Source(Protocol):
    """Random access to one file; every `Reader` of the ports is one."""

    @property
    def size(self) -> int:
        """Bytes in the file."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the file."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model is.

    template: the chat template that is used unless the client names another; further_templates:
    those others, by name. licence: what the file itself claims. notes: for the approver.
    """

    format: str
    architecture: str
    parameters: int
    context_tokens: int
    vocabulary: int
    licence: str | None = None
    template: str | None = None
    further_templates: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
