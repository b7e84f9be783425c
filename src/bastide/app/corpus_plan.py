# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""From a recipe to what is to be read and run: files, parts, readers, filters.

Everything that can be refused before the first byte is read is refused here.
"""

import contextlib
import glob
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app.config import Home
from bastide.app.corpus_collection import collection_files
from bastide.app.corpus_far_files import far_inputs
from bastide.app.corpus_files import InputFile
from bastide.app.corpus_step_files import StepFile, fill, find_step_files
from bastide.app.extras import require_extra
from bastide.app.remedies import outside
from bastide.core.bucket import SCHEME
from bastide.core.canonical import canonical
from bastide.core.errors import Misconfigured, NotFound
from bastide.core.limits import CORPUS_PARTS_MAX
from bastide.core.recipe import Recipe, Source, Step, parse_recipe, place_of
from bastide.core.subject import Digest
from bastide.filters.budget import Budget, Budgeter
from bastide.filters.names import Names
from bastide.filters.near_duplicate import NearDuplicate
from bastide.filters.openeurollm import OpenEuroLlmRules

__all__ = [
    "BUDGET",
    "COLLECTION",
    "EXACT",
    "NEAR",
    "PERSONAL_DATA",
    "InputFile",
    "Part",
    "budget_of",
    "build_filters",
    "build_of",
    "cut_parts",
    "filled_filters",
    "find_files",
    "load_recipe",
    "local_steps",
    "made_with",
    "make_reader",
    "near_duplicate",
    "pieces_of",
    "step_files",
    "treated_kinds",
]

EXACT: Final = "exact-duplicate"
NEAR: Final = NearDuplicate.ident
BUDGET: Final = Budget.ident
COLLECTION: Final = OpenEuroLlmRules.ident  # of the step and of the reader
PERSONAL_DATA: Final = "personal-data"
_OVER_ALL: Final = (EXACT, NEAR, BUDGET)

# Their results are part of a dataset's bytes, so a build names their versions.
_PACKAGES: Final = (
    "bastide", "fastwarc", "google-re2", "py3langid", "pyarrow", "rensa", "resiliparse",
    "tokenizers", "zstandard",
)  # fmt: skip


class Part(msgspec.Struct, frozen=True):
    """Files of one source that one worker reads in one go."""

    number: int
    source: str
    reader: str
    settings: dict[str, Any]
    files: list[InputFile]

    @property
    def size(self) -> int:
        """Bytes in the files."""
        return sum(file.size for file in self.files)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe, and make each reader and each step once. Raises Misconfigured, NotFound."""
    require_extra("corpus")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"there is no recipe {path}", fix="check the path") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path} is not UTF-8", fix="a recipe is a TOML file") from error
    except OSError as error:
        raise outside(error, str(path)) from error
    recipe = parse_recipe(text, path.name)
    recipe = replace(recipe, steps=tuple(_completed(step, recipe) for step in recipe.steps))
    for index, source in enumerate(recipe.sources):
        with _placed(partial(place_of, text, path.name, "sources", index), "reader"):
            make_reader(source.reader, source.settings)
    for index, step in enumerate(recipe.steps):
        with _placed(partial(place_of, text, path.name, "steps", index), "step"):
            _make(step)
    with _placed(lambda _: path.name, ""):
        _check_order(recipe.steps)
        _check_collections(recipe)
    return recipe


def make_reader(ident: str, settings: Mapping[str, Any]) -> Any:
    """A reader with its settings. Raises Misconfigured, with the nearest name."""
    from bastide.readers.catalogue import READERS

    if ident not in READERS:
        raise Misconfigured(f"there is no reader {ident!r}", fix=f"one of: {', '.join(READERS)}")
    known = getattr(READERS[ident], "__dataclass_fields__", {})
    for name, value in settings.items():
        if name not in known:
            named = ", ".join(known) or "none"
            raise Misconfigured(
                f"the reader {ident} has no setting {name!r}", fix=f"known: {named}", place=name
            )
        if not isinstance(value, type(known[name].default)):
            raise Misconfigured(f"the reader {ident}: {name} has another type", place=name)
    return READERS[ident](**settings)


def pieces_of(source: Source) -> str:
    """In what a source's files may be cut for several workers: "lines", "row-groups", or ""."""
    return getattr(make_reader(source.reader, source.settings), "pieces", "")


def build_filters(steps: Sequence[Step], key: bytes) -> list[Any]:
    """The filters of some steps, without their files; `key` is for pseudonyms.

    Raises Misconfigured.
    """
    from bastide.filters.catalogue import build

    filters = [
        _personal_data(step, key) if step.step == PERSONAL_DATA else build(step.step, step.settings)
        for step in steps
    ]
    return [one.keyed(key) if hasattr(one, "keyed") else one for one in filters]


def filled_filters(steps: Sequence[Step], key: bytes, files: Sequence[StepFile]) -> list[Any]:
    """The filters of some steps, ready to judge. Raises Misconfigured, Refused."""
    return fill(build_filters(steps, key), files)


def step_files(recipe: Recipe, folder: Path) -> tuple[StepFile, ...]:
    """The files that the steps need, hashed. Raises NotFound, Misconfigured, Unavailable."""
    filters = build_filters(local_steps(recipe.steps), bytes(32))
    return find_step_files([*filters, *_budgets(recipe.steps)], folder)


def local_steps(steps: Sequence[Step]) -> list[Step]:
    """The steps that judge one document at a time."""
    return [step for step in steps if step.step not in _OVER_ALL]


def treated_kinds(recipe: Recipe) -> tuple[str, ...]:
    """The kinds of personal data that a recipe masks or removes."""
    from bastide.detectors.personal.kinds import KINDS, MODEL_KINDS

    found: set[str] = set()
    for step in recipe.steps:
        if step.step in (PERSONAL_DATA, Names.ident):
            every = KINDS if step.step == PERSONAL_DATA else MODEL_KINDS
            found |= {*step.settings.get("mask", every), *step.settings.get("remove", ())}
    return tuple(sorted(found))


def near_duplicate(steps: Sequence[Step]) -> NearDuplicate | None:
    """The step that looks for near duplicates, if the recipe has it."""
    from bastide.filters.catalogue import build

    found = [build(step.step, step.settings) for step in steps if step.step == NEAR]
    return found[0] if found else None


def budget_of(steps: Sequence[Step], files: Sequence[StepFile]) -> Budgeter | None:
    """The step that keeps what fits, if the recipe has it. Raises Misconfigured, Refused."""
    found = fill(_budgets(steps), files)
    return found[0] if found else None


def find_files(
    recipe: Recipe, folder: Path, home: Home | None = None
) -> dict[str, list[InputFile]]:
    """The files of each source, sorted by name. Raises NotFound for a source without any.

    home: whose object store it is if a path begins with ``s3://``; without it, none is asked.
    """
    found: dict[str, list[InputFile]] = {}
    for source in recipe.sources:
        if source.path.startswith(SCHEME) and home is not None:
            found[source.name] = far_inputs(home, source)
            continue
        if source.reader == COLLECTION:
            found[source.name] = collection_files(folder, source)
            continue
        names = sorted(set(glob.iglob(source.path, root_dir=folder, recursive=True)))  # noqa: PTH207
        files = [_file(folder, name) for name in names if not (folder / name).is_dir()]
        if not files:
            raise NotFound(
                f"the source {source.name} has no file: {source.path}",
                fix=f"paths are relative to {folder}; what the examples read is made by"
                " `make corpus-sample`",
            )
        found[source.name] = files
    for files in found.values():
        for file in files:
            _verify_told(file.name)
    return found


def cut_parts(
    sources: Sequence[Source], files: Mapping[str, Sequence[InputFile]], part_bytes: int
) -> list[Part]:
    """Consecutive files of a source together, up to a size, and large ones in their pieces; the
    order is that of the recipe."""
    parts: list[Part] = []
    for source in sources:
        pieces = [one for file in files[source.name] for one in file.pieces or (file,)]
        for batch in _batches(pieces, part_bytes):
            settings = dict(source.settings)
            parts.append(Part(len(parts), source.name, source.reader, settings, batch))
    if len(parts) > CORPUS_PARTS_MAX:
        raise Misconfigured(
            f"the build has {len(parts)} parts, over {CORPUS_PARTS_MAX}",
            fix="raise limits.part_bytes in the recipe",
        )
    return parts


def build_of(
    recipe: Recipe,
    files: Mapping[str, Sequence[InputFile]],
    needed: Sequence[StepFile] = (),
    erased: bytes = b"",
) -> str:
    """The name of a build: a digest over recipe, content of every file, and what makes it.

    erased: what the standing list says of names (`ErasureList.names`), if there is one.
    """
    inputs = [
        [source.name, *file.identity] for source in recipe.sources for file in files[source.name]
    ]
    plan: dict[str, Any] = {
        "recipe": str(recipe.digest),
        "inputs": inputs,
        "made_with": made_with(),
    }
    if any(step.step in _OVER_ALL for step in recipe.steps):
        plan["order"] = "neutral"  # rows of an earlier order are not gone on with
    if needed:
        plan["step_files"] = [[file.name, file.size, file.digest] for file in needed]
    if erased:
        plan["erased"] = str(Digest.of(erased))
    return Digest.of(canonical(plan)).hex


def made_with() -> dict[str, str]:
    """The versions on which the bytes of a dataset depend."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextlib.contextmanager
def _placed(where: Callable[[str], str], field: str) -> Generator[None]:
    """Say of what is wrong where it stands: at `field`, if the error names no other."""
    try:
        yield
    except Misconfigured as error:
        raise Misconfigured(
            f"{where(error.place or field)}: {error.message}", fix=error.fix, place=error.place
        ) from error


def _make(step: Step) -> None:
    """Make a step once, of whatever kind. Raises Misconfigured."""
    if step.step == EXACT and step.settings:
        raise Misconfigured(f"the step {EXACT} has no settings")
    build_filters(local_steps([step]), bytes(32))
    near_duplicate([step])
    _budgets([step])


def _check_order(steps: Sequence[Step]) -> None:
    names = [step.step for step in steps]
    over_all = [name for name in names if name in _OVER_ALL]
    if len(set(over_all)) != len(over_all):
        raise Misconfigured("a step over the whole corpus stands twice", place="steps")
    ordered = sorted(over_all, key=_OVER_ALL.index)
    if names[len(names) - len(over_all) :] != ordered:
        raise Misconfigured(
            f"{' and '.join(over_all)} must be the last steps",
            fix=f"put {', '.join(_OVER_ALL)} in this order after all others",
            place="steps",
        )


def _budgets(steps: Sequence[Step]) -> list[Budget]:
    from bastide.filters.catalogue import build

    return [build(step.step, step.settings) for step in steps if step.step == BUDGET]


def _check_collections(recipe: Recipe) -> None:
    """What a collection marks must go before any other step changes or copies it."""
    read = [source.name for source in recipe.sources if source.reader == COLLECTION]
    if read and recipe.steps[0].step != COLLECTION:
        raise Misconfigured(
            f"the source {read[0]} needs {COLLECTION} as the first step",
            fix=f'put [[steps]] step = "{COLLECTION}" before all others: it removes what the'
            " collection marks as contaminated or blocked",
            place="steps",
        )


def _personal_data(step: Step, key: bytes) -> Any:
    from bastide.filters.personal_data import PersonalData, PersonalDataSettings

    for name, value in step.settings.items():
        if name not in PersonalDataSettings.__dataclass_fields__:
            known = ", ".join(PersonalDataSettings.__dataclass_fields__)
            raise Misconfigured(
                f"the step {PERSONAL_DATA} has no setting {name!r}", fix=f"known: {known}"
            )
        if not isinstance(value, list) or not all(isinstance(kind, str) for kind in value):
            raise Misconfigured(f"the step {PERSONAL_DATA}: {name} must be a list of texts")
    settings = {name: tuple(value) for name, value in step.settings.items()}
    return PersonalData(PersonalDataSettings(**settings), key)


def _completed(step: Step, recipe: Recipe) -> Step:
    """A step with what it has from the recipe, unless it says it itself: the seed of its draws, or
    the licences of sources, and which may be mined only if nobody reserved it."""
    from bastide.filters.rights import Rights
    from bastide.filters.sample import Sample

    if step.step in (Sample.ident, COLLECTION):
        return Step(step.step, {"seed": recipe.seed, **step.settings})
    if step.step == BUDGET:
        places = [f"{one.name} {one.path}" for one in recipe.sources]
        return Step(step.step, {"seed": recipe.seed, "places": places, **step.settings})
    if step.step == Rights.ident:
        mined = [one.name for one in recipe.sources if one.basis == "text-and-data-mining"]
        stated = [f"{one.name} {one.licence}" for one in recipe.sources]
        settings = {"sources": mined, "source_licences": stated, **step.settings}
        return Step(step.step, settings)
    return step


def _file(folder: Path, name: str) -> InputFile:
    path = folder / name
    try:
        return InputFile(name, str(path), path.stat().st_size)
    except OSError as error:
        raise outside(error, name) from error


def _verify_told(name: str) -> None:
    """A manifest holds every file's name as text. Raises Misconfigured."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise Misconfigured(
            f"{shown}: the file's name is not UTF-8", fix="rename the file, then again"
        ) from error


def _batches(files: Sequence[InputFile], part_bytes: int) -> Iterator[list[InputFile]]:
    batch: list[InputFile] = []
    size = 0
    for file in files:
        if batch and size + file.size > part_bytes:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
