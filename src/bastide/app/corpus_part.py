# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""One part of a build: some files, read and filtered by one worker.

The part's `report` is written last: a part with a report is finished, one without is done again.
No error quotes a text: it may be personal data, and errors are printed and logged.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bastide.app import wiring
from bastide.app.corpus_files import InputFile
from bastide.app.corpus_items import items_of
from bastide.app.corpus_objects import RunWriter, SegmentWriter
from bastide.app.corpus_plan import (
    EXACT,
    Part,
    budget_of,
    filled_filters,
    local_steps,
    near_duplicate,
)
from bastide.app.corpus_step_files import StepFile
from bastide.core.dataset import document_key
from bastide.core.document import Document, Outcome
from bastide.core.erasure import ErasureList
from bastide.core.errors import BastideError, NotAllowed, NotFound, NotProven, Refused
from bastide.core.limits import (
    CORPUS_EXAMPLE_CHARS,
    CORPUS_EXAMPLES,
    CORPUS_MEMORY_MIB,
    MIB,
)
from bastide.core.recipe import Step
from bastide.filters.chain import hidden, masked_name, run_filters
from bastide.filters.erasure import ERASURE, ERASURE_REASON, Erasure
from bastide.filters.near_duplicate import bands, exact_digest
from bastide.filters.neutral import neutral_order, order_key
from bastide.ports import SealingStore
from bastide.readers.openeurollm import Tally
from bastide.readers.reader import Broken

if TYPE_CHECKING:  # workers import this module, and need no environment
    from bastide.app.environment import Environment

__all__ = [
    "BAND_WIDTH",
    "KEY_WIDTH",
    "OWN_WIDTH",
    "SIGNATURE_WIDTH",
    "SIZE_WIDTH",
    "TEXT_WIDTH",
    "Example",
    "Life",
    "PartReport",
    "PartWorker",
    "StepTally",
    "Workbench",
    "bench_of",
    "damaged_objects",
    "place_of",
    "read_part",
    "runs_of",
]

# Rows of the runs: what they are sorted by comes first, where the document stands last.
KEY_WIDTH: Final = 32 + 8  # key, place
TEXT_WIDTH: Final = 32 + 32 + 8  # digest of the text, key, place
BAND_WIDTH: Final = 8 + 16 + 32 + 8  # key of the band, order of the text, key, place
SIGNATURE_WIDTH: Final = 8 + 512  # place, signature
OWN_WIDTH: Final = 8 + 32  # place, key: of what is ordered by another one
SIZE_WIDTH: Final = 8 + 8 + 32 + 2 + 2 + 8  # place, rank, key, of two budgets the number, size


@dataclass(frozen=True, slots=True)
class Workbench:
    """What every worker of a build holds. `identities` open the store: they are secret."""

    store: str
    identities: tuple[str, ...]
    exits: tuple[str, ...]
    folder: str
    steps: tuple[Step, ...]
    key: bytes
    files: tuple[StepFile, ...] = ()  # that the steps need
    memory: int = CORPUS_MEMORY_MIB * MIB  # bytes for rows that one process sorts
    erasure: bytes = b""  # the standing list, if anybody was ever erased
    made_with: dict[str, str] | None = None  # versions that a worker must have
    denied: tuple[str, ...] = ()  # in the ledger, when a job began: workers have no database

    def open(self) -> SealingStore:
        """The sealed store."""
        given = (Path(self.store), self.identities, self.exits, wiring.entropy())
        return wiring.open_store(*given, lambda: self.denied)


def bench_of(env: "Environment", folder: str = "") -> Workbench:
    """A bench of an environment's store, without steps. folder: of a build, if it is of one."""
    exits = tuple(env.ledger.charter().body["exit_recipients"])
    given = (os.fspath(env.home.store), env.keyring.identities(), exits, folder, (), b"")
    return Workbench(*given, denied=env.denied)


class StepTally(msgspec.Struct):
    """What one step did to the documents of one part."""

    step: str
    entered: int = 0
    changed: int = 0
    characters: int = 0
    removed: dict[str, int] = {}


class Example(msgspec.Struct, frozen=True):
    """The beginning of a removed text. It is shown only to who asks for it."""

    reason: str
    source: str
    ident: str
    text: str


class Life(msgspec.Struct, frozen=True, array_like=True):
    """What the steps made of one document.

    position: its number in the part. lengths: its characters before each step that saw it, and
    after the last. reason: of its removal, or "".
    """

    position: int
    ident: str
    file: str
    lengths: list[int]
    reason: str
    notes: dict[str, str | int | float]


class PartReport(msgspec.Struct):
    """A finished part. objects: how many segments or runs there are of each name."""

    number: int
    source: str
    read: int = 0
    kept: int = 0
    kept_bytes: int = 0
    broken: dict[str, int] = {}
    steps: list[StepTally] = []
    examples: list[Example] = []
    objects: dict[str, int] = {}
    amounts: dict[int, int] = {}  # of each budget, by its number: what the documents take
    joined: dict[str, Tally] = {}  # by path, of pieces of annotated files


def runs_of(folder: str, reports: Sequence[PartReport], kind: str) -> list[str]:
    """The objects with the rows of one kind, in the order of the parts."""
    return [
        f"{folder}/parts/{report.number:06d}/{kind}-{number}"
        for report in reports
        for number in range(report.objects.get(kind, 0))
    ]


def place_of(part: int, position: int) -> bytes:
    """Where a document stands, as the end of a row."""
    return part.to_bytes(4, "big") + position.to_bytes(4, "big")


def damaged_objects(bench: Workbench, job: tuple[str, Sequence[str]]) -> list[str]:
    """Those of a report's objects that are missing or do not authenticate. Reads every byte."""
    store, damaged = bench.open(), list[str]()
    for name in job[1]:
        try:
            with store.open(name) as reader:
                for offset in range(0, reader.size, MIB):
                    reader.read_at(offset, MIB)
        except (NotFound, NotProven, NotAllowed):  # NotAllowed: the wrapped key was changed
            damaged.append(name)
    return damaged


def read_part(bench: Workbench, part: Part) -> PartReport:
    """Read one part, write what comes of it. Raises Refused for a file that changed."""
    return PartWorker(bench, part).run()


class PartWorker:
    """Takes the documents of one part, one after the other."""

    def __init__(self, bench: Workbench, part: Part) -> None:
        self._store = bench.open()
        self._part = part
        self._key = bench.key
        self._steps = local_steps(bench.steps)
        self._filters = filled_filters(self._steps, bench.key, bench.files)
        self._hiding = [one for one in self._filters if hasattr(one, "hidden")]
        self._near = near_duplicate(bench.steps)
        self._budget = budget_of(bench.steps, bench.files)
        self._exact = any(step.step == EXACT for step in bench.steps)
        self._report = PartReport(part.number, part.source)
        self._erasure = Erasure(ErasureList.load(bench.erasure)) if bench.erasure else None
        first = [ERASURE] if self._erasure is not None else []
        self._report.steps = [StepTally(name) for name in first]
        self._report.steps += [StepTally(step.step) for step in self._steps]
        self._name = f"{bench.folder}/parts/{part.number:06d}"
        self._documents = SegmentWriter(self._store, f"{self._name}/documents")
        self._lives = SegmentWriter(self._store, f"{self._name}/lives")
        self._broken = SegmentWriter(self._store, f"{self._name}/broken")
        share = bench.memory // 10  # and half for the bands: they are the most
        self._runs = {
            "keys": self._run("keys", KEY_WIDTH, share),
            "texts": self._run("texts", TEXT_WIDTH, share),
            "bands": self._run("bands", BAND_WIDTH, bench.memory // 2),
            "signatures": self._run("signatures", SIGNATURE_WIDTH, share, keep_order=True),
            "sizes": self._run("sizes", SIZE_WIDTH, share, keep_order=True),
            "own": self._run("own", OWN_WIDTH, share, keep_order=True),
        }
        self._encode = msgspec.msgpack.Encoder().encode
        self._files: dict[str, str] = {}  # the present file, as it may be written down
        self._lengths: list[int] = []
        self._before: Document | None = None  # what the step before the present one was given

    def _run(self, kind: str, width: int, memory: int, *, keep_order: bool = False) -> RunWriter:
        name = f"{self._name}/{kind}"
        return RunWriter(self._store, name, width, memory=memory, keep_order=keep_order)

    def run(self) -> PartReport:
        """Read all files of the part."""
        for file in self._part.files:
            self._read_file(file)
        return self.finish()

    def finish(self) -> PartReport:
        """Write what is left, and the report."""
        objects = {name: run.close() for name, run in self._runs.items()}
        objects["documents"] = self._documents.close()
        objects["lives"] = self._lives.close()
        objects["broken"] = self._broken.close()
        self._report.objects = objects
        self._store.put(f"{self._name}/report", [self._encode(self._report)])
        return self._report

    def _read_file(self, file: InputFile) -> None:
        tally = Tally()
        for item in items_of(self._store, self._part, file, self._key, tally):
            if isinstance(item, Broken):
                self._quarantine(file, item)
            else:
                self.take(file, item)
        if file.beside and file.piece is not None:
            self._report.joined.setdefault(file.path, Tally()).add(tally)

    def _quarantine(self, file: InputFile, broken: Broken) -> None:
        counts = self._report.broken
        counts[broken.reason] = counts.get(broken.reason, 0) + 1
        name = self._unnamed(file.name)
        detail = broken.detail if name else ""
        row = (name, broken.line, broken.byte, broken.reason, detail)
        self._broken.add(self._encode(row))

    def take(self, file: InputFile, document: Document) -> None:
        """Run the steps over one document, and write down what became of it."""
        self._lengths, self._before = [], None
        erased = self._erased(document)  # as it was read: masked, a person is not found
        document = self._named(document)
        position = self._report.read
        self._report.read += 1
        place = place_of(self._part.number, position)
        key = document_key(document.source, document.ident)
        self._runs["keys"].add(key + place)
        if erased:  # nothing that it has is kept
            self._lives.add(self._encode(Life(position, "", "", [], ERASURE_REASON, {})))
            return
        outcome = self._filtered(document)
        result = outcome.document
        if result is not None:
            self._keep(msgspec.structs.replace(result, notes={**result.notes, **outcome.notes}),
                       key, place, position)  # fmt: skip
        notes = {**document.notes, **outcome.notes}
        name = self._unnamed(file.name)
        life = Life(position, document.ident, name, self._lengths, outcome.reason, notes)
        self._lives.add(self._encode(life))

    def _erased(self, document: Document) -> bool:
        """Whether a document is about somebody who was erased: the step before all others."""
        if self._erasure is None:
            return False
        tally = self._report.steps[0]
        tally.entered += 1
        self._lengths.append(len(document.text))
        if self._erasure.apply(document).document is not None:
            return False
        tally.removed[ERASURE_REASON] = tally.removed.get(ERASURE_REASON, 0) + 1
        return True

    def _unnamed(self, file: str) -> str:
        """A file's name, or "" if somebody who was erased is named in it."""
        if file not in self._files:
            found = self._erasure is not None and self._erasure.search.finds(file)
            self._files = {file: "" if found else file}
        return self._files[file]

    def _named(self, document: Document) -> Document:
        """A record's own name and notes are kept beside its text, so they are masked as it is.

        Before the first step: no row, no example and no error has the name that was read.
        """
        if not self._hiding:
            return document
        ident = masked_name(self._hiding, self._key, document.ident)
        notes = {
            name: hidden(self._hiding, value) if isinstance(value, str) else value
            for name, value in document.notes.items()
        }
        return msgspec.structs.replace(document, ident=ident, notes=notes)

    def _filtered(self, document: Document) -> Outcome:
        try:
            outcome = run_filters(self._filters, document, self._watch)
        except BastideError:
            raise
        except Exception as error:
            step = self._report.steps[max(0, len(self._lengths) - 1)].step
            # Not `from error`: its message may quote the text.
            raise Refused(
                f"the step {step} failed, so nothing is built",
                reasons=(f"{step}: {type(error).__name__} at document {document.ident}",),
                fix="this is a defect of the step: report it; the text is in no message",
            ) from None
        if outcome.document is not None:
            self._settle(outcome.document)
            self._lengths.append(len(outcome.document.text))
        elif self._steps:
            tally = self._report.steps[len(self._lengths) - 1]
            tally.removed[outcome.reason] = tally.removed.get(outcome.reason, 0) + 1
            self._exemplify(outcome.reason)
        return outcome

    def _watch(self, _: int, document: Document) -> None:
        """A step begins: the one before it has let the document pass."""
        self._settle(document)
        self._lengths.append(len(document.text))
        self._report.steps[len(self._lengths) - 1].entered += 1
        self._before = document

    def _settle(self, after: Document) -> None:
        """Count what the last step changed."""
        before = self._before
        if before is not None and before.text is not after.text and before.text != after.text:
            tally = self._report.steps[len(self._lengths) - 1]
            tally.changed += 1
            tally.characters += len(after.text) - len(before.text)

    def _exemplify(self, reason: str) -> None:
        seen = sum(example.reason == reason for example in self._report.examples)
        if seen < CORPUS_EXAMPLES and self._before is not None:
            # Also a text that an earlier step removes, and the one that has the secret.
            text = hidden(self._hiding, self._before.text)[:CORPUS_EXAMPLE_CHARS]
            self._report.examples.append(
                Example(reason, self._before.source, self._before.ident, text)
            )

    def _keep(self, document: Document, key: bytes, place: bytes, position: int) -> None:
        self._report.kept += 1
        self._report.kept_bytes += len(document.text.encode())
        self._documents.add(self._encode((position, document)))
        if self._budget is None and not self._exact and self._near is None:
            return
        order = order_key(document, key)
        if order != key:
            self._runs["own"].add(place + key)
        if self._budget is not None:
            row = self._budget.counted(document, order, place, self._report.amounts)
            self._runs["sizes"].add(row)
        digest = exact_digest(document.text)
        if self._exact:
            self._runs["texts"].add(digest + order + place)
        if self._near is not None and (signature := self._near.signature(document.text)):
            self._runs["signatures"].add(place + signature)
            row = neutral_order(document.text, digest) + order + place
            for band in bands(signature):
                self._runs["bands"].add(band.to_bytes(8, "big") + row)
