# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of long work: a bar on a terminal, a line every ten seconds elsewhere.

Nothing is shown for what is over within half a second.
"""

from typing import TextIO

from bastide.cli.amounts import span
from bastide.ports import Clock

__all__ = ["Progress"]

_WIDTH = 24
_PATIENCE_S = 0.5  # before the first sign
_REDRAW_S = 0.1
_LINE_S = 10.0


class Progress:
    """Draws `what done/total`. Nothing moves where standard error is no terminal."""

    def __init__(self, out: TextIO, animated: bool, clock: Clock) -> None:
        self._out = out
        self._animated = animated
        self._clock = clock
        self._what = ""
        self._done = 0
        self._started = 0.0
        self._due = 0.0

    def step(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` is done; `total` 0 means unknown. Less than before is a new
        pass, whatever its words."""
        now = self._clock.monotonic()
        again = done < self._done
        self._done = done
        if again or what != self._what:
            self._what, self._started = what, now
            self._due = now + (_PATIENCE_S if self._animated else _LINE_S)
        over = 0 < total <= done
        if self._animated and over:
            self._out.write("\r\033[K")
            self._out.flush()
        elif now >= self._due:
            self._due = now + (_REDRAW_S if self._animated else _LINE_S)
            self._draw(done / total if total else 0.0, now - self._started)

    def _draw(self, share: float, elapsed: float) -> None:
        left = f"  {span(elapsed * (1 - share) / share)} left" if share > 0.02 else ""
        if not self._animated:
            self._out.write(f"  {self._what}: {share:.0%}{left}\n")
            return
        bar = "#" * int(share * _WIDTH)
        self._out.write(f"\r  [{bar:.<{_WIDTH}}] {share:4.0%}  {self._what}{left}\033[K")
        self._out.flush()
