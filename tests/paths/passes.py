# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Credentials of services for a control that a test runs."""

from bastide.adapters.clock.system import SystemClock
from bastide.app.callers import Callers, credential_of
from bastide.ledger import Ledger

__all__ = ["callers", "passing"]

_SECRET = b"a secret of tests" * 2


def callers(ledger: Ledger) -> Callers:
    """What tells control who calls."""
    return Callers(_SECRET, ledger, SystemClock())


def passing(role: str) -> str:
    """The credential of a role."""
    return credential_of(_SECRET, role)
