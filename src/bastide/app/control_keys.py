# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How control learns of the successors of its keys: from the supervisor, on standard input."""

import json
from collections.abc import Callable

from bastide.app import wiring
from bastide.app.process import later_lines, log
from bastide.ports import Clock, Keyring

__all__ = ["follow_keys"]


async def follow_keys(take_over: Callable[[Keyring], None], clock: Clock) -> None:
    """Take over each keyring that the supervisor tells of."""
    async for line in later_lines():
        take_over(wiring.keyring_from_portion(json.loads(line)["keys"]))
        log("control", "keys-taken-over", clock.now_ms)
