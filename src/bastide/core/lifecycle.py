# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""LIFECYCLE: what each stage takes, makes, and who must agree. The table is the program.

The diagram in docs/reference/lifecycle.md, the order of the gates and the duty checks are
derived from it; nothing else in the project knows the order of the stages.
"""

from dataclasses import dataclass

from bastide.core.errors import NotFound
from bastide.core.party import Duty, Party


@dataclass(frozen=True, slots=True)
class Stage:
    """One row: `takes` and `makes` are kinds of evidence; `gates` run in this order."""

    name: str
    takes: tuple[str, ...]
    makes: str
    gates: tuple[str, ...]
    approvers: tuple[Party, ...]
    duty: Duty


LIFECYCLE: tuple[Stage, ...] = (
    Stage(
        name="corpus",
        takes=(),
        makes="dataset/v1",
        gates=("licence-basis", "personal-data", "steps-run"),
        approvers=(),
        duty=Duty.PREPARE,
    ),
    Stage(
        name="dataset-release",
        takes=("dataset/v1",),
        makes="dataset-release/v1",
        gates=("licence-basis", "personal-data", "steps-run", "decontaminated", "approvals"),
        approvers=(Party.FIRM, Party.GUARDIAN),
        duty=Duty.PREPARE,
    ),
    Stage(
        name="admit",
        takes=(),
        makes="admission/v1",
        gates=("format-safe", "scan-clean", "origin-stated"),
        approvers=(),
        duty=Duty.ADMIT,
    ),
    Stage(
        name="evaluate",
        takes=("admission/v1",),
        makes="evaluation/v1",
        gates=("scan-clean",),
        approvers=(),
        duty=Duty.EVALUATE,
    ),
    Stage(
        name="release",
        takes=("admission/v1", "evaluation/v1", "candidate/v1"),
        makes="release/v1",
        gates=("format-safe", "scan-clean", "origin-stated", "eval-floor", "approvals"),
        approvers=(Party.FIRM, Party.GUARDIAN),
        duty=Duty.PROPOSE,
    ),
    Stage(
        name="deploy",
        takes=("release/v1",),
        makes="deployment/v1",
        gates=("approvals",),
        approvers=(Party.OPERATOR,),
        duty=Duty.DEPLOY,
    ),
    Stage(
        name="serve",
        takes=("deployment/v1",),
        makes="receipts/v1",
        gates=(),
        approvers=(),
        duty=Duty.READ,
    ),
)


def stage(name: str) -> Stage:
    """Find a row. Raises NotFound."""
    for row in LIFECYCLE:
        if row.name == name:
            return row
    raise NotFound(f"there is no stage {name!r}")
