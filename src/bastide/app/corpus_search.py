# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Verbatim search in a finished dataset, over the index that `corpus_index` makes.

What is found is not believed because the index says so: the text of every document that is shown
is hashed, and its digest must be the one that the dataset's own leaf of that document holds.
"""

import contextlib
import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import msgspec

from bastide.app.corpora import find_dataset, manifest_of
from bastide.app.corpus_build import folder_of
from bastide.app.corpus_index import (
    BLOCK,
    END,
    FENCE_BYTES,
    INDEX_VERSION,
    PLACE,
    IndexReport,
    MadeBy,
    delete_index,
    fences_name,
    fences_of,
    index_folder,
    segment_name,
)
from bastide.app.corpus_objects import read_object, row_in
from bastide.app.corpus_shards import LEAF_WIDTH
from bastide.app.corpus_suffixes import span, unpacked, width_of
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.dataset import document_key
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.ports import Reader

__all__ = ["Index", "Span", "Spans", "delete_index", "find_spans", "open_index"]

_CONTEXT_CHARS: Final = 60
_PIECE: Final = BLOCK  # suffixes that are read and sorted at once


@dataclass(frozen=True, slots=True)
class Span:
    """One place of a text. position: its first character in the document, from 0.

    before, after: up to 60 characters around it. shard: batch and number; line: in it, from 1.
    """

    source: str
    document: str
    position: int
    before: str
    after: str
    shard: str
    line: int


@dataclass(frozen=True, slots=True)
class Spans:
    """How often a text occurs in a dataset, overlapping places counted, and some places of it."""

    dataset: str
    digest: str
    count: int
    found: tuple[Span, ...]


def find_spans(env: Environment, dataset: str, text: str, limit: int | None = 10) -> Spans:
    """Every place of a text, of any length and script; `limit` None gives all of them.

    Raises NotFound without an index, NotProven for a stale or damaged one, Misconfigured.
    """
    with open_index(env, dataset) as index:
        return index.find(text, limit)


@contextlib.contextmanager
def open_index(env: Environment, dataset: str) -> "Generator[Index]":
    """The index of a dataset, checked to be of it, for one search or many."""
    require(env, "dataset-index", dataset)
    row = find_dataset(env, dataset)
    folder, name = folder_of(row.body["build"]), row.subject.name
    fix = f"bastide corpus index {dataset}"
    try:
        data = read_object(env.store, f"{index_folder(folder)}/index")
        report = _report(data)
    except NotFound as error:
        raise NotFound(f"{name} has no search index", fix=fix) from error
    except (NotProven, msgspec.DecodeError) as error:
        raise NotProven(f"the search index of {name} is damaged", fix=fix) from error
    if report is None:
        raise NotProven(f"the search index of {name} is of another version of Bastide", fix=fix)
    digest = str(manifest_of(env, row).digest)
    if report.manifest != digest:
        raise NotProven(f"the search index of {name} is stale: it is not of {digest}", fix=fix)
    with ExitStack() as stack:
        yield Index(env, stack, name, folder, report, fix)


def _report(data: bytes) -> IndexReport | None:
    """The report of an index, or None if it is of another version, whose fields are others."""
    if msgspec.msgpack.decode(data, type=MadeBy).version != INDEX_VERSION:
        return None
    return msgspec.msgpack.decode(data, type=IndexReport)


class Index:
    """An open index. Its objects are opened when they are first needed, and then stay open."""

    def __init__(
        self,
        env: Environment,
        stack: ExitStack,
        dataset: str,
        folder: str,
        report: IndexReport,
        fix: str,
    ) -> None:
        self._env = env
        self._stack = stack
        self._dataset = dataset
        self._report = report
        self._folder = folder
        self._fix = fix
        self._readers: dict[str, Reader] = {}
        self._fences: dict[int, bytes] = {}

    def find(self, text: str, limit: int | None = 10) -> Spans:
        """Every place of a text; see `find_spans`."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise Misconfigured("the text is not Unicode: it has half a character") from error
        if not data:
            raise Misconfigured("the text is empty", fix='--text "some words"')
        count, found = 0, list[Span]()
        try:
            for number in range(len(self._report.segments)):
                first, last = self._range(number, data)
                count += last - first
                room = last - first if limit is None else max(0, limit - len(found))
                if room and first < last:
                    found += self._spans(number, first, last, data, room)
        except NotProven as error:
            raise NotProven(error.message, fix=self._fix) from error
        except NotFound as error:
            raise NotProven(f"the search index lacks a part: {error}", fix=self._fix) from error
        return Spans(self._dataset, self._report.manifest, count, tuple(found))

    def _range(self, number: int, data: bytes) -> tuple[int, int]:
        """The suffixes that begin with some bytes."""
        segment = self._report.segments[number]
        total = segment.suffixes
        if len(data) >= segment.bytes:
            return 0, 0
        fences = self._fence_bytes(number)
        head = data[:FENCE_BYTES]

        def fence(block: int) -> bytes:
            return fences[block * FENCE_BYTES : block * FENCE_BYTES + len(head)]

        blocks = range(len(fences) // FENCE_BYTES)
        low, high = bisect_left(blocks, head, key=fence), bisect_right(blocks, head, key=fence)
        start, stop = max(0, (low - 1) * BLOCK), min(total, high * BLOCK)
        suffixes = range(total)

        def begin(suffix: int) -> bytes:
            (at,) = self._suffixes(number, suffix, 1)
            return self._part(number, "text").read_at(at, len(data))

        first = bisect_left(suffixes, data, start, stop, key=begin)
        if first < stop and begin(first) != data:
            return first, first
        return first, bisect_right(suffixes, data, first, stop, key=begin)

    def _spans(self, number: int, first: int, last: int, data: bytes, limit: int) -> Iterator[Span]:
        """Up to `limit` places, in the order of the text among the suffixes that are read."""
        while first < last and limit:
            places = sorted(self._suffixes(number, first, min(_PIECE, last - first)))
            first += len(places)
            document = (-1, 0, "", "", "", b"")
            for at in places[:limit]:
                if not document[0] <= at < document[1]:
                    document = self._document(number, at)
                yield _span(document, at, data)
            limit -= min(limit, len(places))

    def _document(self, number: int, at: int) -> tuple[int, int, str, str, str, bytes]:
        """The document around a place: begin, end, source, name, shard and line, text. Proven."""
        segment = self._report.segments[number]
        places = self._part(number, "documents")

        def row(index: int) -> tuple[int, int]:
            if index == segment.documents:
                return segment.bytes, self._part(number, "names").size
            begin, name = PLACE.unpack(places.read_at(index * PLACE.size, PLACE.size))
            return begin, name

        index = bisect_right(range(segment.documents), at, key=lambda one: row(one)[0]) - 1
        (begin, name), (end, next_name) = row(index), row(index + 1)
        named = self._part(number, "names").read_at(name, next_name - name).decode()
        source, _, ident = named.partition("\0")
        text = self._part(number, "text").read_at(begin, end - begin - len(END))
        leaves = self._opened(f"{self._folder}/leaves")
        leaf = row_in(leaves, LEAF_WIDTH, document_key(source, ident))
        if leaf is None or leaf[32:64] != hashlib.sha256(text).digest():
            raise NotProven(
                f"the search index of {self._dataset} holds a text that the dataset does not"
            )
        batch, shard, line = (int.from_bytes(leaf[at : at + 4], "big") for at in (64, 68, 72))
        return begin, end, source, ident, f"{batch:06d}-{shard:06d}:{line + 1}", text

    def _suffixes(self, number: int, first: int, count: int) -> list[int]:
        width = width_of(self._report.segments[number].bytes)
        data = self._part(number, "suffixes").read_at(*span(first, count, width))
        return unpacked(data, first, count, width)

    def _fence_bytes(self, number: int) -> bytes:
        if number not in self._fences:
            at, size = fences_of(self._report.segments, number)
            self._fences[number] = self._opened(fences_name(self._folder)).read_at(at, size)
        return self._fences[number]

    def _part(self, number: int, part: str) -> Reader:
        return self._opened(segment_name(self._folder, number, part))

    def _opened(self, name: str) -> Reader:
        if name not in self._readers:
            self._readers[name] = self._stack.enter_context(self._env.store.open(name))
        return self._readers[name]


def _span(document: tuple[int, int, str, str, str, bytes], at: int, data: bytes) -> Span:
    begin, _, source, ident, place, text = document
    here = at - begin
    if text[here : here + len(data)] != data:
        raise NotProven("the search index names a place where the text is not")
    shard, _, line = place.partition(":")
    most = 4 * _CONTEXT_CHARS  # bytes; what the cut leaves of a character is dropped
    before = text[max(0, here - most) : here].decode(errors="ignore")[-_CONTEXT_CHARS:]
    end = here + len(data)
    after = text[end : end + most].decode(errors="ignore")[:_CONTEXT_CHARS]
    return Span(source, ident, len(text[:here].decode()), before, after, shard, int(line))
