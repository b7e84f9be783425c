# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Choosing a sandbox: by trying each, the strongest first. There is no "none"."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from bastide.adapters.sandbox.bwrap import BubblewrapSandbox
from bastide.adapters.sandbox.child import TRUE
from bastide.adapters.sandbox.landlock import LandlockSandbox
from bastide.core.errors import Misconfigured, Unavailable
from bastide.ports import Jail, Sandbox

__all__ = ["SANDBOXES", "choose_sandbox"]


class _Probed(Sandbox, Protocol):
    def probe(self, jail: Jail) -> None: ...


SANDBOXES: Mapping[str, Callable[[], _Probed]] = {
    "bubblewrap": BubblewrapSandbox,
    "landlock": LandlockSandbox,
}


def choose_sandbox(name: str) -> Sandbox:
    """The sandbox of a name, or with "auto" the first that really runs `true` on this machine.

    Raises Unavailable with the reason of each if none works, Misconfigured for another name.
    """
    if name != "auto" and name not in SANDBOXES:
        raise Misconfigured(f"sandbox = {name!r}", fix=f"auto, {', '.join(SANDBOXES)}")
    reasons: list[str] = []
    for candidate in SANDBOXES if name == "auto" else (name,):
        try:
            sandbox = SANDBOXES[candidate]()
            _try(sandbox)
        except Unavailable as error:
            reasons.append(f"{candidate}: {error.message}" + (f" ({error.fix})" * bool(error.fix)))
            continue
        return sandbox
    raise Unavailable(
        f"no sandbox works on this machine: {'; '.join(reasons)}",
        reasons=reasons,
        fix="install bubblewrap, or boot a kernel with Landlock",
    )


def _try(sandbox: _Probed) -> None:
    programs = [path for path in TRUE if Path(path).exists()]
    if not programs:
        raise Unavailable("there is no program `true` to try it with")
    with tempfile.TemporaryDirectory(prefix="bastide-probe-") as folder:
        sandbox.probe(Jail((programs[0],), (str(Path(programs[0]).resolve()), programs[0]), folder))
