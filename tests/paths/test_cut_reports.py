# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What control makes of a runner's report about a gateway that died."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from msgspec import structs

from bastide.adapters.clock.fixed import FixedClock
from bastide.adapters.clock.system import SystemClock
from bastide.app.cut_reports import CutReporter
from bastide.app.handed import Handed, HandedAnswer
from bastide.core import apikey, limits
from bastide.core.chat import Delta, Embedded, EmbedRequest, GenerateRequest, Usage
from bastide.core.errors import BastideError, Unavailable
from bastide.core.receipt import Receipt, commit, salt_for, vector_bytes
from bastide.core.standing import Cut, Cuts, Standing
from bastide.core.subject import Digest
from bastide.ledger.verify import verify_content
from paths.cut_rig import MODEL, PRICE, PROJECT, Controlled, controlled
from paths.gateway_rig import KEY, NARROW_KEY

NOBODY = 2**30  # no process has this id
BODY = b'{"model":"demo"}'
SAID = "The tower."


def ident(number: int) -> str:
    return f"r_{number:026}"


def standing(number: int) -> Standing:
    salt = salt_for(KEY, ident(number))
    return Standing(ident(number), apikey.ident_of(KEY), salt, commit(salt, "prompt", BODY))


def cut(number: int, **changes: Any) -> Cut:
    answer = HandedAnswer(GenerateRequest("id", MODEL, prompt="x"), standing(number))
    answer.hand(Delta("The ", usage=Usage(7, 1, 2)))
    answer.hand(Delta("tower.", usage=Usage(7, 2, 2)))
    return structs.replace(answer.cut(SystemClock().now_ms()), **changes)


def own(number: int, **changes: Any) -> Receipt:
    """The receipt that the gateway itself makes."""
    return Receipt(
        ident(number), SystemClock().now_ms(), "acme", apikey.ident_of(KEY), MODEL, "r", "d", "p",
        "n", "s", "pc", "ac", 7, 9, "stop", **changes,
    )  # fmt: skip


def go(folder: Path, story: Callable[[Controlled], Awaitable[None]]) -> None:
    async def run() -> None:
        async with controlled(folder) as world, asyncio.timeout(60):
            await story(world)

    uvloop.run(run())


async def report(world: Controlled, *rows: Cut, gateway: int = NOBODY) -> list[str]:
    return await world.link.ask("cut", Cuts(world.deployment, gateway, rows))


def test_a_report_becomes_a_receipt_that_is_proven_opened_and_billed(tmp_path: Path) -> None:
    async def story(world: Controlled) -> None:
        assert await report(world, cut(1)) == [ident(1)]
        receipt = world.chain.book.find(ident(1))
        assert (receipt.finish, receipt.delivered, receipt.requested_model) == ("cut", True, MODEL)
        assert (receipt.tenant, receipt.project) == ("acme", PROJECT)
        assert (receipt.prompt_tokens, receipt.completion_tokens, receipt.cached_tokens) == (
            7,
            2,
            2,
        )
        assert receipt.cost_picoeur == PRICE.cost(Usage(7, 2, 2)) > 0
        verify_content(receipt, KEY, BODY, SAID.encode())
        await world.verify_sealed(ident(1))
        while not (world.link.snapshot and world.link.snapshot.budgets[0].used == 9):
            await asyncio.sleep(0.05)

    go(tmp_path, story)


def test_nothing_is_written_while_the_gateway_lives_and_its_own_receipt_stands(
    tmp_path: Path,
) -> None:
    async def story(world: Controlled) -> None:
        gateway = await world.linked()  # this process; what reports is another connection of it
        await gateway.put(own(1))
        rows = cut(1), cut(2)
        assert await report(world, *rows, gateway=os.getpid()) == [ident(1)]
        assert world.chain.book.holds([ident(1), ident(2)]) == {ident(1)}
        await gateway.close()
        while await report(world, *rows, gateway=os.getpid()) != [ident(1), ident(2)]:
            await asyncio.sleep(0.02)
        assert world.chain.book.find(ident(1)).finish == "stop"
        assert world.chain.book.find(ident(2)).finish == "cut"

    go(tmp_path, story)


@pytest.mark.attacks("C97")
def test_a_report_that_comes_again_and_a_receipt_that_comes_late_change_nothing(
    tmp_path: Path,
) -> None:
    async def story(world: Controlled) -> None:
        await report(world, cut(1))
        first = world.chain.book.find(ident(1))
        assert await report(world, cut(1, completion_tokens=900)) == [ident(1)]
        late = await world.linked()
        # The receipts of one group do not suffer for the one that is refused.
        puts = [late.put(own(number)) for number in range(6)]
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(row) for row in outcomes if row is not None] == [Unavailable]
        assert isinstance(outcomes[1], Unavailable)
        assert world.chain.book.find(ident(1)) == first
        await late.close()
        world.chain.book.audit()

    go(tmp_path, story)


FORGED: dict[str, Callable[[], Cut]] = {
    "a key that is not enrolled": lambda: cut(1, key="k_000000000000"),
    "a key that may not use the model": lambda: cut(1, key=apikey.ident_of(NARROW_KEY)),
    "no id of a receipt": lambda: cut(1, receipt="r_1"),
    "no commitment": lambda: cut(1, answer_commitment="The tower."),
    "no fingerprint": lambda: cut(1, fingerprint="x"),
    "tokens that no receipt holds": lambda: cut(1, completion_tokens=2**60),
    "fewer than no tokens": lambda: cut(1, prompt_tokens=-1),
    "text among the guard's decisions": lambda: cut(1, guard=("x" * 4_000,)),
    "another time": lambda: cut(1, time_ms=1),
}


@pytest.mark.attacks("C97")
@pytest.mark.parametrize("row", FORGED.values(), ids=list(FORGED))
def test_a_forged_row_bills_nobody_and_spoils_no_other(
    tmp_path: Path, row: Callable[[], Cut]
) -> None:
    async def story(world: Controlled) -> None:
        forged = row()
        await report(world, forged, cut(2))
        assert world.chain.book.holds([forged.receipt, ident(2)]) == {ident(2)}

    go(tmp_path, story)


def test_a_report_about_no_deployment_or_beyond_its_bound_is_refused(tmp_path: Path) -> None:
    async def story(world: Controlled) -> None:
        unknown = Cuts("sha256:" + "0" * 64, NOBODY, (cut(1),))
        many = Cuts(world.deployment, NOBODY, (cut(1),) * (limits.CUT_ROWS_MAX + 1))
        for body in (unknown, many, {"deployment": 7}):
            with pytest.raises(BastideError):
                await world.link.ask("cut", body)
        assert not world.chain.book.holds([ident(1)])

    go(tmp_path, story)


class _Control:
    """Answers as a test says."""

    def __init__(self) -> None:
        self.settles = False
        self.away = False
        self.asked: list[Cuts] = []

    async def ask(self, kind: str, body: Any) -> Any:
        assert kind == "cut"
        if self.away:
            raise Unavailable("control is away")
        self.asked.append(body)
        return [row.receipt for row in body.rows] if self.settles else []


def test_a_reporter_asks_until_all_is_settled_and_waits_for_control() -> None:
    async def story() -> None:
        control, clock = _Control(), FixedClock()
        reporter = CutReporter(control, Digest.of(b"d"), clock)
        rows = limits.CUT_ROWS_MAX + 1
        reporter.take(11, [cut(number) for number in range(rows)])
        reporter.take(12, [cut(rows)])
        control.away = True
        running = asyncio.create_task(reporter.run())
        clock.advance(1_000 * int(limits.CUT_REPORT_S + 1))
        await asyncio.sleep(0.05)
        assert reporter.waiting == rows + 1
        control.away, control.settles = False, True
        async with asyncio.timeout(10):
            while reporter.waiting:
                await asyncio.sleep(0.02)
        assert [(row.gateway, len(row.rows)) for row in control.asked] == [
            (11, limits.CUT_ROWS_MAX), (11, 1), (12, 1),
        ]  # fmt: skip
        running.cancel()

    uvloop.run(story())


def test_a_gateway_that_lives_on_is_not_asked_about_for_ever() -> None:
    async def story() -> None:
        control, clock = _Control(), FixedClock()
        reporter = CutReporter(control, Digest.of(b"d"), clock)
        reporter.take(11, [cut(1)])
        running = asyncio.create_task(reporter.run())
        while not control.asked:
            await asyncio.sleep(0.01)
        assert reporter.waiting == 1
        clock.advance(1_000 * int(limits.CUT_REPORT_S + 1))
        async with asyncio.timeout(10):
            while reporter.waiting:
                await asyncio.sleep(0.02)
        running.cancel()

    uvloop.run(story())


def test_what_a_runner_remembers_is_bounded_and_holds_no_salt_and_no_text() -> None:
    clock = FixedClock()
    handed = Handed(clock)
    for number in range(limits.UNSETTLED_MAX + 3):
        answer = HandedAnswer(GenerateRequest("id", MODEL, prompt="x"), standing(number))
        answer.hand(Delta(SAID, usage=Usage(1, 2)))
        handed.end(answer)
    rows = handed.unsettled()
    assert [rows[0].receipt, len(rows)] == [ident(3), limits.UNSETTLED_MAX]
    assert SAID not in repr(rows[0]) and repr(standing(3).salt) not in repr(rows[0])
    assert repr(standing(1)) == f"Standing({ident(1)})"
    clock.advance(1_000 * int(limits.UNSETTLED_S + 1))
    assert handed.unsettled() == []


def test_what_is_wanted_whole_was_not_delivered() -> None:
    whole = HandedAnswer(GenerateRequest("id", MODEL, prompt="x", whole=True), standing(1))
    whole.hand(Delta(SAID, usage=Usage(1, 2)))
    made = HandedAnswer(EmbedRequest("id", MODEL, ("x",)), standing(1))
    made.hand_vectors(Embedded(((0.5, 1.0),), 3))
    silent = HandedAnswer(GenerateRequest("id", MODEL, prompt="x"), standing(1))
    assert [row.cut(1).delivered for row in (whole, made, silent)] == [False] * 3
    wanted = commit(standing(1).salt, "answer", vector_bytes(((0.5, 1.0),)))
    assert (made.cut(1).answer_commitment, made.cut(1).prompt_tokens) == (wanted, 3)
