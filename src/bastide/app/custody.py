# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use case of custodians: whether those who came with their shares may do what they came for.

Their shares say who they are, before anybody can log in. So it is asked for their parties, once
the ledger opens; a set of policies can demand that the guardian is one of them.
"""

from collections.abc import Iterable
from dataclasses import replace

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.party import Party, Principal

__all__ = ["admit_custodians"]


def admit_custodians(env: Environment, custodians: Iterable[str], action: str = "unseal") -> None:
    """Return if the policies let these custodians do it. Raises NotAllowed, NotProven."""
    parties = frozenset(map(Party, custodians))
    name = f"the custodians {' and '.join(sorted(parties)) or 'of no party'}"
    require(replace(env, principal=Principal(name, parties), claim=None), action)
