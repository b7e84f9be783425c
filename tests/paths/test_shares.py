# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A share from the command line to the runner's queue, and what was given of it back to a proof."""

import asyncio
import base64
import dataclasses
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.clock.system import SystemClock
from bastide.adapters.control.link import ControlLink
from bastide.app.control import Control
from bastide.app.duties import everyone
from bastide.app.environment import Environment
from bastide.app.share_minutes import ShareKeeper, kept_in_step
from bastide.app.shares import list_shares, prove_shares, set_share
from bastide.app.snapshots import Known, build_snapshot
from bastide.app.tenants import add_tenant
from bastide.app.turns import Turns
from bastide.core.chat import Delta, GenerateRequest, Sampling, Usage
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Refused, Unavailable
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.limits import SHARE_PERIODS_KEPT, SHARE_ROWS_MAX
from bastide.core.party import Party, Principal
from bastide.core.share import Promise
from bastide.core.subject import Digest
from paths.furnished import served_copy
from paths.loading_rig import Served
from paths.passes import callers, passing

CLOCK = SystemClock()
NOVEMBER_MS = 1_793_491_200_000  # 2026-11-01T00:00:00Z


@pytest.fixture
def env(broken: Served) -> Iterator[Environment]:
    add_tenant(broken.env, "acme")
    add_tenant(broken.env, "other")
    yield broken.env


def minute(
    served: Served,
    start_ms: int,
    capacity: float | None = None,
    lost: dict[str, int] | None = None,
    **rows: Any,
) -> Evidence:
    """State a minute as control does."""
    env = served.env
    (deployment,) = env.ledger.deployments(active=True)
    body = {
        "deployment": str(deployment.subject.digest),
        "start_ms": start_ms,
        "end_ms": start_ms + 60_000,
        "capacity": capacity,
        "tenants": [
            {"tenant": tenant, "borrowed": 1.5, "starved_ms": 10, "refused": 1, **row}
            for tenant, row in rows.items()
        ],
        "lost": lost,
        "time_ms": start_ms + 60_001,
    }
    statement = Statement("share-minute/v1", (deployment.subject,), body)
    return env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])


# What is promised


def test_a_share_reaches_the_snapshot_and_is_replaced(env: Environment) -> None:
    first = set_share(env, "acme", "tiny", 40.0, 2.0, 3.0)
    assert set_share(env, "acme", "tiny", 40.0, 2.0, 3.0).entry == first.entry, "said once"
    set_share(env, "other", "tiny", 10.0)

    def shares() -> dict[str, dict[str, Promise]]:
        size = env.ledger.size
        return build_snapshot(env.ledger, env.settings, env.home.run, size, 1, Known()).shares

    assert shares() == {"tiny": {"acme": Promise(40.0, 2.0, 3.0), "other": Promise(10.0)}}
    set_share(env, "acme", "tiny", 0.0)
    assert shares()["tiny"]["acme"] == Promise(0.0)
    assert [(row["tenant"], row["tokens_per_s"]) for row in list_shares(env)] == [
        ("acme", 0.0),
        ("other", 10.0),
    ]


def test_more_than_was_measured_is_not_promised(env: Environment, broken: Served) -> None:
    set_share(env, "acme", "tiny", 70.0)  # nothing is measured yet
    minute(broken, NOVEMBER_MS, 100.0, acme={"promised": 1.0, "delivered": 1.0})
    minute(broken, NOVEMBER_MS + 60_000)  # a restarted runner has not measured
    with pytest.raises(Refused) as refused:
        set_share(env, "other", "tiny", 40.0)
    assert "100 units" in refused.value.reasons[0] and "70" in refused.value.reasons[1]
    assert refused.value.fix == "promise at most 30"
    set_share(env, "other", "tiny", 30.0)
    set_share(env, "acme", "tiny", 60.0)
    assert [row["capacity"] for row in list_shares(env)] == [100.0, 100.0]


@pytest.mark.parametrize(
    ("tenant", "model", "numbers", "error"),
    [
        ("nobody", "tiny", (1.0, 1.0, 1.0), NotFound),
        ("acme", "none", (1.0, 1.0, 1.0), NotFound),
        ("acme", "tiny", (-1.0, 1.0, 1.0), Misconfigured),
        ("acme", "tiny", (float("nan"), 1.0, 1.0), Misconfigured),
        ("acme", "tiny", (float("inf"), 1.0, 1.0), Misconfigured),
        ("acme", "tiny", (1.0, 1e9, 1.0), Misconfigured),
        ("acme", "tiny", (1.0, 1.0, 0.0), Misconfigured),
    ],
)
def test_an_impossible_share_is_refused(
    env: Environment, tenant: str, model: str, numbers: tuple[float, float, float], error: type
) -> None:
    with pytest.raises(error):
        set_share(env, tenant, model, *numbers)
    assert env.ledger.shares() == []


def test_only_the_operator_promises(env: Environment) -> None:
    firm = dataclasses.replace(env, principal=Principal("the firm", frozenset({Party.FIRM})))
    with pytest.raises(NotAllowed):
        set_share(firm, "acme", "tiny", 1.0)
    set_share(dataclasses.replace(env, principal=everyone("all")), "acme", "tiny", 1.0)


# What was given


def test_a_month_is_replayed(env: Environment, broken: Served) -> None:
    minute(broken, NOVEMBER_MS - 60_000, acme={"promised": 9.0, "delivered": 0.0})  # October
    minute(broken, NOVEMBER_MS, acme={"promised": 100.0, "delivered": 100.0})
    second = minute(
        broken,
        NOVEMBER_MS + 60_000,
        acme={"promised": 100.0, "delivered": 50.0},
        other={"promised": 0.0, "delivered": 0.0},
    )
    (row,) = prove_shares(env, "acme", "2026-11")
    assert (row["promised"], row["delivered"], row["kept"]) == (200.0, 150.0, 0.75)
    assert (row["borrowed"], row["starved_ms"], row["refused"]) == (3.0, 20, 2)
    assert row["minutes"] == 2 and row["entries"][-1] == second.entry
    assert row["worst"]["kept"] == 0.5
    assert row["worst"]["start"] == "2026-11-01T00:01:00+00:00"
    assert prove_shares(env, "acme", "2026-12") == []
    assert prove_shares(env, "other", "2026-11")[0]["kept"] == 1.0
    for wrong in ("2026-13", "2026", "1969-01", "november"):
        with pytest.raises(Misconfigured):
            prove_shares(env, "acme", wrong)
    with pytest.raises(NotFound):
        prove_shares(env, "nobody", "2026-11")


def test_a_minute_that_somebody_changed_proves_nothing(env: Environment, broken: Served) -> None:
    entry = minute(broken, NOVEMBER_MS, acme={"promised": 90.0, "delivered": 10.0}).entry or 0
    before = env.ledger.envelope(entry).encode()
    payload = env.ledger.envelope(entry).payload
    better = payload.replace(b'"delivered":10', b'"delivered":90')
    forged = before.replace(base64.b64encode(payload), base64.b64encode(better))
    assert forged != before
    broken.sql(f"UPDATE entry SET data = X'{forged.hex()}' WHERE \"index\" = {entry}")
    broken.sql(f"UPDATE evidence SET digest = X'{Digest.of(forged).hex}' WHERE entry = {entry}")
    with pytest.raises(NotProven):
        prove_shares(env, "acme", "2026-11")


def test_the_door_takes_no_other_minute(env: Environment, broken: Served) -> None:
    good = {"promised": 1.0, "delivered": 1.0}
    for row in ({**good, "promised": -1.0}, {**good, "more": 1}, {"promised": 1.0}):
        with pytest.raises(Misconfigured):
            minute(broken, NOVEMBER_MS, acme=row)


# The runner's side


@asynccontextmanager
async def kept(env: Environment, turns: Turns | None = None):
    """A real control over the environment's ledger, and a keeper connected to it."""
    env.home.run.mkdir(exist_ok=True)
    known = callers(env.ledger)
    control = Control(env.ledger, env.book, env.keyring, env.settings, CLOCK, callers=known)
    stop = asyncio.Event()
    serving = asyncio.create_task(control.run(env.home, stop))
    link = ControlLink(str(env.home.control_socket), CLOCK, credential=passing("runner"))
    await link.start()
    turns = turns or Turns(2, CLOCK)
    (deployment,) = env.ledger.deployments(active=True)
    keeper = ShareKeeper(turns, link, deployment.subject.digest, CLOCK, "life")
    try:
        yield turns, keeper, link
    finally:
        await link.close()
        stop.set()
        await serving


def ask(tenant: str) -> GenerateRequest:
    return GenerateRequest("i", "m", prompt="abcd", sampling=Sampling(max_tokens=8), tenant=tenant)


async def use(turns: Turns, tenant: str) -> None:
    async with turns.turn(ask(tenant)) as turn:
        for count in range(1, 9):
            turn.streamed(Delta("x", usage=Usage(4, count)))


def test_a_promise_reaches_a_running_runner_and_its_minutes_the_ledger(env: Environment) -> None:
    async def scenario() -> None:
        async with kept(env) as (turns, keeper, _):
            running = asyncio.create_task(keeper.run())
            set_share(env, "acme", "tiny", 100.0)
            # Nobody restarts anything: the next answers are under the promise.
            async with asyncio.timeout(10):
                while not (keeper._promises):
                    await asyncio.sleep(0.01)
            await use(turns, "acme")
            await use(turns, "other")
            await keeper.state()
            await keeper.state()  # nothing was asked for since: nothing is stated
            running.cancel()

    uvloop.run(scenario())
    (row,) = env.ledger.find("share-minute/v1")
    assert row.subject.name == "tiny" and row.body["capacity"] is None
    idle = {"starved_ms": 0, "refused": 0}
    assert row.body["tenants"] == [
        {"tenant": "acme", "promised": 9.0, "delivered": 9.0, "borrowed": 0.0, **idle},
        {"tenant": "other", "promised": 0.0, "delivered": 0.0, "borrowed": 9.0, **idle},
    ]


def test_minutes_wait_while_control_is_away(env: Environment) -> None:
    class Away:
        snapshot = None

        def __init__(self) -> None:
            self.asked: list[dict[str, Any]] = []
            self.down = True

        async def ask(self, kind: str, body: dict[str, Any]) -> None:
            if self.down:
                raise Unavailable("control does not answer")
            self.asked.append(body)

    async def scenario() -> None:
        away = Away()
        turns = Turns(2, CLOCK)
        keeper = ShareKeeper(turns, away, Digest.of(b"d"), CLOCK, "life")  # type: ignore[arg-type]
        for number in range(SHARE_ROWS_MAX + 1):
            await use(turns, f"t{number}")
        await keeper.state()
        await use(turns, "late")
        await keeper.state()
        away.down = False
        await keeper.state()
        sizes = [len(body["tenants"]) for body in away.asked]
        assert sizes == [SHARE_ROWS_MAX, 1, 1]
        first, second, third = away.asked
        assert first["start_ms"] == second["start_ms"] <= third["start_ms"] == first["end_ms"]

    uvloop.run(scenario())


def test_a_keeper_that_fails_stops_its_runner(env: Environment) -> None:
    """A runner that no longer learns what is promised must not go on serving."""

    class Broken:
        @property
        def snapshot(self) -> None:
            raise RuntimeError("a bug")

        async def ask(self, kind: str, body: dict[str, Any]) -> None:
            raise Unavailable("control does not answer")

    async def scenario() -> None:
        stop = asyncio.Event()
        keeper = ShareKeeper(Turns(2, CLOCK), Broken(), Digest.of(b"d"), CLOCK, "life")
        with pytest.raises(RuntimeError):
            async with kept_in_step(keeper, stop), asyncio.timeout(10):
                await stop.wait()

    uvloop.run(scenario())


@pytest.mark.slow
def test_a_share_is_kept_and_proved_by_real_services(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    demo, _ = served_copy(tmp_path_factory, tmp_path / "home")
    try:
        model = demo.json("up")["model"]
        (tenant,) = (row["tenant"] for row in demo.json("tenant", "ls"))
        assert demo.json("share", "prove", tenant, "2026-11") == []
        made = demo.json("share", "set", tenant, "--model", model, "--tokens-per-s", "8")
        (row,) = demo.json("share", "ls")
        assert (row["tokens_per_s"], row["entry"]) == (8.0, made["entry"])
        demo.run("chat", "Say hi")
        month = datetime.now(UTC).strftime("%Y-%m")
    finally:
        demo.run("down", status=None)
    # A runner that is stopped states what it has counted before control stops.
    stated = [row for row in demo.json("ledger", "ls") if row["kind"] == "share-minute/v1"]
    (proved,) = demo.json("share", "prove", tenant, month)
    assert stated and proved["entries"] == [row["entry"] for row in stated]
    # The share may have reached the runner after the answer began.
    assert proved["delivered"] + proved["borrowed"] > 0 and proved["kept"] == 1.0
    assert "100.00 %" in demo.run("share", "prove", tenant, month).stdout


def test_what_a_runner_lost_is_stated_and_proved(env: Environment, broken: Served) -> None:
    """Control is away for longer than the runner can keep: the gap itself is evidence."""

    class Away:
        snapshot = None

        def __init__(self) -> None:
            self.asked: list[dict[str, Any]] = []
            self.down = True

        async def ask(self, kind: str, body: dict[str, Any]) -> None:
            if self.down:
                raise Unavailable("control does not answer")
            self.asked.append(body)

    async def scenario() -> list[dict[str, Any]]:
        away, clock = Away(), FixedClock(NOVEMBER_MS)
        turns = Turns(2, clock)
        keeper = ShareKeeper(turns, away, Digest.of(b"d"), clock, "life")  # type: ignore[arg-type]
        for _ in range(SHARE_PERIODS_KEPT + 3):
            await use(turns, "acme")
            clock.advance(60_000)
            await keeper.state()
        away.down = False
        await keeper.state()
        return away.asked

    asked = uvloop.run(scenario())
    assert len(asked) == SHARE_PERIODS_KEPT
    gap = {"statements": 3, "start_ms": NOVEMBER_MS, "end_ms": NOVEMBER_MS + 180_000}
    assert asked[0]["lost"] == gap and asked[0]["start_ms"] == gap["end_ms"]
    assert all(body["lost"] is None for body in asked[1:]), "it is said once"

    set_share(env, "other", "tiny", 1.0)
    minute(broken, NOVEMBER_MS + 180_000, lost=gap, acme={"promised": 1.0, "delivered": 1.0})
    told = {"start": "2026-11-01T00:00:00+00:00", "end": "2026-11-01T00:03:00+00:00"}
    for tenant, minutes in (("acme", 1), ("other", 0)):
        (row,) = prove_shares(env, tenant, "2026-11")
        assert row["no_evidence"] == [{**told, "statements": 3}] and row["minutes"] == minutes
    assert prove_shares(env, "acme", "2026-10") == []
