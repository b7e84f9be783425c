# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What only all documents together decide: names, duplicates, budgets."""

from collections.abc import Sequence
from dataclasses import dataclass

from bastide.app import corpus_plan as plan
from bastide.app.corpus_budget import Draw, verify_budgets
from bastide.app.corpus_duplicates import find_duplicates, merge_keys
from bastide.app.corpus_part import PartReport
from bastide.app.corpus_ranges import Team
from bastide.app.corpus_step_files import StepFile
from bastide.core.dataset import BudgetCount
from bastide.core.recipe import Step

__all__ = ["Joined", "join"]


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
    """Write the objects `keys`, `duplicates` and `gone`.

    trial: of a sample, whose budgets nobody can meet. Raises Refused for two documents of one name,
    and for budgets that cannot be met.
    """
    team.tell(0, 2)
    merge_keys(team, reports)
    team.tell(1, 2)
    budget = plan.budget_of(steps, needed)
    draw = Draw(team.spill, budget) if budget is not None else None
    removed = find_duplicates(team, reports, plan.near_duplicate(steps), draw)
    team.tell(2, 2)
    if budget is None or draw is None:
        return Joined(removed, [])
    if not trial:
        verify_budgets(budget, draw.counts)
    return Joined(removed, draw.counts)
