# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Build a dataset: the story of a corpus from files to an entry of the ledger.

1. The recipe is judged before a byte is read: licences, bases, the step for personal data.
2. Every file is hashed. Recipe, files and versions together name the build: the same again is the
   same folder, so a build that was killed goes on, and one that is finished is found.
3. Workers read and filter the parts; each writes its report last (corpus_part).
4. The steps over the whole corpus run over sorted rows, by ranges; each is noted (corpus_join).
5. Workers write the shards (corpus_shards).
6. The leaves of all documents, sorted by key, give the root; the manifest is written.
7. The gates judge, and the dataset is appended (stages.corpus). Then what is not needed goes.

An intermediate object that does not authenticate costs the part or the batch that it belongs to:
what an earlier run left is checked before it is used, and what is damaged is made again. The key of
the pseudonyms alone cannot be made again, so a damaged one refuses.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app import corpus_plan as plan
from bastide.app.alone import alone
from bastide.app.corpus_account import make_manifest, source_counts, step_counts, verify_joined
from bastide.app.corpus_collection import refuse_unfit
from bastide.app.corpus_join import Joined, join
from bastide.app.corpus_objects import (
    bytes_of,
    read_object,
    read_rows,
    read_segments,
)
from bastide.app.corpus_part import PartReport, Workbench, bench_of, damaged_objects, read_part
from bastide.app.corpus_pieces import HandOver, hash_and_cut
from bastide.app.corpus_pool import Pool
from bastide.app.corpus_ranges import Team, ranges_for, ranges_of
from bastide.app.corpus_removed import GONE_WIDTH
from bastide.app.corpus_root import write_leaves
from bastide.app.corpus_shards import (
    Batch,
    BatchReport,
    cut_batches,
    write_batch,
)
from bastide.app.corpus_standing import read_standing
from bastide.app.corpus_step_files import StepFile, asked_finders, searched_suites
from bastide.app.corpus_tidy import tidy, tidy_again
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.dataset import Asked, Manifest, Searched, StepCount
from bastide.core.erasure import ErasureList
from bastide.core.errors import Misconfigured, NotAllowed, NotFound, NotProven, Refused
from bastide.core.evidence import Evidence
from bastide.core.key import Purpose
from bastide.core.limits import (
    CORPUS_MEMORY_MIB,
    CORPUS_WORKERS_MAX,
    FAULTS_MAX,
)
from bastide.core.recipe import Recipe
from bastide.core.subject import Digest
from bastide.ledger.erased import standing_list
from bastide.readers.reader import REASONS
from bastide.stages import corpus

__all__ = [
    "Progress",
    "build_dataset",
    "finished_build",
    "folder_of",
    "hash_all",
    "judge_recipe",
]

Progress = Callable[[str, int, int], None]  # what is done, how much, of how much

_KEY_BYTES: Final = 32
_TRIES: Final = 3  # of one run, if what it just wrote does not authenticate


def folder_of(build: str) -> str:
    """Where the objects of a build lie in the store."""
    return f"corpora/{build[:32]}"


def build_dataset(
    env: Environment,
    path: Path,
    workers: int,
    progress: Progress | None = None,
    memory_mib: int = CORPUS_MEMORY_MIB,
) -> Evidence:
    """Build the dataset of a recipe, or go on with it. Raises Refused with every reason.

    memory_mib: for what each process sorts. Neither it nor `workers` changes a byte.
    """
    require(env, "dataset-build")
    if not 1 <= workers <= CORPUS_WORKERS_MAX:
        raise Misconfigured(f"--workers is not between 1 and {CORPUS_WORKERS_MAX}")
    memory = bytes_of(memory_mib)
    recipe = plan.load_recipe(path)
    files = plan.find_files(recipe, path.parent, env.home)
    needed = plan.step_files(recipe, path.parent)
    filters = plan.filled_filters(plan.local_steps(recipe.steps), bytes(32), needed)
    if reasons := judge_recipe(env, recipe, files):
        raise Refused(f"{recipe.name} may not be built", reasons=reasons, fix="change the recipe")
    with ExitStack() as stack:
        files = hash_all(stack, recipe, files, workers, progress)
        standing = read_standing(env)
        erased = standing.names if standing is not None else b""
        build = plan.build_of(recipe, files, needed, erased)
        if known := finished_build(env, recipe, build):
            tidy_again(env, folder_of(build))
            return known
        covered, asked = searched_suites(filters), asked_finders(filters)
        return _Build(
            env, recipe, files, build, workers, progress, needed, covered, asked, memory, standing
        ).run()


def judge_recipe(
    env: Environment, recipe: Recipe, files: Mapping[str, Sequence[plan.InputFile]]
) -> tuple[str, ...]:
    """Why a recipe would be refused whatever its files hold; empty if it would not."""
    steps = [StepCount(step.step, 0, 0, {}, 0) for step in recipe.steps]
    sources = source_counts(recipe, files, [], [])
    manifest = make_manifest(recipe, "0" * 64, "0" * 64, sources, steps)
    return corpus.judge_early(env.ledger, manifest, recipe, plan.treated_kinds(recipe), env.clock)


def hash_all(
    stack: ExitStack,
    recipe: Recipe,
    files: dict[str, list[plan.InputFile]],
    workers: int,
    progress: Progress | None,
) -> dict[str, list[plan.InputFile]]:
    """Every file with its digest, large ones in pieces. Hashing needs no more than threads."""
    from concurrent.futures import ThreadPoolExecutor

    flat = [file for source in recipe.sources for file in files[source.name]]
    kinds = [plan.pieces_of(source) for source in recipe.sources for _ in files[source.name]]
    sizes = [recipe.limits.part_bytes] * len(flat)
    total = sum(file.size for file in flat)
    pool = stack.enter_context(ThreadPoolExecutor(workers))
    hashed: list[plan.InputFile] = []
    done = 0
    for file in pool.map(hash_and_cut, flat, kinds, sizes):
        hashed.append(file)
        done += file.size
        if progress is not None:
            progress("hashing the sources", done, total)
    refuse_unfit(hashed)
    rows = iter(hashed)
    return {one.name: [next(rows) for _ in files[one.name]] for one in recipe.sources}


def finished_build(env: Environment, recipe: Recipe, build: str) -> Evidence | None:
    """The dataset that a build made, if it is finished."""
    for row in env.ledger.find("dataset/v1", name=recipe.name):
        if row.body["build"] == build:
            return row
    return None


@dataclass
class _Build:
    """One build, from its parts to its entry."""

    env: Environment
    recipe: Recipe
    files: dict[str, list[plan.InputFile]]
    build: str
    workers: int
    progress: Progress | None
    needed: tuple[StepFile, ...]
    covered: list[Searched]
    asked: list[Asked]
    memory: int
    standing: ErasureList | None

    def run(self) -> Evidence:
        env, folder = self.env, folder_of(self.build)
        recipe = {**self.recipe.to_json(), "digest": str(self.recipe.digest)}
        env.store.put(f"{folder}/recipe", [canonical(recipe)])
        with alone(env.home.store / folder, lambda: self._tell("waiting for another build", 0, 0)):
            if known := finished_build(env, self.recipe, self.build):
                return known
            bench = self._bench(folder)
            env.store.sweep(folder)
            parts = plan.cut_parts(self.recipe.sources, self.files, self.recipe.limits.part_bytes)
            signer, treated = env.signer(Purpose.EVIDENCE), plan.treated_kinds(self.recipe)
            denied = SignedDenials(env.ledger)
            try:
                with Pool(env.settings, self.workers, bench, denied, self._lost) as pool:
                    manifest = self._make(pool, bench, parts)
                listed = self._list_digest
                row = corpus.record(
                    env.ledger, manifest, self.recipe, treated, listed, signer, env.clock
                )
            except Refused:
                if standing_list(env.ledger) != self._list_digest:
                    for name in env.store.names(folder):  # it was read before the person was erased
                        env.store.delete(name)
                raise
            tidy(env.store, folder)
            return row

    def _make(self, pool: Pool, bench: Workbench, parts: Sequence[plan.Part]) -> Manifest:
        """From the parts to the manifest; once more if something turns out to be damaged."""
        for left in reversed(range(_TRIES)):
            try:
                reports = self._read(pool, bench, parts)
                verify_joined(self.recipe.sources, self.files, reports)
                self._verify_quarantine(reports)
                team = self._team(pool, bench, reports)
                joined = join(team, reports, self.recipe.steps, self.needed)
                batches = self._write(pool, bench, reports)
                return self._finish(team, reports, joined, batches)
            except (NotProven, NotAllowed) as error:  # NotAllowed: the wrapped key was changed
                if not left:
                    raise
                for name in self.env.store.names(f"{bench.folder}/merge"):
                    self.env.store.delete(name)  # what was noted there rests on what is damaged
                self._tell(f"looking for what is damaged: {error.message}", 0, 0)
        raise AssertionError("unreachable")

    def _sound(self, pool: Pool, held: Mapping[str, Sequence[str]]) -> set[str]:
        """Of reports and the objects that each counts on: the reports whose objects all hold."""
        sound: set[str] = set()
        for (report, _), damaged in pool.each(damaged_objects, list(held.items())):
            if damaged:
                self._tell(f"doing again what was damaged: {damaged[0]}", len(sound), len(held))
            else:
                sound.add(report)
        return sound

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)

    def _lost(self) -> None:
        self._tell("a worker was lost: what it had is done again", 0, 0)

    def _bench(self, folder: str) -> Workbench:
        """What the workers need. The key of the pseudonyms is made once for each build."""
        env = self.env
        try:
            key = read_object(env.store, f"{folder}/key")
        except NotFound:
            if env.store.names(f"{folder}/parts"):
                raise NotProven(
                    f"{folder}/key is missing, and parts were made with it",
                    fix=f"restore it from a backup, or delete {env.home.store / folder}",
                ) from None
            key = env.entropy.token(_KEY_BYTES)
            env.store.put(f"{folder}/key", [key])
        return replace(
            bench_of(env, folder),
            steps=self.recipe.steps,
            key=key,
            files=self.needed,
            memory=self.memory,
            erasure=self.standing.dump() if self.standing is not None else b"",
        )

    @property
    def _list_digest(self) -> str | None:
        return str(Digest.of(self.standing.dump())) if self.standing is not None else None

    def _read(self, pool: Pool, bench: Workbench, parts: Sequence[plan.Part]) -> list[PartReport]:
        found: dict[str, PartReport] = {}
        for part in parts:
            name = f"{bench.folder}/parts/{part.number:06d}/report"
            if (known := self._report(name, PartReport)) is not None:
                found[name] = known
        held = {name: _objects_of(name, report) for name, report in found.items()}
        reports = {found[name].number: found[name] for name in self._sound(pool, held)}
        missing = [part for part in parts if part.number not in reports]
        total = sum(part.size for part in parts)
        done = total - sum(part.size for part in missing)
        self._tell("reading", done, total)
        over = HandOver(self.env.store, bench.folder)
        for part, report in pool.each(read_part, over.parts(missing)):
            over.done(part)
            corpus.verify_standing(self.env.ledger, self.recipe.name, self._list_digest)
            reports[part.number] = report
            done += part.size
            self._tell("reading", done, total)
        return [reports[part.number] for part in parts]

    def _verify_quarantine(self, reports: Sequence[PartReport]) -> None:
        broken = sum(sum(report.broken.values()) for report in reports)
        reason = self.recipe.limits.against(broken, sum(report.read for report in reports))
        if reason:
            raise Refused(
                reason,
                reasons=list(islice(self._places(reports), FAULTS_MAX)),
                fix="repair the files, or raise limits.quarantine_share in the recipe",
            )

    def _places(self, reports: Sequence[PartReport]) -> Iterator[str]:
        """The places that could not be read. They name files and lines, and quote nothing."""
        for report in reports:
            name = f"{folder_of(self.build)}/parts/{report.number:06d}/broken"
            count = report.objects.get("broken", 0)
            for row in read_segments(self.env.store, name, count, tuple[str, int, int, str, str]):
                file, line, byte, reason, detail = row
                told = f" ({detail})" if detail else ""
                yield f"{file}: line {line}, byte {byte}: {REASONS[reason]}{told}"

    def _team(self, pool: Pool, bench: Workbench, reports: Sequence[PartReport]) -> Team:
        ranges = ranges_for(self.workers, sum(report.read for report in reports))
        return ranges_of(Team(bench, self.env.store, pool, tell=self._tell), ranges)

    def _write(
        self, pool: Pool, bench: Workbench, reports: Sequence[PartReport]
    ) -> list[BatchReport]:
        gone = read_rows(self.env.store, f"{bench.folder}/gone", GONE_WIDTH)
        batches = cut_batches(reports, gone, self.recipe.limits.shard_bytes)
        left: dict[str, BatchReport] = {}
        for batch in batches:
            name = f"{bench.folder}/batches/{batch.number:06d}/report"
            known = self._report(name, BatchReport)
            if known is not None and known.input == batch.input:
                left[name] = known
        held = {name: _leaves_and_shards(name, report) for name, report in left.items()}
        found = {left[name].number: left[name] for name in self._sound(pool, held)}
        missing: list[Batch] = [batch for batch in batches if batch.number not in found]
        self._tell("writing shards", len(found), len(batches))
        for batch, report in pool.each(write_batch, missing):
            found[batch.number] = report
            self._tell("writing shards", len(found), len(batches))
        return [found[batch.number] for batch in batches]

    def _finish(
        self,
        team: Team,
        reports: Sequence[PartReport],
        joined: Joined,
        batches: Sequence[BatchReport],
    ) -> Manifest:
        """Write the leaves, hash them, and write the manifest."""
        self._tell("hashing the dataset", 0, 1)
        root, size = write_leaves(team, batches)
        manifest = make_manifest(
            self.recipe,
            self.build,
            root.hex(),
            source_counts(self.recipe, self.files, reports, batches),
            step_counts(self.recipe, reports, joined.removed),
            reports,
            batches,
            self.covered,
            joined.budgets,
            self.asked,
        )
        if size != manifest.documents:
            raise NotProven(f"{size} leaves for {manifest.documents} documents")
        self.env.store.put(f"{team.bench.folder}/manifest", [manifest.encode()])
        self._tell("hashing the dataset", 1, 1)
        return manifest

    def _report(self, name: str, kind: Any) -> Any:
        """A report, or None if there is none that holds: then its work is done again."""
        try:
            return msgspec.msgpack.decode(read_object(self.env.store, name), type=kind)
        except (NotProven, NotAllowed):
            self._tell(f"doing again what was damaged: {name}", 0, 0)
        except (NotFound, msgspec.DecodeError):
            pass  # not finished, or of another version of Bastide
        return None


def _objects_of(name: str, report: PartReport) -> list[str]:
    folder = name.rpartition("/")[0]
    return [
        f"{folder}/{kind}-{at}" for kind, count in report.objects.items() for at in range(count)
    ]


def _leaves_and_shards(name: str, report: BatchReport) -> list[str]:
    folder = name.rpartition("/")[0]
    shards = [shard.object for shard in report.shards]
    return [*(f"{folder}/leaves-{at}" for at in range(report.leaves)), *shards]
