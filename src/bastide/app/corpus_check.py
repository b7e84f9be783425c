# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""`bastide corpus check`: every fault of an OpenEuroLLM collection, from metadata to the last span.

What a build judges before it begins (corpus_claims, corpus_collection), and then the texts: they
are hashed and joined with their annotations as a build would do it. Nothing is written.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

from bastide.app.config import Home
from bastide.app.corpus_claims import judge_claims
from bastide.app.corpus_collection import input_files, unfit
from bastide.app.corpus_far_files import far_folder
from bastide.app.corpus_files import InputFile, hash_file, read_file
from bastide.app.extras import require_extra
from bastide.app.remedies import outside
from bastide.core.bucket import SCHEME
from bastide.core.errors import Refused
from bastide.readers.openeurollm import OpenEuroLlm
from bastide.readers.openeurollm_metadata import CollectionFault

__all__ = ["check_collection", "collection_at"]

Progress = Callable[[str, int, int], None]


def collection_at(home: Home, directory: str) -> Path:
    """A directory, or a place in the object store of a home. Raises Misconfigured."""
    # Of a place in a bucket only what FarFolder has is used.
    far = directory.startswith(SCHEME)
    return cast(Path, far_folder(home, directory)) if far else Path(directory)


def check_collection(root: Path, progress: Progress | None = None) -> dict[str, Any]:
    """All faults of a directory, sorted, with what was looked at. Raises NotFound, Unavailable.

    root: may be a place in a bucket (`far_folder`), of which no more is used than that has.
    """
    require_extra("corpus")
    stage = "reading metadata and counts"
    claims = judge_claims(root, root, partial(progress, stage) if progress is not None else None)
    faults = list(claims.faults)
    files: list[InputFile] = []
    for dataset in claims.datasets:
        files += input_files(dataset, root)
        faults += dataset.faults
    for number, file in enumerate(files, 1):
        faults += _text_faults(file)
        if progress is not None:
            progress("reading texts", number, len(files))
    return {
        "directory": str(root),
        "datasets": len(claims.datasets),
        "files": len(files),
        "counts": claims.counts,
        "faults": [{**asdict(one), "fix": one.fix} for one in sorted(faults)],
    }


def _text_faults(file: InputFile) -> Iterator[CollectionFault]:
    """Hash a file and its annotations, and join them if they were made for each other."""
    hashed = hash_file(file)
    if not hashed.beside:
        return
    if found := unfit([hashed]):
        yield from found
        return
    try:
        with file.open() as stream:
            for _ in read_file(OpenEuroLlm(**file.settings), stream, "check", hashed, bytes(32)):
                pass
    except Refused as error:
        for reason in error.reasons:
            name, _, told = reason.partition(": ")
            yield CollectionFault(name, 0, "", "annotation-unreadable", told)
    except OSError as error:
        raise outside(error, file.name) from error
