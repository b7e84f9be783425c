# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The search index of a dataset: suffix arrays over its texts, in segments of bounded size.

After "Infini-gram" (Liu et al., 2024, section 3). A segment has, as sealed objects:

* text: the documents in the order of the shards, in UTF-8, each ended by the byte FF. UTF-8 has no
  such byte, so no match spans two documents, and a match of bytes is one of characters.
* suffixes: where each suffix begins, sorted by the bytes that follow, packed into as many bits as
  the segment's size needs (corpus_suffixes). Only those are there that begin with a character: no
  text that is looked for begins within one, or with FF.
* documents: where each document begins, and its name in `names`; 8 bytes each.
* names: source, a zero byte, the document's name.

`fences` has, of all segments in their order, the first 32 bytes of every 16,384th suffix. 16,384
suffixes are less than a chunk of a sealed object: with the fences, a search opens only one or two
chunks of `suffixes`. They are one object because a search needs those of every segment, and each
object that is opened has a key to unwrap.

A segment's report is written after its objects, and the index's after all segments.
"""

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from bastide.app.alone import alone
from bastide.app.corpora import find_dataset, manifest_of
from bastide.app.corpus_build import Progress, folder_of
from bastide.app.corpus_export import shard_lines
from bastide.app.corpus_objects import bytes_of, read_object
from bastide.app.corpus_shards import Line
from bastide.app.corpus_suffixes import packed, width_of
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.extras import require_extra
from bastide.core.dataset import Manifest
from bastide.core.errors import NotFound, NotProven
from bastide.core.limits import MIB
from bastide.core.subject import hashed
from bastide.ports import SealingStore

__all__ = [
    "BLOCK",
    "END",
    "FENCE_BYTES",
    "INDEX_VERSION",
    "PLACE",
    "IndexReport",
    "MadeBy",
    "SegmentReport",
    "build_index",
    "delete_index",
    "fences_name",
    "fences_of",
    "index_folder",
    "segment_name",
]

INDEX_VERSION: Final = 3
BLOCK: Final = 16_384  # suffixes between two fences
FENCE_BYTES: Final = 32
END: Final = b"\xff"
_WITHIN: Final = 0x80  # the least byte within a character (RFC 3629, section 3)
_AFTER_WITHIN: Final = 0xC0
PLACE: Final = struct.Struct("<II")  # of a document: its first byte in `text`, its name in `names`
_PARTS: Final = ("text", "suffixes", "documents", "names")
_MEMORY_PER_BYTE: Final = 8  # text, four bytes of its suffix, names, and what the sorter takes


_Data = bytes  # in a class that has a field of that name


class SegmentReport(msgspec.Struct, frozen=True):
    """A finished segment. bytes: of its text with ends; suffixes: that it has; objects: the SHA-256
    of each object.

    fences: of the segment; the index has those of all in one object, so it leaves them out.
    """

    documents: int
    bytes: int
    suffixes: int
    objects: dict[str, str]
    fences: _Data = b""


class MadeBy(msgspec.Struct, frozen=True):
    """What is read of an index's report first: its other fields are those of its version."""

    version: int


class IndexReport(msgspec.Struct, frozen=True):
    """A finished index. manifest: the digest of the dataset that it is of."""

    version: int
    manifest: str
    segment_bytes: int
    segments: list[SegmentReport]


def index_folder(folder: str) -> str:
    """Where the index of a dataset's folder lies."""
    return f"{folder}/search"


def fences_name(folder: str) -> str:
    """The fences of all segments, one after the other."""
    return f"{index_folder(folder)}/fences"


def fences_of(segments: Sequence[SegmentReport], number: int) -> tuple[int, int]:
    """Where the fences of a segment begin in that object, and their size."""
    sizes = [-(-one.suffixes // BLOCK) * FENCE_BYTES for one in segments[: number + 1]]
    return sum(sizes[:-1]), sizes[-1]


def segment_name(folder: str, number: int, part: str) -> str:
    """An object of a segment."""
    return f"{index_folder(folder)}/{number:06d}/{part}"


def delete_index(store: SealingStore, folder: str) -> None:
    """Delete the index of a dataset's folder, if there is one; its report first."""
    store.delete(f"{index_folder(folder)}/index")
    for name in store.names(index_folder(folder)):
        store.delete(name)


def build_index(
    env: Environment, name: str, memory_mib: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Make the search index of a dataset, or go on with it, or check it and mend what is damaged.

    `memory_mib` bounds what a segment takes while it is sorted; only a document that alone is
    longer than a segment takes more. Raises Misconfigured, NotFound, NotProven.
    """
    require(env, "dataset-index")
    bytes_of(memory_mib)
    _sorter()
    row = find_dataset(env, name)
    manifest, folder = manifest_of(env, row), folder_of(row.body["build"])
    tell = progress or (lambda what, done, total: None)
    with alone(env.home.store / folder, lambda: tell("waiting for another build", 0, 0)):
        env.store.sweep(index_folder(folder))
        report, kept = _Builder(env.store, manifest, folder, memory_mib, tell).run()
    return {
        "dataset": row.subject.name,
        "digest": report.manifest,
        "documents": sum(one.documents for one in report.segments),
        "bytes": sum(one.bytes for one in report.segments),
        "segments": len(report.segments),
        "kept": kept,
    }


class _Builder:
    def __init__(
        self,
        store: SealingStore,
        manifest: Manifest,
        folder: str,
        memory_mib: int,
        tell: Callable[[str, int, int], None],
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._folder = folder
        self._bytes_max = memory_mib * MIB // _MEMORY_PER_BYTE
        self._tell = tell
        self._reports: list[SegmentReport] = []
        self._kept = 0
        self._done = 0

    def run(self) -> tuple[IndexReport, int]:
        """The report of the whole, and how many segments were there already."""
        index = f"{index_folder(self._folder)}/index"
        self._tell("indexing", 0, self._manifest.text_bytes)
        text, places, names = bytearray(), bytearray(), bytearray()
        for line in self._lines():
            data = line.text.encode()
            if text and len(text) + len(data) >= self._bytes_max:
                self._segment(text, places, names)
                text, places, names = bytearray(), bytearray(), bytearray()
            places += PLACE.pack(len(text), len(names))
            names += f"{line.source}\0{line.id}".encode()
            text += data + END
        if text:
            self._segment(text, places, names)
        self._store.put(fences_name(self._folder), [one.fences for one in self._reports])
        plain = [msgspec.structs.replace(one, fences=b"") for one in self._reports]
        report = IndexReport(INDEX_VERSION, str(self._manifest.digest), self._bytes_max, plain)
        if (found := sum(one.documents for one in self._reports)) != self._manifest.documents:
            raise NotProven(f"{found} documents in the shards of {self._manifest.documents}")
        self._store.put(index, [msgspec.msgpack.encode(report)])
        self._drop_more()
        return report, self._kept

    def _lines(self) -> Iterator[Line]:
        for shard in self._manifest.shards:
            yield from shard_lines(self._store, shard)

    def _segment(self, text: bytearray, places: bytearray, names: bytearray) -> None:
        number = len(self._reports)
        documents = len(places) // PLACE.size
        report = self._known(number, text, places, names)
        if report is None:
            report = self._write(number, text, places, names)
        else:
            self._kept += 1
        self._reports.append(report)
        self._done += len(text) - documents
        self._tell("indexing", self._done, self._manifest.text_bytes)

    def _known(
        self, number: int, text: bytearray, places: bytearray, names: bytearray
    ) -> SegmentReport | None:
        """The report of a segment that is whole and made of these texts."""
        try:
            data = read_object(self._store, segment_name(self._folder, number, "report"))
            report = msgspec.msgpack.decode(data, type=SegmentReport)
            made_of = {"text": text, "documents": places, "names": names}
            if len(report.fences) != fences_of([report], 0)[1]:
                return None  # of an earlier version
            if any(report.objects[part] != _digest(data) for part, data in made_of.items()):
                return None
            for part in _PARTS:
                if (
                    self._stored_digest(segment_name(self._folder, number, part))
                    != (report.objects[part])
                ):
                    return None
        except (NotFound, NotProven, msgspec.DecodeError, KeyError):
            return None  # it is made again
        return report

    def _stored_digest(self, name: str) -> str:
        state = hashlib.sha256()
        with self._store.open(name) as reader:
            for offset in range(0, reader.size, MIB):
                state.update(reader.read_at(offset, MIB))
        return state.hexdigest()

    def _write(
        self, number: int, text: bytearray, places: bytearray, names: bytearray
    ) -> SegmentReport:
        self._store.delete(segment_name(self._folder, number, "report"))
        suffixes = _of_characters(text, _sorter()(text))
        fences = b"".join(
            bytes(text[at : at + FENCE_BYTES]).ljust(FENCE_BYTES, b"\0")
            for at in suffixes[::BLOCK].tolist()
        )
        objects = {
            "text": _pieces(text),
            "suffixes": packed(suffixes, width_of(len(text))),
            "documents": _pieces(places),
            "names": _pieces(names),
        }
        digests = {}
        for part in _PARTS:
            state = hashlib.sha256()
            name = segment_name(self._folder, number, part)
            self._store.put(name, hashed(objects[part], state))
            digests[part] = state.hexdigest()
        report = SegmentReport(len(places) // PLACE.size, len(text), len(suffixes), digests, fences)
        self._store.put(
            segment_name(self._folder, number, "report"), [msgspec.msgpack.encode(report)]
        )
        return report

    def _drop_more(self) -> None:
        """Delete segments of an earlier index that had more of them."""
        prefix = index_folder(self._folder)
        for name in self._store.names(prefix):
            head = name.removeprefix(f"{prefix}/").partition("/")[0]
            older = name.endswith("/fences")  # of a version that had some for each segment
            if head.isdigit() and (older or int(head) >= len(self._reports)):
                self._store.delete(name)


def _of_characters(text: bytearray, suffixes: Any) -> Any:
    """Those that begin with a character, in place: the others stand together in the order."""
    places = range(len(suffixes))
    within, low, high = (
        bisect_left(places, byte, key=lambda place: text[suffixes[place]])
        for byte in (_WITHIN, _AFTER_WITHIN, END[0])
    )
    for at in range(low, high, MIB):
        part = suffixes[at : min(high, at + MIB)]
        suffixes[within + at - low : within + at - low + len(part)] = part
    return suffixes[: within + high - low]


def _pieces(data: bytearray) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[at : at + MIB] for at in range(0, len(view), MIB))


def _digest(data: bytearray | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _sorter() -> Callable[[bytearray], Any]:
    """The suffix sorter. Raises Misconfigured if the corpus parts are not installed."""
    require_extra("corpus")
    from pydivsufsort import divsufsort

    return divsufsort
