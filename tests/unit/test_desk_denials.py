# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The desk has no ledger: what control said too long ago may lack a denial, and opens nothing.

Before, it went by the last snapshot however old: while control was away, nothing that was denied
reached the desk.
"""

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.control.memory import MemoryControl
from bastide.core.errors import Unavailable
from bastide.core.limits import SNAPSHOT_AGE_MAX_S
from bastide.core.snapshot import Snapshot
from bastide.gateway.desk import denied_names


@pytest.mark.attacks("C288")
def test_what_control_said_too_long_ago_opens_nothing() -> None:
    clock = FixedClock()
    control = MemoryControl(clock)
    with pytest.raises(Unavailable):
        denied_names(control, clock)
    told = Snapshot(1, 0, "e", "p", denied=("files/",))
    control.publish(told)
    assert denied_names(control, clock) == ("files/",)
    clock.advance(round(SNAPSHOT_AGE_MAX_S * 1_000))
    assert denied_names(control, clock) == ("files/",)
    clock.advance(1)
    with pytest.raises(Unavailable, match="control does not say what may be opened now"):
        denied_names(control, clock)
    control.publish(told)
    assert denied_names(control, clock) == ("files/",)
