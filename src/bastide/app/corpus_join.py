# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What only all documents together decide: names, duplicates, budgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bastide.app import corpus_plan as plan
from bastide.app.corpus_budget import Draw, verify_budgets
from bastide.app.corpus_duplicates import find_duplicates, merge_keys
from bastide.app.corpus_part import PartReport, damaged_objects
from bastide.app.corpus_ranges import Team, runs_in
from bastide.app.corpus_step_files import StepFile
from bastide.core.dataset import BudgetCount
from bastide.core.errors import NotFound, NotProven
from bastide.core.recipe import Step
from bastide.filters.budget import Budgeter

__all__ = ["Joined", "join"]


_WHAT: Final = "looking for duplicates"
# Of parts, from which it is made.
_ROWS: Final = ("keys", "own", "texts", "bands", "signatures", "sizes")
_MADE: Final = ("keys", "duplicates", "gone")


@dataclass(frozen=True, slots=True)
class Joined:
    """removed: how many documents, by reason. budgets: what came of each."""

    removed: dict[str, int]
    budgets: list[BudgetCount]


def join(
    team: Team,
    reports: Sequence[PartReport],
    steps: Sequence[Step],
    needed: Sequence[StepFile],
    *,
    trial: bool = False,
) -> Joined:
    """Write the objects `keys`, `duplicates` and `gone`, or go on where an earlier run was killed.

    trial: of a sample, whose budgets nobody can meet. Raises Refused for two documents of one name,
    and for budgets that cannot be met.
    """
    budget = plan.budget_of(steps, needed)
    runs = [runs_in(team, reports, kind) for kind in _ROWS]
    joined = team.noted("joined", runs, Joined)
    if joined is not None and _damaged(team):
        team.forget()
        joined = None
    if joined is None:
        joined = _join(team, reports, steps, budget)
        team.note("joined", runs, joined)
        team.clear()
    team.tell(_WHAT, 2, 2)
    if budget is not None and not trial:
        verify_budgets(budget, joined.budgets)
    return joined


def _join(
    team: Team, reports: Sequence[PartReport], steps: Sequence[Step], budget: Budgeter | None
) -> Joined:
    team.tell(_WHAT, 0, 2)
    try:
        merge_keys(team, reports)
        team.tell(_WHAT, 1, 2)
        draw = Draw(budget) if budget is not None else None
        removed = find_duplicates(team, reports, plan.near_duplicate(steps), draw)
    except NotFound as error:  # a range is noted, and what it wrote is not there
        raise NotProven(f"the join lacks a part: {error.message}", fix="build again") from error
    return Joined(removed, draw.counts if draw is not None else [])


def _damaged(team: Team) -> bool:
    """Whether what a finished join wrote is not there, or not as it was."""
    return bool(
        damaged_objects(team.bench, ("join", [f"{team.bench.folder}/{name}" for name in _MADE]))
    )
