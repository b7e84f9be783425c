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

from bastide.app.bucket_path import made_of, names_below
from bastide.app.corpus_export import Export, shard_lines, whole, write_manifest
from bastide.app.corpus_export_journal import JOURNAL, Journal
from bastide.app.corpus_objects import compressor
from bastide.core.dataset import Shard, SourceCount
from bastide.core.errors import Misconfigured

__all__ = ["export_openeurollm"]

_UNKNOWN: Final = "und_Zyyy"  # undetermined in ISO 639-3 and ISO 15924
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}_[A-Z][a-z]{3}")

_TEXTS: Final = re.compile(r"/source/[^/]+/([0-9]{5,})\.jsonl\.zst$")
_OWN: Final = (
    r"({0}-[^/]+/(source/[^/]+/[0-9]{{5,}}\.jsonl\.zst|metadata\.yaml|counts/[^/]+/source\.json)"
    r"|datamix\.txt|dataset\.json)(\.partial)?"
)

_Folder = tuple[str, str]  # source, language


class _Count(msgspec.Struct):
    """bytes: of the texts in UTF-8."""

    files: int = 0
    bytes: int = 0
    documents: int = 0
    errors: int = 0

    def add(self, other: "_Count") -> None:
        """Count the same folder of another shard."""
        self.files += other.files
        self.bytes += other.bytes
        self.documents += other.documents


def export_openeurollm(export: Export) -> list[Path]:
    """Write the collection; every file, `dataset.json` last. A killed one goes on.

    Raises Misconfigured if the folder holds something else: what is there would become documents.
    """
    what = {"form": "openeurollm", "packages": export.manifest.made_with}
    journal = Journal(export.target, {"dataset": str(export.account.subject.digest), **what})
    there = names_below(export.target) if export.target.exists() else []
    _verify_own(export, journal, there)
    begun = {int(found[1]) for name in there if (found := _TEXTS.search(name))}
    counts: dict[_Folder, _Count] = {}
    written: list[Path] = []
    with journal:
        for number, shard in enumerate(export.manifest.shards):
            own = _divided(export, number, shard, None) if number in begun else {}
            files = [_texts(export, folder, number) for folder in own]
            if not files or not journal.finished(number, files):
                own = _divided(export, number, shard, journal.mark(number))
                files = [_texts(export, folder, number) for folder in own]
                journal.add(number, files)
            written += files
            for folder, count in own.items():
                counts.setdefault(folder, _Count()).add(count)
            export.advance(number + 1)
        small = _small(export, counts)
        for path, content in small.items():
            with whole(path, journal.mark(-1)) as file:
                file.write(content)
        return [*written, *small, write_manifest(export)]


def _small(export: Export, counts: dict[_Folder, _Count]) -> dict[Path, bytes]:
    """The files beside the texts."""
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
    return small


def _verify_own(export: Export, journal: Journal, there: list[str]) -> None:
    """Return if nothing is there but what an earlier run of this export may have left."""
    own = re.compile(_OWN.format(re.escape(export.manifest.name)))
    for name in there:
        if journal.goes_on and (name == JOURNAL or own.fullmatch(name)):
            continue
        path = export.target
        for part in name.split("/"):
            path /= part
        number = int(found[1]) if (found := _TEXTS.search(name)) else -1
        if made_of(path) != journal.mark(number):
            raise Misconfigured(
                f"{export.target} is not empty, and all of a collection is read",
                fix=f"name a new folder, or take away what is there, such as {name}",
            )


def _divided(export: Export, number: int, shard: Shard, mark: str | None) -> dict[_Folder, _Count]:
    """Count the documents of a shard by folder, and write them unless mark is None.

    No file has its name before the shard's digest was right.
    """
    counts: dict[_Folder, _Count] = {}
    writers: dict[_Folder, Any] = {}
    with ExitStack() as stack:
        for line in shard_lines(export.store, shard):
            language = line.language if _LANGUAGE.fullmatch(line.language) else _UNKNOWN
            key = (line.source, language)
            if key not in counts:
                counts[key] = _Count(files=1)
                if mark is not None:
                    file = stack.enter_context(whole(_texts(export, key, number), mark))
                    stream = compressor().stream_writer(file, closefd=False)
                    writers[key] = stack.enter_context(stream)
            if mark is not None:
                writers[key].write(msgspec.json.encode(line) + b"\n")
            counts[key].documents += 1
            counts[key].bytes += len(line.text.encode())
    return counts


def _texts(export: Export, folder: _Folder, number: int) -> Path:
    source, language = folder
    return _dataset(export, source) / "source" / language / f"{number:05d}.jsonl.zst"


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
