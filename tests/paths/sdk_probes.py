# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Official SDKs in environments of their own, which `make setup-dev` makes below `.sdks`."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bastide.adapters.engine.fake import FakeEngine
from paths.bedrock_rig import WIDE
from paths.gateway_rig import KEY, MODEL, STRANGE_KEY, Rig

ROOT = Path(__file__).resolve().parents[2]
SDKS = ROOT / ".sdks"
PROBES = ROOT / "tests" / "sdks"
WORDS = 8  # that every probe asks for
_TIMEOUT_S = 90


def ask(
    command: Sequence[str | Path], rig: Rig, folder: Path, url: str = "", **environment: str
) -> dict[str, Any]:
    """What a probe got, by SDK. `url` is asked instead of the rig's own plain one."""
    rig.engine.thinking = FakeEngine()
    given = {
        "url": url or rig.url,
        "key": KEY,
        "bad_key": STRANGE_KEY,
        "model": MODEL,
        "pair": WIDE,
    }
    assert Path(command[0]).exists(), f"{command[0]} is missing: run `make setup-dev`"
    run = subprocess.run(
        [*command, json.dumps(given)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3_000:]
    return json.loads(run.stdout)


def expect_answers(found: dict[str, Any]) -> None:
    """The same words whole and streamed, and a call of the tool where one was asked for."""
    for name, row in found.items():
        assert row["whole"] and row["whole"] == row["stream"], name
        assert len(row["whole"].split()) == WORDS, name
        assert row.get("usage", WORDS) == WORDS, name
        assert row.get("parsed", "wall") == "wall", name
        assert row.get("tool", ["find_town", ["town"]]) == ["find_town", ["town"]], name
