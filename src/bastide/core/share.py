# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Share: guaranteed compute of one tenant on one deployment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Parallel slots and context tokens that a deployment reserves."""

    slots: int
    context_tokens: int
