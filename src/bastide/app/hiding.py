# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What keeps the memory of a process to itself: no core dump, and no debugger of the same user.

Memory is not locked (mlock): Python copies bytes as it likes, so a page with a key is any page, and
weights take more than a user may lock. Swap is the machine's; `bastide doctor` looks at it.
"""

import ctypes
import functools
import resource

from bastide.core.limits import CORE_BYTES_MAX

__all__ = ["hide_memory"]

_PR_SET_DUMPABLE = 4  # prctl(2)


@functools.cache  # once is enough
def hide_memory() -> None:
    """Let nobody but root read this process: not while it runs, nor after a crash.

    The limit is for the programs that it starts, too; they are dumpable again once they begin.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    most = CORE_BYTES_MAX if hard == resource.RLIM_INFINITY else min(CORE_BYTES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, hard))  # a program below may raise its own
