# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The account of a build: the reports of its workers added up to a manifest."""

from collections.abc import Mapping, Sequence
from typing import Any

from bastide.app import corpus_plan as plan
from bastide.app.corpus_part import PartReport, StepTally
from bastide.app.corpus_shards import BatchReport
from bastide.core.dataset import (
    Asked,
    BudgetCount,
    Manifest,
    Searched,
    Shard,
    SourceCount,
    StepCount,
)
from bastide.core.recipe import Recipe, Source
from bastide.filters.erasure import ERASURE
from bastide.readers.openeurollm import Tally

__all__ = ["make_manifest", "source_counts", "step_counts", "verify_joined"]


def make_manifest(
    recipe: Recipe,
    build: str,
    root: str,
    sources: list[SourceCount],
    steps: list[StepCount],
    reports: Sequence[PartReport] = (),
    batches: Sequence[BatchReport] = (),
    covered: Sequence[Searched] = (),
    budgets: Sequence[BudgetCount] = (),
    asked: Sequence[Asked] = (),
) -> Manifest:
    """The manifest; before a build without reports, and then of no document."""
    shards: list[Shard] = [shard for batch in batches for shard in batch.shards]
    return Manifest(
        name=recipe.name,
        recipe=str(recipe.digest),
        build=build,
        made_with=plan.made_with(),
        root=root,
        documents=sum(batch.documents for batch in batches),
        text_bytes=sum(batch.bytes for batch in batches),
        chars=sum(batch.chars for batch in batches),
        languages=_summed(batch.languages for batch in batches),
        sources=sources,
        steps=steps,
        broken=_summed(report.broken for report in reports),
        shards=shards,
        decontaminated=list(covered),
        budgets=list(budgets),
        asked=list(asked),
    )


def source_counts(
    recipe: Recipe,
    files: Mapping[str, Sequence[plan.InputFile]],
    reports: Sequence[PartReport],
    batches: Sequence[BatchReport],
) -> list[SourceCount]:
    """What was read of each source, in the recipe's order."""
    kept = _summed(batch.sources for batch in batches)
    rows = []
    for source in recipe.sources:
        own = [report for report in reports if report.source == source.name]
        rows.append(
            SourceCount(
                name=source.name,
                licence=source.licence,
                basis=source.basis,
                origin=source.origin,
                collected=source.collected,
                files=len(files[source.name]),
                bytes=sum(file.size for file in files[source.name]),
                read=sum(report.read for report in own),
                broken=sum(sum(report.broken.values()) for report in own),
                kept=kept.get(source.name, 0),
            )
        )
    return rows


def step_counts(
    recipe: Recipe, reports: Sequence[PartReport], removed: Mapping[str, int]
) -> list[StepCount]:
    """What each step did, in the recipe's order. removed: by steps over the corpus."""
    tallies: list[list[StepTally]] = [report.steps for report in reports]
    rows = []
    names = [step.step for step in plan.local_steps(recipe.steps)]
    if tallies and len(tallies[0]) > len(names):  # the step that is the environment's, not of it
        names.insert(0, ERASURE)
    for number, name in enumerate(names):
        own = [steps[number] for steps in tallies]
        rows.append(
            StepCount(
                step=name,
                entered=sum(tally.entered for tally in own),
                changed=sum(tally.changed for tally in own),
                removed=_summed(tally.removed for tally in own),
                characters=sum(tally.characters for tally in own),
            )
        )
    left = sum(report.kept for report in reports)
    for ident in (plan.EXACT, plan.NEAR, plan.BUDGET):
        if any(step.step == ident for step in recipe.steps):
            own = {name: n for name, n in removed.items() if name.startswith(f"{ident}/")}
            rows.append(StepCount(ident, left, 0, own, 0))
            left -= sum(own.values())
    return rows


def _summed(rows: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for name, count in row.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))


def verify_joined(
    sources: Sequence[Source],
    files: Mapping[str, Sequence[plan.InputFile]],
    reports: Sequence[PartReport],
) -> None:
    """Return if the pieces of each annotated file are together what was annotated. Where one name
    stands twice and another is not there, the join refuses the one that stands twice.

    Raises Refused, with reasons.
    """
    for source in sources:
        for file in files[source.name]:
            if file.beside and file.pieces:
                tally = Tally()
                for report in reports:
                    if report.source == source.name and file.path in report.joined:
                        tally.add(report.joined[file.path])
                plan.make_reader(source.reader, {**source.settings, **file.settings}).verify_tally(
                    file.name, tally
                )
