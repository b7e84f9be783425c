# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a deed in a forked child and perhaps kills it: one attempt costs no start of an interpreter.

For drivers that run as scripts in a fresh process and touch no database or store themselves: their
threads do not survive a fork.
"""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable

_ATTEMPTS = 6

# The number of an attempt -> its deed, and what is done after it.
Prepare = Callable[[int], tuple[Callable[[], None], Callable[[], None]]]


def forked(deed: Callable[[], None], kill_after_s: float | None = None) -> bool:
    """Run a deed in a child; True if it was killed. Exits the driver if the deed fails."""
    pid = os.fork()
    if pid == 0:
        try:
            deed()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        sys.exit("a deed failed; its traceback is above")
    return False


def elapsed(deed: Callable[[], None]) -> float:
    """Seconds that a deed takes when nobody kills it."""
    started = time.monotonic()
    forked(deed)
    return time.monotonic() - started


def kill_points(points: int, chance: random.Random, prepare: Prepare, whole_s: float) -> None:
    """Kill a deed at `points` random moments of its life; what it left is checked each time.

    `prepare` makes the deed of one attempt, and what checks and clears away after it. On a busy
    machine a deed takes longer or shorter than `whole_s`, so the reach follows what happens: an
    attempt that ended before its kill does not count, and the next kills come earlier.
    """
    reach, killed = whole_s, 0
    for number in range(_ATTEMPTS * points):
        deed, check = prepare(number)
        late = not forked(deed, chance.uniform(0, reach))
        check()
        killed += not late
        reach = max(whole_s / 20, reach * 0.8) if late else min(2 * whole_s, reach * 1.05)
        if killed == points:
            return
    sys.exit(f"only {killed} of {points} kills came in time")
