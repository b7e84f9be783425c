# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus plan --count`: every document of a recipe's sources, read and counted.

Workers read the parts that a build would read, without its steps. What came of each part is kept
sealed beside the build's own objects, so a count that was killed goes on; the build deletes it, or
the count itself if what it counts is built already.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bastide.app import corpus_plan as plan
from bastide.app.alone import alone
from bastide.app.corpus_build import Progress, finished_build, folder_of, hash_all
from bastide.app.corpus_items import items_of
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_part import Workbench, bench_of
from bastide.app.corpus_pieces import HandOver
from bastide.app.corpus_plan import InputFile, Part
from bastide.app.corpus_pool import Pool
from bastide.app.corpus_standing import read_standing
from bastide.app.corpus_step_files import StepFile
from bastide.app.corpus_tidy import tidy
from bastide.app.denials import SignedDenials
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.canonical import canonical
from bastide.core.errors import NotAllowed, NotFound, NotProven
from bastide.core.recipe import Recipe
from bastide.readers.reader import Broken

__all__ = ["Counted", "PartCount", "count_part", "count_sources"]


class PartCount(msgspec.Struct, frozen=True):
    """What one part holds. characters: of all texts. broken: places that could not be read."""

    documents: int = 0
    characters: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """files: with digests and pieces. parts: how many. sources: of each, by its name."""

    files: dict[str, list[InputFile]]
    parts: int
    sources: dict[str, PartCount]


def count_sources(
    env: Environment,
    recipe: Recipe,
    folder: Path,
    needed: Sequence[StepFile],
    workers: int,
    progress: Progress,
) -> Counted:
    """Hash every file and count what is in it, or go on with that. folder: of the recipe.

    Raises Refused for a file that changes meanwhile, NotFound, Misconfigured, Unavailable.
    """
    require(env, "dataset-build")
    found = plan.find_files(recipe, folder, env.home)
    with ExitStack() as stack:
        files = hash_all(stack, recipe, found, workers, progress)
    standing = read_standing(env)
    erased = standing.names if standing is not None else b""
    build = plan.build_of(recipe, files, needed, erased)
    objects = folder_of(build)
    parts = plan.cut_parts(recipe.sources, files, recipe.limits.part_bytes)
    # A worker looks for the recipe, by which it sees that it has the store.
    row = {**recipe.to_json(), "digest": str(recipe.digest)}
    env.store.put(f"{objects}/recipe", [canonical(row)])
    with alone(env.home.store / objects, lambda: progress("waiting for another build", 0, 0)):
        counts = _counts(env, objects, parts, workers, progress)
        if finished_build(env, recipe, build):
            tidy(env.store, objects)  # no build will
    sources = {source.name: PartCount() for source in recipe.sources}
    for part, count in zip(parts, counts, strict=True):
        sources[part.source] = _sum(sources[part.source], count)
    return Counted(files, len(parts), sources)


def count_part(bench: Workbench, part: Part) -> PartCount:
    """Read one part, and write how much is in it."""
    store = bench.open()
    documents = characters = broken = 0
    for file in part.files:
        for item in items_of(store, part, file, bench.key):
            if isinstance(item, Broken):
                broken += 1
            else:
                documents += 1
                characters += len(item.text)
    count = PartCount(documents, characters, broken)
    store.put(_name(bench.folder, part), [msgspec.msgpack.encode(count)])
    return count


def _counts(
    env: Environment, folder: str, parts: Sequence[Part], workers: int, progress: Progress
) -> list[PartCount]:
    found: dict[int, PartCount] = {}
    for part in parts:
        try:
            data = read_object(env.store, _name(folder, part))
            found[part.number] = msgspec.msgpack.decode(data, type=PartCount)
        except (NotFound, NotProven, NotAllowed, msgspec.DecodeError):
            continue  # it is counted now
    missing = [part for part in parts if part.number not in found]
    total = sum(part.size for part in parts)
    done = total - sum(part.size for part in missing)
    progress("counting", done, total)
    if not missing:
        return [found[part.number] for part in parts]  # no worker is started for nothing
    over = HandOver(env.store, folder)
    bench = replace(bench_of(env, folder), key=bytes(32))  # pseudonyms of their own: none is kept
    denied = SignedDenials(env.ledger)
    with Pool(env.settings, min(workers, len(missing)), bench, denied) as pool:
        for part, count in pool.each(count_part, over.parts(missing)):
            over.done(part)
            found[part.number] = count
            done += part.size
            progress("counting", done, total)
    return [found[part.number] for part in parts]


def _sum(one: PartCount, other: PartCount) -> PartCount:
    return PartCount(
        one.documents + other.documents,
        one.characters + other.characters,
        one.broken + other.broken,
    )


def _name(folder: str, part: Part) -> str:
    return f"{folder}/counts/{part.number:06d}"
