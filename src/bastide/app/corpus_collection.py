# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenEuroLLM collections: which files a directory gives to a build, and every fault it has.

A directory is a dataset, a cycle of datasets, or a collection of cycles. What its metadata, counts,
tables and mixes say is judged always. Where the texts are there too, every file must have a part
and every annotation that the metadata names, made for exactly this text.
"""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from bastide.app.corpus_claims import judge_claims
from bastide.app.corpus_datasets import Dataset, files_below, read_small, shown_below
from bastide.app.corpus_files import InputFile
from bastide.app.far_folder import FarFolder
from bastide.core.errors import NotFound, Refused
from bastide.core.limits import FAULTS_MAX
from bastide.core.recipe import Source
from bastide.readers.openeurollm import LABELS, MadeFor
from bastide.readers.openeurollm_metadata import CONTAMINATION, PII, CollectionFault

__all__ = [
    "MADE_FOR",
    "collection_files",
    "input_files",
    "refuse_unfit",
    "unfit",
]

MADE_FOR: Final = ".made-for.json"
_SUFFIX: Final = ".jsonl.zst"


def input_files(dataset: Dataset, base: Path) -> list[InputFile]:
    """The files that a build reads of a dataset, with their annotations, sorted by name.

    base: what their names are relative to. Faults are noted in the dataset; a file with one is not
    among the files.
    """
    metadata = dataset.metadata
    name = metadata.default("release", "input", "source")
    folder = dataset.path / name
    if not folder.is_dir():
        return []
    if metadata.is_parallel:
        place = "release.default.parallel"
        dataset.fault("not-supported", "its documents are put together from pairs", place)
        return []
    declared = metadata.default(name, "suffix") or metadata.fields.get("suffix") or _SUFFIX
    needed = _needed(dataset)
    files = []
    for path in files_below(folder):
        shown = shown_below(dataset.base, path)
        if not path.name.endswith(declared):
            dataset.fault("file-unread", f"it does not end in {declared}", file=shown)
            continue
        inside = path.relative_to(folder).as_posix()
        settings = _settings(dataset, f"/{dataset.path.name}/{name}/{inside}", shown)
        beside = _beside(dataset, inside.removesuffix(declared), declared, needed, base)
        if settings is None or beside is None:
            continue
        if beside:
            settings["annotations"] = tuple(one.kind for one in beside)
            settings["documents"] = beside[0].settings["documents"]
        files.append(_input(base, path, beside=beside, settings=settings))
    return files


def _needed(dataset: Dataset) -> list[str]:
    """The annotations that every file must have: of the metadata and of the cycle's."""
    named = list(dataset.metadata.annotations())
    rules = dataset.cycle.sections.get("release", {}).get("default", {})
    named += [rules[key] for key in ("filter", "mask") if isinstance(rules.get(key), str)]
    known = (*PII, *CONTAMINATION)
    for one in sorted(set(named) - set(known)):
        place = "release.default.annotations"
        dataset.fault("annotation-unread", f"nothing reads {one!r}", place)
    return sorted(set(named) & set(known))


def _beside(
    dataset: Dataset, stem: str, suffix: str, needed: Sequence[str], base: Path
) -> tuple[InputFile, ...] | None:
    found: list[InputFile] = []
    for kind in needed:
        owner = (dataset.metadata.fields.get("annotations") or {}).get(kind) or {}
        wanted = owner.get("suffix") or dataset.metadata.default(kind, "suffix")
        endings = [wanted] if wanted else [_SUFFIX, ".jsonl", suffix]
        paths = [dataset.path / kind / (stem + ending) for ending in endings]
        path = next((one for one in paths if one.is_file()), None)
        if path is None:
            shown = shown_below(dataset.base, paths[0])
            dataset.fault("annotation-missing", f"the metadata names {kind}", file=shown)
            continue
        if (made_for := _made_for(dataset, path)) is None:
            continue
        settings = msgspec.structs.asdict(made_for)
        found.append(_input(base, path, kind=kind, settings=settings))
    if len({one.settings["documents"] for one in found}) > 1:
        shown = shown_below(dataset.base, dataset.path / found[0].kind / stem)
        dataset.fault("annotation-partial", "two annotations counted other documents", file=shown)
        return None
    return tuple(found) if len(found) == len(needed) else None


def _made_for(dataset: Dataset, path: Path) -> MadeFor | None:
    own = path.with_name(path.name + MADE_FOR)
    shown = shown_below(dataset.base, own)
    if not own.is_file():
        dataset.fault("annotation-undigested", "nothing says for which text it was made",
                      file=shown_below(dataset.base, path))  # fmt: skip
        return None
    try:
        return msgspec.json.decode(read_small(own), type=MadeFor)
    except msgspec.MsgspecError:
        dataset.fault("annotation-unreadable", "not an object of input, documents and output",
                      file=shown)  # fmt: skip
        return None


def _settings(dataset: Dataset, path: str, shown: str) -> dict[str, Any] | None:
    """The reader's settings for a file. None with a fault if it may not be read."""
    metadata = dataset.metadata
    part = _part(dataset, path, shown)
    if part is None or not metadata.fields.get("text"):
        return None
    place = "release.default"
    if "filter" in part:
        dataset.fault("filter-is-code", "it names a program", f"{place}.filter")
        return None
    sample = part.get("sample") or "full"
    if sample not in ("full", "random"):
        dataset.fault("filter-is-code", f"the sample {sample} runs a program", f"{place}.sample")
        return None
    if sample == "random" and not part.get("budget"):
        dataset.fault("wrong-value", "a random sample without a budget", f"{place}.sample")
        return None
    mask = tuple(str(label) for label in part.get("mask") or ())
    if unknown := sorted(set(mask) - LABELS):
        dataset.fault("wrong-value", f"there is no label {unknown[0]!r}", f"{place}.mask")
        return None
    fields = metadata.fields
    return {
        "id": fields.get("id") or "id",
        "text": part.get("text") or fields["text"],
        "block": tuple(str(one) for one in part.get("block") or ()),
        "mask": mask,
        "share": _share(part) if sample == "random" else 1.0,
    }


def _share(part: dict[str, Any]) -> float:
    """Budget and rubber: `5%` is added, a number multiplies."""
    budget = int(part["budget"].rstrip("%"))
    rubber = part.get("rubber") or 1
    if isinstance(rubber, str):
        return min(100, budget + int(rubber.rstrip("%"))) / 100
    return min(1.0, budget * rubber / 100)


def _part(dataset: Dataset, path: str, shown: str) -> dict[str, Any] | None:
    """The settings of the part whose name the path has: whole components, the longest, of the
    section nearest to the release. None with a fault if there is none or more than one."""
    sections = dataset.metadata.sections
    default = sections.get("release", {}).get("default", {})
    name, seen, parts = "release", set[str](), 0
    while name not in seen and name in sections:
        seen.add(name)
        rows = {part: row for part, row in sections[name].items() if part != "default"}
        parts += len(rows)
        hits = [part for part in rows if f"/{part}/" in path]
        if not hits and name == "release":
            hits = [part for part in rows if part in path]
        hits = [one for one in hits if not any(one != other and one in other for other in hits)]
        if len(hits) > 1:
            dataset.fault("part-ambiguous", f"fits {' and '.join(sorted(hits))}", file=shown)
            return None
        if hits:
            return {**default, **(rows[hits[0]] if name == "release" else {})}
        name = dataset.metadata.default(name, "input", "source")
    if parts:
        dataset.fault("part-unmatched", "no part of the metadata fits its path", file=shown)
        return None
    return dict(default)


def _input(base: Path, path: Path, **more: Any) -> InputFile:
    home = path.home if isinstance(path, FarFolder) else ""
    return InputFile(shown_below(base, path), str(path), path.stat().st_size, home=home, **more)


def collection_files(
    folder: Path, source: Source, far: Sequence[FarFolder] | None = None
) -> list[InputFile]:
    """The files of a recipe's source. Raises Refused with every fault, NotFound without a file.

    far: the directories, if they are in a bucket.
    """
    files: list[InputFile] = []
    faults: list[CollectionFault] = []
    names = sorted(glob.iglob(source.path, root_dir=folder)) if far is None else ()  # noqa: PTH207
    # Files beside the datasets are the cycle's.
    near = [folder / name for name in names if (folder / name).is_dir()]
    # Of a place in a bucket only what FarFolder has is used.
    for root in cast(Sequence[Path], far) if far else near:
        claims = judge_claims(root, folder)
        faults += claims.faults
        for dataset in claims.datasets:
            files += input_files(dataset, folder)
            faults += dataset.faults
    # Two directories of one cycle are told of its table and mix twice.
    _refuse(sorted(set(faults)))
    if not files:
        raise NotFound(
            f"the source {source.name} has no file: {source.path}",
            fix=f"name a directory with metadata.yaml and texts, relative to {folder}",
        )
    return sorted(files, key=lambda file: file.name)


def unfit(files: Sequence[InputFile]) -> list[CollectionFault]:
    """Annotations of hashed files that were made for another text, or are not whole."""
    found = []
    for file in files:
        for one in file.beside:
            if one.settings["input"].removeprefix("sha256:") != file.digest:
                told = f"made for another text than {file.name}"
                found.append(CollectionFault(one.name, 0, "input", "annotation-stale", told))
            if one.settings["output"].removeprefix("sha256:") != one.digest:
                told = "not the file that the annotator finished"
                found.append(CollectionFault(one.name, 0, "output", "annotation-partial", told))
    return found


def refuse_unfit(files: Sequence[InputFile]) -> None:
    """Raises Refused with every fault of `unfit`."""
    _refuse(unfit(files))


def _refuse(faults: Sequence[CollectionFault]) -> None:
    if faults:
        more = [f"and {len(faults) - FAULTS_MAX} more"] if len(faults) > FAULTS_MAX else []
        raise Refused(
            f"the collection has {len(faults)} faults, so nothing is built",
            reasons=[str(fault) for fault in faults[:FAULTS_MAX]] + more,
            fix="bastide corpus check DIR lists them all, each with a remedy",
        )
