# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a name of an object may be: the same for every store."""

import re

from bastide.core.errors import Misconfigured

__all__ = ["below", "check_name"]

# A segment never starts with a dot: ``.``, ``..`` and the folder for drafts stay out of reach.
_NAME = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,199}(/[a-z0-9_-][a-z0-9._-]{0,199})*")
_NAME_LENGTH_MAX = 1_000


def check_name(name: str) -> None:
    """Raise Misconfigured unless this may name an object."""
    if len(name) > _NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise Misconfigured(
            f"{name[:80]!r} cannot name an object",
            fix="use segments of a-z, 0-9, '.', '_' and '-', joined by '/'",
        )


def below(name: str, prefix: str) -> bool:
    """True if a name is below a prefix: ``a`` holds ``a/b``, not ``ab``; ```` holds all."""
    folder = prefix.rstrip("/")
    return not folder or name.startswith(folder + "/")
