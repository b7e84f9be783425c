# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Retiring: a runner whose deployment was replaced goes on until its last answer has ended.

For SNAPSHOT_AGE_MAX_S it takes requests, too: a gateway may not have heard yet, and one that has
heard nothing for longer refuses everything by itself.
"""

import asyncio

from bastide.app.config import Home
from bastide.app.metering import told_by
from bastide.core.errors import BastideError
from bastide.core.limits import REPLACED_DRAIN_S, SNAPSHOT_AGE_MAX_S
from bastide.core.metrics import SLOTS, SLOTS_FREE, WAITING
from bastide.ports import Clock

__all__ = ["drained"]

_LOOK_S = 0.5


async def drained(home: Home, name: str, clock: Clock) -> None:
    """Return when a runner has nothing to do any more, when it is gone, or after too long."""
    ends = clock.monotonic() + REPLACED_DRAIN_S
    pause_s = SNAPSHOT_AGE_MAX_S
    while clock.monotonic() < ends:
        await asyncio.sleep(pause_s)
        if not await _busy(home, name):
            return
        pause_s = _LOOK_S


async def _busy(home: Home, name: str) -> bool:
    try:
        told = {row[0]: row[2] for row in await told_by(home, name)}
    except BastideError:
        return False
    return told.get(SLOTS.name) != told.get(SLOTS_FREE.name) or bool(told.get(WAITING.name))
