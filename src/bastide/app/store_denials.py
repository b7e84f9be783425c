# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about openings of sealed objects: who opened what, what nobody may open.

The policies are in the ledger, which is sealed itself. What is locked can still be stopped: then
denying, and reading the record, ask nobody. They take away, or show what this user's own files
say; to let something be opened again takes the ledger, always.
"""

import contextlib
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from bastide.app import wiring
from bastide.app.config import Home
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.errors import Misconfigured, NotProven

__all__ = ["allow", "denied", "deny", "deny_locked", "openings", "openings_locked"]


def openings(env: Environment, limit: int) -> list[dict[str, Any]]:
    """The newest lines of the record of openings, oldest first."""
    require(env, "read")
    return openings_locked(env.home, limit)


def openings_locked(home: Home, limit: int) -> list[dict[str, Any]]:
    """The same of an environment that cannot be opened, so that nobody can be asked."""
    newest: deque[dict[str, Any]] = deque(maxlen=limit)
    for path in (home.openings.with_name(home.openings.name + ".1"), home.openings):
        if path.exists():
            with path.open() as lines:
                newest.extend(json.loads(line) for line in lines if line.endswith("\n"))
    return list(newest)


def denied(home: Home) -> list[str]:
    """What nobody may open."""
    return list(wiring.deny_list(home.denied).read())


def deny(env: Environment, names: Sequence[str]) -> list[str]:
    """Let nobody open objects of these names, or that begin so; ``*`` is all. It holds at once.

    It does so, too, where the policies in the ledger do not hold: forging them must stop no stop.
    """
    with contextlib.suppress(NotProven):
        _require_each(env, "store-deny", names)
    return deny_locked(env.home, names)


def deny_locked(home: Home, names: Sequence[str]) -> list[str]:
    """The same of an environment that cannot be opened: a stop must not wait for a passphrase."""
    listed = denied(home)
    listed += [name for name in names if name not in listed]
    wiring.deny_list(home.denied).write(listed)
    return listed


def allow(env: Environment, names: Sequence[str]) -> list[str]:
    """Take names off the deny list. Raises Misconfigured for one that is not on it."""
    _require_each(env, "store-allow", names)
    listed = denied(env.home)
    for name in names:
        if name not in listed:
            reason = f"{name} is not on the deny list"
            raise Misconfigured(reason, fix=f"on it: {', '.join(listed) or 'nothing'}")
        listed.remove(name)
    wiring.deny_list(env.home.denied).write(listed)
    return listed


def _require_each(env: Environment, action: str, names: Sequence[str]) -> None:
    """Ask for each name. Of `*` the environment is asked: it is everything."""
    for name in names or ("*",):
        require(env, action, None if name == "*" else name)
