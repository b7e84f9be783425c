# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenEuroLLM collection directory: one dataset for each source, one folder for each language.

```text
mix-letters/metadata.yaml                   dialect `flag`, without annotations: steps have run
mix-letters/source/ces_Latn/00000.jsonl.zst
mix-letters/counts/ces_Latn/source.json
datamix.txt                                 bytes of text, times their epochs, and the folder
```

Read back with `reader = "openeurollm"`, each source under its own name, it has the same documents
under the same keys.
"""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from bastide.app.corpus_export import Export, shard_lines, whole, write_manifest
from bastide.app.corpus_objects import compressor
from bastide.core.dataset import Shard, SourceCount
from bastide.core.errors import Misconfigured

__all__ = ["export_openeurollm"]

_UNKNOWN: Final = "und_Zyyy"  # undetermined in ISO 639-3 and ISO 15924
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}_[A-Z][a-z]{3}")

_Folder = tuple[str, str]  # source, language


class _Count(msgspec.Struct):
    """bytes: of the texts in UTF-8."""

    files: int = 0
    bytes: int = 0
    documents: int = 0
    errors: int = 0


def export_openeurollm(export: Export) -> list[Path]:
    """Write the collection; every file, `dataset.json` last.

    Raises Misconfigured if the folder holds something: what is there would become documents.
    """
    if export.target.exists() and any(export.target.iterdir()):
        raise Misconfigured(
            f"{export.target} is not empty, and all of a collection is read",
            fix="name a new folder, or take away what a stopped export left",
        )
    counts: dict[_Folder, _Count] = {}
    written: list[Path] = []
    for number, shard in enumerate(export.manifest.shards):
        written += _write_shard(export, number, shard, counts)
        export.advance(number + 1)
    rows = sorted(counts.items())
    kept = {source for source, _ in counts}
    small = {
        _dataset(export, source) / "counts" / language / "source.json": msgspec.json.encode(count)
        for (source, language), count in rows
    }
    for source in export.manifest.sources:
        if source.name in kept:
            small[_dataset(export, source.name) / "metadata.yaml"] = _metadata(source)
    small[export.target / "datamix.txt"] = "".join(
        f"{count.bytes * _epochs(export, source, language) // 1_000}"
        f" {_dataset(export, source).name}/source/{language}\n"
        for (source, language), count in rows
    ).encode()
    for path, content in small.items():
        with whole(path) as file:
            file.write(content)
    return [*written, *small, write_manifest(export)]


def _write_shard(
    export: Export, number: int, shard: Shard, counts: dict[_Folder, _Count]
) -> list[Path]:
    """Write the documents of a shard; no file has its name before the shard's digest was right."""
    paths: dict[_Folder, Path] = {}
    writers: dict[_Folder, Any] = {}
    with ExitStack() as stack:
        for line in shard_lines(export.store, shard):
            language = line.language if _LANGUAGE.fullmatch(line.language) else _UNKNOWN
            key = (line.source, language)
            if key not in writers:
                folder = _dataset(export, line.source) / "source" / language
                paths[key] = folder / f"{number:05d}.jsonl.zst"
                file = stack.enter_context(whole(paths[key]))
                writers[key] = stack.enter_context(compressor().stream_writer(file, closefd=False))
                counts.setdefault(key, _Count()).files += 1
            writers[key].write(msgspec.json.encode(line) + b"\n")
            counts[key].documents += 1
            counts[key].bytes += len(line.text.encode())
    return list(paths.values())


def _epochs(export: Export, source: str, language: str) -> int:
    """How often a training reads a folder, times 1000, by the budgets that the recipe stated."""
    names = {"source": (source, f"{source}/{language}"), "language": (language,), "total": ("",)}
    found = [
        row.epochs_thousandths
        for row in export.manifest.budgets
        if row.name in names[row.rule] and row.epochs_thousandths != 1_000
    ]
    return found[0] if found else 1_000  # only budgets of one kind may be repeated


def _dataset(export: Export, source: str) -> Path:
    # With the dataset's name before it, a source may be called `source` or `counts`.
    return export.target / f"{export.manifest.name}-{source}"


def _metadata(source: SourceCount) -> bytes:
    import yaml  # of the extra `corpus`: not for the start of every command

    values = {
        "name": source.name,
        "url": source.origin,
        "date": source.collected,
        "licence": source.licence,
        "id": "id",
        "text": "text",
        "suffix": ".jsonl.zst",
        "source": None,
        "release": {"default": {"input": "source", "pack": "tree", "sample": "full"}},
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode()
