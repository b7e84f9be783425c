# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Joined: the pieces of an answer that nobody reads before its end, put together on their way.

A frame for each token would cost the gateway more than all else. What has been said still goes out
every WHOLE_FLUSH_S, so that an answer that is cut off is counted until a moment before.
"""

from bastide.core.chat import Delta
from bastide.core.limits import WHOLE_FLUSH_S
from bastide.ports import Clock

__all__ = ["Joined"]


class Joined:
    """Takes deltas and gives out fewer, which say the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._texts: list[str] = []
        self._since = clock.monotonic()

    def take(self, delta: Delta) -> list[Delta]:
        """What is ready to be sent after one more delta."""
        if delta.call is not None:
            held = "".join(self._texts)
            self._texts.clear()
            return [Delta(held, usage=delta.usage), delta] if held else [delta]
        self._texts.append(delta.text)
        now = self._clock.monotonic()
        if delta.finish is None and now - self._since < WHOLE_FLUSH_S:
            return []
        self._since = now
        text = "".join(self._texts)
        self._texts.clear()
        return [Delta(text, delta.finish, delta.usage, met=delta.met)]
