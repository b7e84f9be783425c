# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Invitations that nobody can use: what is said of them, and that one is never lost.

To see these tests fail I once broke the code: without `_refused` in what `_ask` raises, and without
`expires_ms`, joining said that control is away; with `keep` behind the ledger's statement, an
invitation that could not be written replaced the one before.
"""

import asyncio
import json
import re
from pathlib import Path

import pytest

from bastide.adapters.clock.system import SystemClock
from bastide.adapters.entropy.system import SystemEntropy
from bastide.app.config import Home, Settings
from bastide.app.founding import free_address
from bastide.app.machine_join import join_environment, read_invitation
from bastide.core.errors import Misconfigured, NotAllowed
from bastide.core.service import Credential
from paths.demo import Demo
from paths.test_machine_door import ENVIRONMENT, World, go


def file_of(world: World, shown: Credential, ends_in_s: int = 600) -> str:
    """What an invitation's file holds."""
    told = {
        "environment": ENVIRONMENT,
        "machine": "b",
        "control": "{}:{}".format(*world.address),
        "authority": shown.authority,
        "certificate": shown.certificate,
        "key": shown.key,
        "anchors": json.dumps(world.inner.chain.anchors),
        "expires_ms": SystemClock().now_ms() + ends_in_s * 1000,
    }
    return json.dumps(told)


async def join(folder: Path, text: str) -> Settings:
    """Join with this file."""
    usual = Settings(ENVIRONMENT, attestation="tpm2", runner_listen="127.0.0.1:8490-8491")
    given = read_invitation(text), usual
    return await asyncio.to_thread(
        join_environment, Home(folder), *given, SystemClock(), SystemEntropy()
    )


def test_who_comes_with_an_invitation_that_counts_no_more_is_told_so(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        over = file_of(world, world.invite("b"), -1)
        replaced = file_of(world, world.invite("b"))
        good = file_of(world, world.invite("b"))
        home = tmp_path / "b"
        with pytest.raises(NotAllowed, match="the invitation of b is over"):
            await join(home, over)
        assert not home.exists(), "who has nothing to show needs no key"
        for _ in range(3):
            with pytest.raises(NotAllowed, match="another invitation of the machine b counts now"):
                await join(home, replaced)
        assert not Home(home).config.exists()
        assert (await join(home, good)).node == "b"
        world.state("machine-end/v1", "b", reason="sold")
        with pytest.raises(NotAllowed, match="the machine b was removed in entry"):
            await join(home, good)

    go(tmp_path, story)


@pytest.mark.parametrize("changes", [{"expires_ms": "1"}, {"expires_ms": None}, {"key": 1}])
def test_what_is_no_invitation(changes: dict[str, object]) -> None:
    fields = ("environment", "machine", "control", "authority", "certificate", "key", "anchors")
    told = {**dict.fromkeys(fields, ""), "expires_ms": 1}
    assert read_invitation(json.dumps(told)) == told
    for broken in ({**told, **changes}, {name: told[name] for name in told if name not in changes}):
        with pytest.raises(Misconfigured, match="the file is no invitation"):
            read_invitation(json.dumps(broken))


def test_an_invitation_that_cannot_be_written_replaces_none(tmp_path: Path) -> None:
    demo, first = Demo(tmp_path / "home"), tmp_path / "first"
    demo.run("init", "--listen", free_address(0))
    config = demo.home / "config.toml"
    listen = f'control_listen = "{free_address(0)}"'
    config.write_text(re.sub("(?m)^control_listen = .*$", listen, config.read_text()))
    demo.run("machine", "add", "b", "--out", str(first))
    assert first.stat().st_mode & 0o777 == 0o600
    written, before = first.read_text(), demo.json("machine", "ls")
    assert read_invitation(written)["expires_ms"] == before[0]["invited_until_ms"]
    assert "exists already" in demo.run("machine", "add", "b", "--out", str(first), status=2).stderr
    demo.run("machine", "add", "b", "--out", "/proc/nowhere", status=7)
    assert demo.json("machine", "ls") == before
    assert first.read_text() == written
