# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Exchanges of the SDKs below `.sdks`: older generations of the Python ones, and JavaScript's.

A program of each environment makes all calls, each at an address of its own, behind which a gateway
of its own stands, as with the installed SDKs.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from paths.bedrock_rig import WIDE, set_clock
from paths.exchanges import EMBEDDER, Shown, familiar
from paths.gateway_rig import KEY, MODEL, STRANGE_KEY
from paths.sdk_probes import PROBES, SDKS
from paths.sdk_tap import Tap

__all__ = ["GENERATIONS", "of_each", "talked"]

GENERATIONS = ("2024", "2025", "2025-google", "javascript")
_TIMEOUT_S = 120
T = TypeVar("T")


def talked(generation: str) -> tuple[dict[str, dict[str, Shown]], dict[str, Any]]:
    """The exchanges of all SDKs of a generation, by file without its ending, and what they said."""
    made, said = _exchanges(generation, _asked(generation, {})["names"])
    return of_each(generation, said["versions"], made), said


def of_each(
    generation: str, sdks: Iterable[str], calls: Mapping[str, T]
) -> dict[str, dict[str, T]]:
    """What there is of each call ("SDK call"), by its SDK's file (without ending) and by call."""
    return {
        f"generations/{generation}-{sdk}": {
            name.removeprefix(f"{sdk} "): found
            for name, found in calls.items()
            if name.startswith(f"{sdk} ")
        }
        for sdk in sdks
    }


def _asked(generation: str, calls: Mapping[str, str]) -> dict[str, Any]:
    """What the program says: the calls that it knows, the versions, and what calls raised.

    calls: the address for each.
    """
    folder, command = SDKS / generation, [SDKS / generation / "bin" / "python", PROBES / "calls.py"]
    if generation == "javascript":
        shutil.copy(PROBES / "calls.mjs", folder)
        command = [SDKS / "node" / "bin" / "node", Path("calls.mjs")]
    assert command[0].exists() and folder.exists(), "run `make setup-dev`"
    given = {"key": KEY, "bad_key": STRANGE_KEY, "model": MODEL, "embedder": EMBEDDER}
    given |= {"pair": WIDE, "calls": calls}
    run = subprocess.run(
        [*command, json.dumps(given)],
        cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3_000:]
    return json.loads(run.stdout)


def _exchanges(generation: str, names: Iterable[str]) -> tuple[dict[str, Shown], dict[str, Any]]:
    """The exchange of each call ("SDK call"), and what the program said."""
    with contextlib.ExitStack() as stack:
        taps = {}
        for name in names:
            sdk, _, call = name.partition(" ")
            rig = stack.enter_context(familiar(call))
            if sdk == "boto3":
                set_clock(rig)  # it signs with the time of this machine
            taps[name] = Tap(rig)
            stack.callback(taps[name].close)
        said = _asked(generation, {name: tap.url for name, tap in taps.items()})
        return {name: tap.exchange((name, said)) for name, tap in taps.items()}, said
