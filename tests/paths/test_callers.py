# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Services at control's socket: each asks what its role may, and nothing else.

Every call is sent by every role over the real socket to a real control; a process of its own
tries with the credential of another role. Broken once to prove the tests: without `require` in
`Control._reply`, with a MAC that does not cover the role, and with snapshots for everybody, they
fail.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bastide.app.callers import Callers, credential_of
from bastide.core.errors import NotAllowed, Refused, Unavailable
from bastide.core.party import Party, Principal
from bastide.gates.access.calls import CALLS, GUEST, ROLES
from bastide.gates.access.default_policies import DEFAULT
from bastide.gates.access.policy_set import PolicySet, default_policies
from paths.cut_rig import Controlled, controlled
from paths.demo import driver_environment
from paths.passes import passing

# Sent by a process that knows one role's credential: what came of each call.
_PROCESS = """
import asyncio, json, sys
from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.core.errors import BastideError
async def main(socket, credential, *calls):
    link = ControlLink(socket, SystemClock(), credential=credential)
    await link.start()
    said = {}
    for call in calls:
        try:
            await link.ask(call, {})
            said[call] = "ok"
        except BastideError as error:
            said[call] = error.code
    said["snapshot"] = "ok" if link.snapshot is not None else "none"
    await link.close()
    print(json.dumps(said))
asyncio.run(main(*sys.argv[1:]))
"""


def go(folder: Path, story: Callable[[Controlled], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), controlled(folder) as world:
            await story(world)

    uvloop.run(run())


async def tried(world: Controlled, credential: str) -> dict[str, str]:
    """What a process of its own gets for each call."""
    calls = [call for call in CALLS if call != "snapshot"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROCESS, world.socket, credential, *calls,
        stdout=subprocess.PIPE, env=driver_environment(),
    )  # fmt: skip
    out, _ = await process.communicate()
    return json.loads(out)


@pytest.mark.attacks("C182")
def test_no_role_sends_the_call_of_another(tmp_path: Path) -> None:
    """A process of its own for each role: a runner cannot state receipts, a gateway no loads."""

    async def story(world: Controlled) -> None:
        for role in ROLES:
            said = await tried(world, passing(role) if role != GUEST else "")
            for call, roles in CALLS.items():
                refused = said[call] in ("not-allowed", "none")
                assert refused is (role not in roles), (role, call, said[call])

    go(tmp_path, story)


@pytest.mark.parametrize(
    "credential",
    [
        "gateway",
        "gateway:",
        "gateway:" + "0" * 64,
        "gateway:" + passing("runner").partition(":")[2],  # a runner that says it is a gateway
        credential_of(b"another start's secret", "gateway"),
        passing("gateway").upper(),
        passing("king"),
        "gateway:\N{SNOWMAN}",
    ],
)
def test_who_proves_no_role_is_a_guest(credential: str) -> None:
    from paths.passes import callers

    known = callers(None)  # type: ignore[arg-type]  # the ledger is not asked for a role
    assert known.role_of(credential) == GUEST
    assert known.role_of(passing("gateway")) == "gateway"
    nobody = Callers(None, None, None)  # type: ignore[arg-type]
    assert nobody.role_of(passing("gateway")) == GUEST
    with pytest.raises(NotAllowed, match="a guest may not ask control for 'status'"):
        nobody.require(GUEST, "status")  # before it knows any policy: nothing


@pytest.mark.attacks("C183")
def test_a_guest_gets_no_snapshot_and_states_nothing(tmp_path: Path) -> None:
    async def story(world: Controlled) -> None:
        guest = await world.linked("king")
        assert (await guest.ask("status", None))["models"]
        with pytest.raises(Unavailable, match="a guest may not ask control for 'receipt'"):
            await guest.put(world.chain.receipts[0])
        assert guest.snapshot is None
        await guest.close()

    go(tmp_path, story)


@pytest.mark.attacks("C184")
def test_no_policy_gives_a_role_the_call_of_another() -> None:
    policies = PolicySet(DEFAULT + "\npermit (principal, action, resource);\n", "x")
    for role in ROLES:
        assert policies.calls(role) == default_policies().calls(role)
        assert policies.calls(role) == {call for call, roles in CALLS.items() if role in roles}
    everyone = Principal("gateway", frozenset(Party))
    assert not policies.decide(everyone, "call-receipt", ("Environment", "")).allowed
    less = 'forbid (principal in Role::"desk", action == Action::"call-receipt", resource);'
    assert "receipt" not in PolicySet(f"{DEFAULT}\n{less}", "x").calls("desk")


def test_who_is_refused_reads_the_reasons(tmp_path: Path) -> None:
    """They are what an operator needs: a runner's log has nothing else of them."""

    def refuse(_: dict[str, Any]) -> None:
        raise Refused("the node b is not allowed", reasons=["no reference values", "pcr0: another"])

    async def run() -> None:
        async with (
            asyncio.timeout(60),
            controlled(tmp_path, answers={"node-join": refuse}) as world,
        ):
            with pytest.raises(Refused) as caught:
                await world.link.ask("node-join", {})
        told = "the node b is not allowed: no reference values; pcr0: another"
        assert caught.value.message == told

    uvloop.run(run())
