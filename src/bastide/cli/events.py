# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Long work told as lines of JSON: `--json` of `corpus build`, `index` and `erase`."""

import contextlib
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bastide.cli.command import Call
    from bastide.ports import Clock

__all__ = ["Events", "Work", "telling"]

_EVENT_S = 0.5  # between two events of one thing
_AGAIN = "the same command goes on where this was"


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

    def write(self, event: str, **fields: Any) -> None:
        """Write one event."""
        click.echo(json.dumps({"event": event, **fields}, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Work:
    """How long work is told: by events under `--json`, else by a bar and a text at its end."""

    events: Events | None
    progress: Callable[[str, int, int], None]

    def follow(self, clock: "Clock") -> None:
        """Tell the time of events by this clock."""
        if self.events:
            self.events.clock = clock.monotonic


@contextlib.contextmanager
def telling(call: "Call") -> Generator[Work]:
    """Do long work; under `--json` an error is the last event, and the exit status.

    What is interrupted goes on when it is called again, and says so.
    """
    events = Events() if call.as_json else None
    call.event = events.write if events else None
    try:
        yield Work(events, events.step if events else call.progress())
    except KeyboardInterrupt:
        if events is not None:
            events.write(
                "error", error="interrupted", message="interrupted", reasons=[], fix=_AGAIN
            )
        else:
            call.tell(f"\n{_AGAIN}")
        raise
