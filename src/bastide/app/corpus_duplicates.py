# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The steps over the whole corpus: each name once, equal texts once, near duplicates once.

Of a group of duplicates the document with the smallest key stays. That depends on names alone:
neither the order of the files nor the number of workers matters.

The rows come sorted from disk, so memory holds only the documents that are duplicates of others,
and for near duplicates their signatures (512 bytes each).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, groupby, pairwise
from typing import Final

from bastide.app.corpus_objects import merged_rows, put_rows, read_rows
from bastide.app.corpus_part import (
    BAND_WIDTH,
    KEY_WIDTH,
    SIGNATURE_WIDTH,
    TEXT_WIDTH,
    PartReport,
)
from bastide.app.corpus_plan import EXACT, NEAR
from bastide.core.errors import Refused
from bastide.filters.near_duplicate import NearDuplicate, estimate
from bastide.ports import SealingStore

__all__ = ["DUPLICATE_WIDTH", "REASONS", "Duplicates", "find_duplicates", "merge_keys"]

# Rows of the object `duplicates`: key of the removed, key of the one that stays, which reason.
DUPLICATE_WIDTH: Final = 32 + 32 + 1
REASONS: Final = (f"{EXACT}/equal", f"{NEAR}/similar")

_COMPARED_MAX: Final = 32  # documents with one band in common that are all compared with each other

Document = bytes  # key, then place: 40 bytes; compares by key


class Duplicates:
    """Which documents go, why, and which one stays in the place of each."""

    def __init__(self) -> None:
        self._of: dict[Document, tuple[Document, int]] = {}

    def add(self, document: Document, stays: Document, reason: int) -> None:
        """Remove a document, unless it is removed already."""
        self._of.setdefault(document, (stays, reason))

    def __contains__(self, document: Document) -> bool:
        return document in self._of

    def counts(self) -> dict[str, int]:
        """How many documents go, by reason."""
        numbers = [0] * len(REASONS)
        for _, reason in self._of.values():
            numbers[reason] += 1
        return {REASONS[at]: count for at, count in enumerate(numbers) if count}

    def positions(self) -> dict[int, dict[int, int]]:
        """For each part: the positions of what goes, each with the number of its reason."""
        found: dict[int, dict[int, int]] = {}
        for document, (_, reason) in self._of.items():
            part, position = document[32:36], document[36:40]
            row = found.setdefault(int.from_bytes(part, "big"), {})
            row[int.from_bytes(position, "big")] = reason
        return found

    def rows(self) -> Iterator[bytes]:
        """The rows of the object `duplicates`, sorted."""
        for document, (stays, reason) in sorted(self._of.items()):
            yield document[:32] + stays[:32] + bytes([reason])


def merge_keys(store: SealingStore, folder: str, reports: Sequence[PartReport]) -> None:
    """Write the object `keys`: every document that was read, by key.

    Raises Refused if two documents of one source have one name.
    """
    names = _runs(folder, reports, "keys")

    def distinct() -> Iterator[bytes]:
        last = b""
        for row in merged_rows(store, names, KEY_WIDTH, f"{folder}/merge/keys"):
            if row[:32] == last:
                part = int.from_bytes(row[32:36], "big")
                raise Refused(
                    "two documents of one source have the same name",
                    reasons=(f"{reports[part].source}: key {row[:32].hex()}",),
                    fix='give the reader a field that names each record, or id = "" to name it by'
                    " its place",
                )
            last = row[:32]
            yield row

    put_rows(store, f"{folder}/keys", distinct())


def find_duplicates(
    store: SealingStore, folder: str, reports: Sequence[PartReport], near: NearDuplicate | None
) -> Duplicates:
    """Find all duplicates that the recipe asks for, and write the object `duplicates`."""
    found = Duplicates()
    _exact(store, folder, reports, found)
    if near is not None:
        _near(store, folder, reports, near, found)
    put_rows(store, f"{folder}/duplicates", found.rows())
    return found


def _exact(
    store: SealingStore, folder: str, reports: Sequence[PartReport], found: Duplicates
) -> None:
    names = _runs(folder, reports, "texts")
    rows = merged_rows(store, names, TEXT_WIDTH, f"{folder}/merge/texts")
    for _, group in groupby(rows, key=lambda row: row[:32]):
        stays, *others = (row[32:] for row in group)  # sorted by key within the group
        for document in others:
            found.add(document, stays, 0)


def _near(
    store: SealingStore,
    folder: str,
    reports: Sequence[PartReport],
    near: NearDuplicate,
    found: Duplicates,
) -> None:
    """Compare what shares a band; what is similar enough is one group, over any number of steps."""
    pairs = _candidates(store, folder, reports, found)
    signatures = _signatures(store, folder, reports, {one for pair in pairs for one in pair})
    groups = _Groups()
    for one, other in sorted(pairs):
        # Who is in one group already need not be compared: the closure is the same.
        if groups.together(one, other):
            continue
        if estimate(signatures[one[32:]], signatures[other[32:]]) >= near.similarity_min:
            groups.join(one, other)
    for document, stays in groups.members():
        found.add(document, stays, 1)


def _candidates(
    store: SealingStore, folder: str, reports: Sequence[PartReport], gone: Duplicates
) -> set[tuple[Document, Document]]:
    names = _runs(folder, reports, "bands")
    rows = merged_rows(store, names, BAND_WIDTH, f"{folder}/merge/bands")
    pairs: set[tuple[Document, Document]] = set()
    for _, group in groupby(rows, key=lambda row: row[:8]):
        members = [row[8:] for row in group if row[8:] not in gone]
        if len(members) <= _COMPARED_MAX:
            pairs.update(combinations(members, 2))
        else:
            # A band of thousands is boilerplate: each with the smallest and with its neighbour,
            # which finds what hangs together without comparing all with all.
            pairs.update((members[0], other) for other in members[1:])
            pairs.update(pairwise(members[1:]))
    return pairs


def _signatures(
    store: SealingStore, folder: str, reports: Sequence[PartReport], wanted: set[Document]
) -> dict[bytes, bytes]:
    """The signatures of some documents, by place."""
    places = {document[32:] for document in wanted}
    parts = {int.from_bytes(place[:4], "big") for place in places}
    found: dict[bytes, bytes] = {}
    for report in reports:
        if report.number in parts:
            for name in _runs(folder, [report], "signatures"):
                for row in read_rows(store, name, SIGNATURE_WIDTH):
                    if row[:8] in places:
                        found[row[:8]] = row[8:]
    return found


class _Groups:
    """Union-find. The smallest member of a group stands for it."""

    def __init__(self) -> None:
        self._above: dict[Document, Document] = {}

    def join(self, one: Document, other: Document) -> None:
        low, high = sorted((self._top(one), self._top(other)))
        self._above[high] = low

    def together(self, one: Document, other: Document) -> bool:
        """True if both are in one group."""
        return self._top(one) == self._top(other)

    def members(self) -> Iterator[tuple[Document, Document]]:
        """Each document that is not the smallest of its group, with the smallest."""
        for document in sorted(self._above):
            if (top := self._top(document)) != document:
                yield document, top

    def _top(self, document: Document) -> Document:
        path = []
        while (above := self._above.setdefault(document, document)) != document:
            path.append(document)
            document = above
        for one in path:
            self._above[one] = document
        return document


def _runs(folder: str, reports: Sequence[PartReport], kind: str) -> list[str]:
    return [
        f"{folder}/parts/{report.number:06d}/{kind}-{number}"
        for report in reports
        for number in range(_count(report.objects, kind))
    ]


def _count(objects: Mapping[str, int], kind: str) -> int:
    return objects.get(kind, 0)
