# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of long work: a bar that is redrawn on a terminal, a few plain lines elsewhere."""

from typing import TextIO

__all__ = ["Progress"]

_WIDTH = 24
_LINES = 4  # plain lines per task, where there is no terminal


class Progress:
    """Draws `what done/total`. Nothing moves where standard error is no terminal."""

    def __init__(self, out: TextIO, animated: bool) -> None:
        self._out = out
        self._animated = animated
        self._shown: dict[str, int] = {}

    def step(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` is done; `total` 0 means unknown."""
        share = done / total if total else 0.0
        mark = int(share * (100 if self._animated else _LINES))
        if self._shown.get(what) == mark:
            return
        self._shown[what] = mark
        if not self._animated:
            if mark:
                self._out.write(f"  {what}: {share:.0%}\n")
            return
        full = int(share * _WIDTH)
        bar = "#" * full + "." * (_WIDTH - full)
        self._out.write(f"\r  [{bar}] {share:4.0%}  {what}\033[K")
        if done >= total:
            self._out.write("\r\033[K")
        self._out.flush()
