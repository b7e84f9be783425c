# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Reserve: how many free slots are not lent, so that a due request finds one.

Nothing that runs is killed, so who comes while all slots are busy waits until one of them ends. The
only cure is to leave slots free beforehand. How many, is measured: if a mean of m slots was used
under promises lately, m + SHARE_ROOM_FACTOR √m are enough nearly always (a number of answers that
begin at random moments has the deviation √m). docs/adr/0013-shares.md has what that costs.
"""

import math
from typing import Final

from bastide.core.limits import (
    SHARE_GUARD_IDLE_S,
    SHARE_GUARD_LENT_BELOW,
    SHARE_ROOM_DIVISOR,
    SHARE_ROOM_FACTOR,
    SHARE_ROOM_S,
)
from bastide.core.share import guard_slots

__all__ = ["Reserve"]

_LATER_S: Final = 0.001  # looks a little past a crossing: just before it nothing has changed yet


class Reserve:
    """The slots of one engine that are kept for promises. Times are seconds of the queue's clock.

    `guard` slots are kept always, or none where nothing is promised; an engine of fewer than
    SHARE_GUARD_LENT_BELOW slots lends them too once no promise was used for SHARE_GUARD_IDLE_S.
    """

    def __init__(self, slots: int) -> None:
        self.guard = 0
        self.running = 0  # answers that promises pay for
        self._slots = slots
        self._mean = 0.0  # of `running`, until it last changed
        self._changed_at = float("-inf")
        self._used_at = 0.0  # when something was last due or promised
        self._now = float("-inf")

    def promise(self, now: float, promised: bool) -> None:
        """Something is promised from now on, or nothing any more."""
        self.guard = guard_slots(self._slots) if promised else 0
        self._used_at = now

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._now = max(now, self._now)
        if self.running:
            self._used_at = self._now

    def use(self, now: float, more: int = 0) -> None:
        """A promise was used: something became due, or `more` answers under it run."""
        if more:
            self._mean, self._changed_at = self._lately(), self._now
            self.running += more
        self._used_at = now

    @property
    def kept(self) -> int:
        """Free slots that are not lent now."""
        if not self.guard:
            return 0
        lately = self._lately()
        room = int(lately + SHARE_ROOM_FACTOR * math.sqrt(lately)) - self.running
        most = self.guard + self._slots // SHARE_ROOM_DIVISOR
        if self._lends and self._now >= self._used_at + SHARE_GUARD_IDLE_S:
            return 0
        return min(max(self.guard, room), most)

    def changes_at(self, free: int) -> float | None:
        """When one of `free` slots that is kept now may be lent, if nothing else happens."""
        if not self.guard or not 0 < free <= self.kept:
            return None
        times = []
        if self._lends and not self.running:
            times.append(self._used_at + SHARE_GUARD_IDLE_S)
        if free > self.guard:
            # The mean at which mean + factor √mean comes to less than what runs and what
            # is free.
            root = math.sqrt(SHARE_ROOM_FACTOR**2 + 4 * (self.running + free))
            mean, lately = ((root - SHARE_ROOM_FACTOR) / 2) ** 2, self._lately()
            if self.running < mean < lately:
                part = (lately - self.running) / (mean - self.running)
                times.append(self._now + _LATER_S + SHARE_ROOM_S * math.log(part))
        return min(times, default=None)

    def _lately(self) -> float:
        """The mean of `running` by now. It is asked for seldom, and time passes with each token."""
        if self._now <= self._changed_at:
            return self._mean
        past = 1.0 - math.exp((self._changed_at - self._now) / SHARE_ROOM_S)
        return self._mean + past * (self.running - self._mean)

    @property
    def _lends(self) -> bool:
        return self._slots < SHARE_GUARD_LENT_BELOW
