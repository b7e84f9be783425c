# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The quarantine: every place of a dataset's files that could not be read, or of a build's that was
refused for them. A place names file, line, byte and reason, and quotes nothing."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bastide.app.corpora import find_dataset
from bastide.app.corpus_build import folder_of
from bastide.app.corpus_objects import read_object, read_segments
from bastide.app.corpus_part import PartReport
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.errors import NotFound, NotProven
from bastide.readers.reader import REASONS

__all__ = ["quarantined"]

_BUILD: Final = re.compile(r"[0-9a-f]{8,64}")
_REPORT: Final = re.compile(r"(corpora/[0-9a-f]{32}/parts/[0-9]{6})/report")


def quarantined(env: Environment, name: str) -> Iterator[dict[str, Any]]:
    """The broken places of a dataset, by name or digest, or of a build, by the start of its name.

    Raises NotFound if there is neither. A build that is not finished has those of the parts that
    are.
    """
    require(env, "dataset-text", name)
    return _places(env, _folder(env, name))


def _folder(env: Environment, name: str) -> str:
    try:
        return folder_of(find_dataset(env, name).body["build"])
    except NotFound:
        if not _BUILD.fullmatch(name):
            raise
    found = {
        "/".join(one.split("/", 2)[:2])
        for one in env.store.names("corpora")
        if one.startswith(f"corpora/{name[:32]}")
    }
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'no'} builds begin with {name}",
            fix="the refusal of a build says its name",
        )
    return found.pop()


def _places(env: Environment, folder: str) -> Iterator[dict[str, Any]]:
    for name in env.store.names(f"{folder}/parts"):
        if (part := _REPORT.fullmatch(name)) is None:
            continue
        try:
            report = msgspec.msgpack.decode(read_object(env.store, name), type=PartReport)
        except msgspec.DecodeError as error:
            raise NotProven(f"{name} is not the report of a part") from error
        count = report.objects.get("broken", 0)
        rows = read_segments(env.store, f"{part[1]}/broken", count, tuple[str, int, int, str, str])
        for file, line, byte, reason, detail in rows:
            yield {
                "source": report.source,
                "file": file,
                "line": line,
                "byte": byte,
                "reason": reason,
                "meaning": REASONS.get(reason, reason),
                "detail": detail,
            }
