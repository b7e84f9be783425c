# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What only all documents together decide: names, duplicates, budgets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bastide.app import corpus_plan as plan
from bastide.app.corpus_budget import Draw, verify_budgets
from bastide.app.corpus_duplicates import find_duplicates, merge_keys
from bastide.app.corpus_objects import Spill
from bastide.app.corpus_part import PartReport
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
    spill: Spill,
    reports: Sequence[PartReport],
    steps: Sequence[Step],
    needed: Sequence[StepFile],
    tell: Callable[[int], None] = lambda done: None,
    *,
    trial: bool = False,
) -> Joined:
    """Write the objects `keys`, `duplicates` and `gone`.

    tell: how much of two halves is done. trial: of a sample, whose budgets nobody can meet. Raises
    Refused for two documents of one name, and for budgets that cannot be met.
    """
    tell(0)
    merge_keys(spill, reports)
    tell(1)
    budget = plan.budget_of(steps, needed)
    draw = Draw(spill, budget) if budget is not None else None
    removed = find_duplicates(spill, reports, plan.near_duplicate(steps), draw)
    tell(2)
    if budget is None or draw is None:
        return Joined(removed, [])
    if not trial:
        verify_budgets(budget, draw.counts)
    return Joined(removed, draw.counts)
