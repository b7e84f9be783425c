# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a caller is told of the models: only those that its key opens."""

from bastide.core.snapshot import KeyGrant, Snapshot
from bastide.dialects.surface import Listing, Single
from bastide.stages.serve import choose

__all__ = ["told_of"]


def told_of(action: Listing | Single, snapshot: Snapshot, grant: KeyGrant, body: bytes) -> bytes:
    """The list of models, or one of them. Raises NotFound or NotAllowed, as `choose` does."""
    if isinstance(action, Listing):
        served = [
            snapshot.served[name] for name in sorted(snapshot.served) if snapshot.opens(grant, name)
        ]
        return action.write(served, snapshot.environment)
    name = action.model if action.named is None else action.named(body)
    return action.write(choose(snapshot, grant, name), snapshot.environment)
