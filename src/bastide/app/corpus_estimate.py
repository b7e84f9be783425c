# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a build would do: files, bytes, steps, and how long, from a sample that is measured now.

The sample goes the way of a build, with the build's own code: read, filtered, sealed, compared for
duplicates, written as shards. All of it is in memory; nothing is written to the disk, but for what
`--count` keeps.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from bastide.app import corpus_plan as plan
from bastide.app import wiring
from bastide.app.corpus_build import Progress, judge_recipe
from bastide.app.corpus_count import Counted, count_sources
from bastide.app.corpus_files import read_file
from bastide.app.corpus_part import PartReport, PartWorker, Workbench
from bastide.app.corpus_pieces import pieces_about
from bastide.app.corpus_rest import measure_rest
from bastide.app.corpus_standing import read_standing
from bastide.app.corpus_step_files import StepFile, close_finders
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.remedies import outside
from bastide.core.document import Document
from bastide.core.limits import MIB
from bastide.core.recipe import Recipe, Source
from bastide.ports import SealingStore
from bastide.readers.compressed import Unreadable, chunks, is_packed

__all__ = ["plan_dataset"]

_COUNTED: Final = ("documents", "characters", "broken", "parts")
_GUESSED: Final = ("documents", "parts")
_SAMPLE_S: Final = 1.0  # of each source
_EXPANDED_BYTES: Final = 16 * MIB  # of content, from which it is reckoned how much a file has
_DISK_SHARE: Final = 1.0  # sealed objects a build needs at most, beside the text that was read


def plan_dataset(
    env: Environment,
    path: Path,
    workers: int,
    count: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """What `build` would read and do. count: read and count every document (corpus_count).

    `exact` names what was measured of everything, `estimated` what is reckoned from samples.
    Raises Misconfigured or NotFound for a bad recipe.
    """
    require(env, "dataset-build")
    try:
        return _planned(env, path, workers, count, progress)
    finally:
        close_finders()  # the sample was read in this process, which may go on


def _planned(
    env: Environment, path: Path, workers: int, count: bool, progress: Progress
) -> dict[str, Any]:
    recipe = plan.load_recipe(path)
    needed = plan.step_files(recipe, path.parent)
    counted = None
    if count:
        counted = count_sources(env, recipe, path.parent, needed, workers, progress)
        files = counted.files
    else:
        files = plan.find_files(recipe, path.parent, env.home)
    parts = plan.cut_parts(recipe.sources, files, recipe.limits.part_bytes)
    bench = _bench(env, recipe, needed)
    rows, reports = [], []
    further = 0
    for number, source in enumerate(recipe.sources):
        row, report = _measured(env, bench, number, source, files[source.name])
        reports.append(report)
        if counted is not None:
            own = counted.sources[source.name]
            row |= {"documents": own.documents, "characters": own.characters, "broken": own.broken}
        else:  # the parts of a count are known
            further += _further(source, files[source.name], recipe.limits.part_bytes)
        rows.append(
            {"source": source.name, "licence": source.licence, "basis": source.basis, **row}
        )
    all_parts = len(parts) + further if counted is None else counted.parts
    documents = sum(row["documents"] for row in rows)
    rest = measure_rest(env.clock, bench, recipe, reports)
    seconds, alone = rest.seconds(
        documents, workers, all_parts, sum(row["seconds"] for row in rows)
    )
    return {
        "recipe": recipe.name,
        "digest": str(recipe.digest),
        "sources": rows,
        "steps": [step.step for step in recipe.steps],
        "parts": all_parts,
        "bytes": sum(row["bytes"] for row in rows),
        "workers": workers,
        "seconds": round(seconds, 1),
        "seconds_alone": round(alone, 3),
        "disk_bytes": sum(row["disk_bytes"] for row in rows),
        "budgets": _budgets(recipe, bench, rows, reports),
        "disk_free_bytes": shutil.disk_usage(env.home.root).free,
        "refused": [*judge_recipe(env, recipe, files), *_quarantined(recipe, counted)],
        "exact": ["files", "bytes", *(_COUNTED if counted is not None else ())],
        "estimated": [*(() if counted is not None else _GUESSED), "seconds", "disk_bytes"],
    }


def _quarantined(recipe: Recipe, counted: Counted | None) -> list[str]:
    """Why a build would refuse the places that were counted as broken, if it would."""
    rows = counted.sources.values() if counted is not None else ()
    broken = sum(row.broken for row in rows)
    reason = recipe.limits.against(broken, sum(row.documents for row in rows))
    return [reason] if reason else []


@dataclass(frozen=True, slots=True)
class _Bench(Workbench):
    """A bench whose store is in memory."""

    held: SealingStore | None = None

    def open(self) -> SealingStore:
        assert self.held is not None
        return self.held


def _bench(env: Environment, recipe: Recipe, needed: Sequence[StepFile]) -> _Bench:
    identities = env.keyring.identities()
    exits = tuple(env.ledger.charter().body["exit_recipients"])
    held = wiring.open_scratch(env.entropy)
    key = bytes(range(32))
    standing = read_standing(env)
    erasure = standing.dump() if standing is not None else b""
    return _Bench(
        "",
        identities,
        exits,
        "corpora/plan",
        recipe.steps,
        key,
        tuple(needed),
        erasure=erasure,
        held=held,
    )


def _measured(
    env: Environment,
    bench: Workbench,
    number: int,
    source: Source,
    files: list[plan.InputFile],
) -> tuple[dict[str, Any], PartReport]:
    """Read the beginning of the largest file for a second, and reckon from it."""
    total = sum(file.size for file in files)
    largest = max(files, key=lambda file: file.size)
    part = plan.Part(number, source.name, source.reader, dict(source.settings), [largest])
    worker = PartWorker(bench, part)
    chars = 0
    consumed = 1
    begun = env.clock.monotonic()
    try:
        with largest.open() as stream:
            counting = _Counting(stream)
            one = plan.make_reader(source.reader, {**source.settings, **largest.settings})
            read_items = read_file(one, cast(BinaryIO, counting), source.name, largest, bench.key)
            for item in read_items:
                if isinstance(item, Document):
                    chars += len(item.text.encode())
                    worker.take(largest, item)
                consumed = counting.count
                if env.clock.monotonic() - begun > _SAMPLE_S:
                    break
    except OSError as error:
        raise outside(error, largest.name) from error
    report = worker.finish()
    elapsed = env.clock.monotonic() - begun
    share = total / max(1, consumed)
    row = {
        "files": len(files),
        "bytes": total,
        "documents": int(report.read * share),
        "kept_share": round(report.kept / report.read, 3) if report.read else 0.0,
        "seconds": round(elapsed * share, 1),
        "disk_bytes": int(chars * share * _DISK_SHARE),
    }
    return row, report


def _further(source: Source, files: list[plan.InputFile], part_bytes: int) -> int:
    """About how many parts there are because files are cut, as the largest expands."""
    kind, expansion = plan.pieces_of(source), _expansion(max(files, key=lambda file: file.size))
    return sum(pieces_about(file, kind, part_bytes, expansion) - 1 for file in files)


def _expansion(file: plan.InputFile) -> float:
    """Bytes of content for each of a compressed file, by its beginning."""
    if not is_packed(file.name):
        return 1.0
    made = 0
    try:
        with file.open() as stream:
            counting = _Counting(cast(BinaryIO, stream))
            with suppress(Unreadable):
                for chunk in chunks(cast(BinaryIO, counting), file.name):
                    made += len(chunk)
                    if made > _EXPANDED_BYTES:
                        break
    except OSError as error:
        raise outside(error, file.name) from error
    return max(1.0, made / max(1, counting.count))


def _budgets(
    recipe: Recipe,
    bench: Workbench,
    rows: Sequence[dict[str, Any]],
    reports: Sequence[PartReport],
) -> list[dict[str, Any]]:
    """What each budget asks for and about how much there is, duplicates included."""
    budget = plan.budget_of(recipe.steps, bench.files)
    found: list[dict[str, Any]] = []
    if budget is None:
        return []
    for number, ask in enumerate(budget.asks):
        there = sum(
            report.amounts.get(number, 0) * row["documents"] // max(1, report.read)
            for row, report in zip(rows, reports, strict=True)
        )
        taken = min(ask.amount, there)
        told = {"rule": ask.rule, "name": ask.name, "unit": budget.settings.unit}
        found.append({**told, "asked": ask.amount, "there": there, "taken": taken})
    return found


class _Counting:
    """A file that counts what is read of it, wherever its reader jumps."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
