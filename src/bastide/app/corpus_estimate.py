# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a build would do: files, bytes, steps, and how long, from a sample that is measured now.

The sample is read and filtered in memory; nothing of it is written.
"""

import shutil
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from bastide.app import corpus_plan as plan
from bastide.app.corpus_build import judge_recipe
from bastide.app.corpus_files import read_file
from bastide.app.duties import require_stage
from bastide.app.environment import Environment
from bastide.app.remedies import outside
from bastide.core.document import Document
from bastide.core.recipe import Recipe, Source
from bastide.filters.chain import run_filters

__all__ = ["plan_dataset"]

_SAMPLE_S: Final = 1.0  # of each source
_DISK_SHARE: Final = 1.0  # sealed objects a build needs at most, beside the text that was read


def plan_dataset(env: Environment, path: Path, workers: int) -> dict[str, Any]:
    """What `build` would read and do. Raises Misconfigured or NotFound for a bad recipe."""
    require_stage(env.principal, "corpus")
    recipe = plan.load_recipe(path)
    files = plan.find_files(recipe, path.parent)
    parts = plan.cut_parts(recipe.sources, files, recipe.limits.part_bytes)
    needed = plan.step_files(recipe, path.parent)
    filters = plan.filled_filters(plan.local_steps(recipe.steps), bytes(range(32)), needed)
    rows, seconds, disk = [], 0.0, 0.0
    for source in recipe.sources:
        row = _measured(env, recipe, filters, source, files[source.name])
        seconds += row["seconds"]
        disk += row["disk_bytes"]
        rows.append(
            {"source": source.name, "licence": source.licence, "basis": source.basis, **row}
        )
    at_once = max(1, min(workers, len(parts)))
    return {
        "recipe": recipe.name,
        "digest": str(recipe.digest),
        "sources": rows,
        "steps": [step.step for step in recipe.steps],
        "parts": len(parts),
        "bytes": sum(row["bytes"] for row in rows),
        "workers": workers,
        "seconds": round(seconds / at_once, 1),
        "disk_bytes": int(disk),
        "disk_free_bytes": shutil.disk_usage(env.home.root).free,
        "refused": list(judge_recipe(env, recipe, files)),
    }


def _measured(
    env: Environment,
    recipe: Recipe,
    filters: list[Any],
    source: Source,
    files: list[plan.InputFile],
) -> dict[str, Any]:
    """Read the beginning of the largest file for a second, and reckon from it."""
    total = sum(file.size for file in files)
    largest = max(files, key=lambda file: file.size)
    near = plan.near_duplicate(recipe.steps)
    read = kept = chars = 0
    consumed = 1
    begun = env.clock.monotonic()
    try:
        with Path(largest.path).open("rb") as stream:
            counting = _Counting(stream)
            one = plan.make_reader(source.reader, {**source.settings, **largest.settings})
            read_items = read_file(
                one, cast(BinaryIO, counting), source.name, largest, bytes(range(32))
            )
            for item in read_items:
                if isinstance(item, Document):
                    read += 1
                    chars += len(item.text.encode())
                    outcome = run_filters(filters, item)
                    if outcome.document is not None:
                        kept += 1
                        if near is not None:
                            near.signature(outcome.document.text)
                consumed = counting.count
                if env.clock.monotonic() - begun > _SAMPLE_S:
                    break
    except OSError as error:
        raise outside(error, largest.name) from error
    elapsed = env.clock.monotonic() - begun
    share = total / max(1, consumed)
    return {
        "files": len(files),
        "bytes": total,
        "documents": int(read * share),
        "kept_share": round(kept / read, 3) if read else 0.0,
        "seconds": round(elapsed * share, 1),
        "disk_bytes": int(chars * share * _DISK_SHARE),
    }


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
