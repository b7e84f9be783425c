# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Progress shows long work, keeps quiet about short work, and never moves off a terminal."""

import io

from bastide.adapters.clock.fixed import FixedClock
from bastide.cli.progress import Progress


def shown(animated: bool, milliseconds: int, steps: int = 100) -> str:
    out, clock = io.StringIO(), FixedClock()
    progress = Progress(out, animated, clock)
    for done in range(steps + 1):
        progress.step("hashing", done, steps)
        clock.advance(milliseconds)
    return out.getvalue()


def test_short_work_is_silent() -> None:
    assert shown(animated=False, milliseconds=50) == ""
    assert "%" not in shown(animated=True, milliseconds=1)


def test_a_line_every_ten_seconds_off_a_terminal() -> None:
    lines = shown(animated=False, milliseconds=1_000).splitlines()
    assert lines == [f"  hashing: {share}%  {100 - share} s left" for share in range(10, 101, 10)]


def test_a_bar_on_a_terminal_that_is_wiped_at_the_end() -> None:
    text = shown(animated=True, milliseconds=100)
    assert "[############............]  50%  hashing  5 s left" in text
    assert text.endswith("\r\033[K")


def test_an_unknown_total_is_no_division_by_zero() -> None:
    out, clock = io.StringIO(), FixedClock()
    progress = Progress(out, False, clock)
    progress.step("exporting", 1, 0)
    clock.advance(20_000)
    progress.step("exporting", 2, 0)
    assert out.getvalue() == "  exporting: 0%\n"


def test_a_second_pass_of_the_same_words_has_its_own_clock() -> None:
    out, clock = io.StringIO(), FixedClock()
    progress = Progress(out, False, clock)
    for _ in range(2):
        for done in range(101):
            progress.step("finding groups, turn 1", done, 100)
            clock.advance(36_000)
    lines = out.getvalue().splitlines()
    halves = [line for line in lines if " 50%" in line]
    assert halves == ["  finding groups, turn 1: 50%  30 min left"] * 2
