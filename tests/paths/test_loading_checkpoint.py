# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of several files reaches an engine as it was admitted, or not at all."""

import asyncio
import os
from pathlib import Path

import pytest

from bastide.app import wiring_engines
from bastide.app.loading import start_proven
from bastide.app.models import add_model
from bastide.core.errors import BastideError, Misconfigured, NotProven
from bastide.stages.admit import Claim
from paths.loading_rig import Served
from unit.model_files import make_checkpoint


class Stopped(Exception):
    """The engine of these tests never starts."""


def admitted(served: Served, tmp_path: Path):
    files = make_checkpoint()
    folder = tmp_path / "several"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    admission = add_model(served.env, folder, Claim("several", "test", "Apache-2.0"), None)
    return files, admission


def started(served: Served, admission, seen: dict[str, bytes]):
    async def start(weights, proven):
        assert all(os.fstat(fd).st_size == 0 for fd in weights.values())
        await proven
        for name, fd in weights.items():
            seen[name] = os.pread(fd, os.fstat(fd).st_size, 0)
            with pytest.raises(PermissionError):
                os.write(fd, b"x")
        raise Stopped

    return asyncio.run(start_proven(served.env.ledger, served.env.store, admission, start))


def test_every_file_comes_sealed_and_whole(broken: Served, tmp_path: Path) -> None:
    files, admission = admitted(broken, tmp_path)
    seen: dict[str, bytes] = {}
    with pytest.raises(Stopped):
        started(broken, admission, seen)
    assert seen == files


@pytest.mark.attacks("C93")
def test_one_changed_file_and_no_engine_starts(broken: Served, tmp_path: Path) -> None:
    _, admission = admitted(broken, tmp_path)
    name = next(row["object"] for row in admission.body["objects"] if row["path"] == "config.json")
    broken.env.store.put(name, [b"{}"])
    seen: dict[str, bytes] = {}
    with pytest.raises(NotProven):
        started(broken, admission, seen)
    assert not seen


def test_each_engine_says_which_format_it_reads(tmp_path: Path) -> None:
    async def start(weights, engine):
        await wiring_engines.start_engine(
            weights, None, tmp_path, "several", 1, 64, 1, None, engine=engine
        )

    for weights, engine in (({"config.json": 0}, "llamacpp"), (0, "vllm")):
        with pytest.raises(Misconfigured, match="reads") as caught:
            asyncio.run(start(weights, engine))
        assert isinstance(caught.value, BastideError) and caught.value.fix
