# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Long work told as lines of JSON: `--json` of `corpus build` and `corpus index`."""

import json
from collections.abc import Callable
from typing import Any

import click

from bastide.core.errors import BastideError

__all__ = ["Events"]

_EVENT_S = 0.5  # between two events of one thing


class Events:
    """Progress as lines of JSON, each thing at most twice a second and at its end."""

    def __init__(self) -> None:
        self._what = ""
        self._due = 0.0
        self.clock: Callable[[], float] = lambda: 0.0

    def step(self, what: str, done: int, total: int) -> None:
        """Tell how far something is."""
        now = self.clock()
        if what != self._what or done >= total or now >= self._due:
            self._what, self._due = what, now + _EVENT_S
            self.write("progress", what=what, done=done, total=total)

    def fail(self, error: BastideError) -> None:
        """Write the last event of work that failed."""
        self.write("error", error=error.code, message=error.message,
                   reasons=list(error.reasons), fix=error.fix)  # fmt: skip

    def write(self, event: str, **fields: Any) -> None:
        """Write one event."""
        click.echo(json.dumps({"event": event, **fields}, ensure_ascii=False))
