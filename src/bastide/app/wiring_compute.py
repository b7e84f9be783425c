# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Wiring of workers: a setting to the adapter that has them. A door like wiring.py."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from bastide.app import wiring
from bastide.app.config import Settings, child_environment
from bastide.app.extras import require_extra
from bastide.ports import Compute

__all__ = ["open_compute"]


def open_compute(
    settings: Settings, workers: int, bench: object, lost: Callable[[], None]
) -> AbstractContextManager[Compute]:
    """The workers that the settings name; `lost` is called with each that is lost.

    Raises Misconfigured if Ray is named and not installed.
    """
    if settings.compute != "processes":
        require_extra("ray")
    from bastide.adapters.compute.choose import open_compute as choose

    return choose(
        settings.compute,
        settings.compute_keys,
        workers,
        bench,
        lost,
        child_environment(),
        wiring.clock(),
        wiring.entropy(),
    )
