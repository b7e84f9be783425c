# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use cases about packings: list them, show one, write one in clear.

In clear a packing is an indexed dataset of Megatron-LM whose documents are the sequences, Parquet,
or NumPy's `.npy`, which `numpy.load(..., mmap_mode="r")` maps into memory. Beside it
`pieces.parquet` says which documents are in each sequence, so that attention and loss can end where
a document ends.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import msgspec

from bastide.app.bucket_path import folder_at
from bastide.app.corpora import find_dataset
from bastide.app.corpus_build import Progress
from bastide.app.corpus_export import proven_chunks, whole
from bastide.app.corpus_export_journal import Journal
from bastide.app.corpus_export_megatron import write_index
from bastide.app.corpus_objects import read_object
from bastide.app.corpus_pack import packing_folder
from bastide.app.corpus_pack_rule import verify_may_pack
from bastide.app.corpus_pack_work import PIECE, object_name
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.remedies import outside
from bastide.core.errors import Misconfigured, NotFound, NotProven
from bastide.core.evidence import Evidence
from bastide.core.limits import MIB
from bastide.core.packing import PackedShard, Packing
from bastide.ledger.erased import successors

__all__ = [
    "PACKED_FORMS",
    "export_packing",
    "find_packing",
    "list_packings",
    "packing_manifest",
    "show_packing",
]

# Of each form the endings of a shard's files, beside those of the pieces.
_ENDINGS: Final = MappingProxyType(
    {"megatron": ("bin", "idx"), "parquet": ("parquet",), "numpy": ("npy",)}
)
PACKED_FORMS: Final = tuple(_ENDINGS)
_ROWS: Final = 4_096  # sequences of a row group


def list_packings(env: Environment) -> list[dict[str, Any]]:
    """One row for each packing. gone: its dataset was erased from, and the packing deleted."""
    require(env, "read")
    erased = successors(env.ledger)
    return [
        {
            "dataset": row.subject.name,
            "packing": str(row.subject.digest),
            "length": row.body["length"],
            "method": row.body["method"],
            "sequences": row.body["sequences"],
            "tokens": row.body["tokens"],
            "fill": _fill(row),
            "entry": row.entry,
            "gone": row.body["dataset"] in erased,
        }
        for row in env.ledger.find("packing/v1")
    ]


def show_packing(env: Environment, name: str) -> dict[str, Any]:
    """All that is stated about the newest packing of a dataset, or the one of a digest."""
    require(env, "read")
    row = find_packing(env, name)
    return {**row.body, "packing": str(row.subject.digest), "entry": row.entry, "fill": _fill(row)}


def export_packing(
    env: Environment, name: str, target: Path | str, form: str, progress: Progress | None = None
) -> list[Path]:
    """Write a packing in clear; every digest is checked. An export that was killed goes on.

    target: a folder, or ``s3://bucket/prefix``. Raises NotFound, Misconfigured, Refused if its
    dataset was erased from, NotProven.
    """
    require(env, "dataset-export", name)
    if form not in PACKED_FORMS:
        raise Misconfigured(f"there is no form {form!r}", fix=f"one of {', '.join(PACKED_FORMS)}")
    row = find_packing(env, name)
    dataset = find_dataset(env, row.body["dataset"])
    verify_may_pack(env.ledger, dataset)
    folder = packing_folder(dataset, row.body["folder"])
    packing = packing_manifest(env, row, folder)
    written = []
    try:
        to = folder_at(env.home, target)
        to.mkdir(parents=True, exist_ok=True)
        with Journal(to, {"packing": str(packing.digest), "form": form}) as journal:
            for done, shard in enumerate(packing.shards):
                writer = _Writer(env, folder, packing, shard, to / row.subject.name)
                written += writer.write(form, journal)
                if progress is not None:
                    progress("exporting", done + 1, len(packing.shards))
            path = to / "packing.json"
            with whole(path) as file:
                file.write(packing.encode())
    except OSError as error:
        raise outside(error, str(target)) from error
    return [*written, path]


def find_packing(env: Environment, name: str) -> Evidence:
    """The newest packing of a dataset, or the one of a digest. Raises NotFound."""
    require(env, "read")
    rows = env.ledger.find("packing/v1")
    known = [row for row in rows if name in (row.subject.name, str(row.subject.digest))]
    if not known:
        raise NotFound(
            f"there is no packing of {name!r}", fix="bastide corpus pack DATASET --tokenizer FILE"
        )
    return known[-1]


def _fill(row: Evidence) -> float:
    """The share of all positions that hold tokens of documents."""
    places = row.body["sequences"] * row.body["length"]
    return round(row.body["tokens"] / places, 6) if places else 1.0


def packing_manifest(env: Environment, row: Evidence, folder: str) -> Packing:
    """The manifest that the ledger names. Raises NotProven for any other."""
    require(env, "read")
    name = f"{folder}/manifest"
    try:
        packing = msgspec.json.decode(read_object(env.store, name), type=Packing)
    except msgspec.DecodeError as error:
        raise NotProven(f"{name} is no manifest", fix="restore it from a backup") from error
    if packing.digest != row.subject.digest:
        raise NotProven(f"{name} is not what the ledger names", fix="restore it from a backup")
    return packing


class _Writer:
    """Writes the files of one shard."""

    def __init__(
        self,
        env: Environment,
        folder: str,
        packing: Packing,
        shard: PackedShard,
        stem: Path,
    ) -> None:
        self._env, self._folder, self._packing, self._shard = env, folder, packing, shard
        self._stem = stem.with_name(f"{stem.name}-{shard.number:05d}")
        self._width = 2 if packing.dtype == "uint16" else 4

    def write(self, form: str, journal: Journal) -> list[Path]:
        """Write what is missing of the shard; all of its files."""
        endings = ("pieces.parquet", *_ENDINGS[form])
        paths = [self._stem.with_name(f"{self._stem.name}.{ending}") for ending in endings]
        if journal.finished(self._shard.number, paths):
            return paths
        mark = journal.mark(self._shard.number)
        with whole(paths[0], mark) as file:
            self._pieces(file)
        with whole(paths[1], mark) as file:
            if form == "parquet":
                self._parquet(file)
            else:
                file.write(self._numpy_head() if form == "numpy" else b"")
                for chunk in self._chunks("sequences"):
                    file.write(chunk)
        if form == "megatron":
            lengths = array("i", [self._packing.length]) * self._shard.sequences
            with whole(paths[2], mark) as file:
                write_index(lengths, self._packing.dtype, file)
        journal.add(self._shard.number, paths)
        return paths

    def _numpy_head(self) -> bytes:
        """The head of a `.npy` of version 1.0 (numpy.lib.format): what follows begins at a multiple
        of 64 bytes, and is the sequences as they are stored."""
        kind = "<u2" if self._packing.dtype == "uint16" else "<i4"
        shape = f"({self._shard.sequences}, {self._packing.length})"
        head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        head += " " * (-(len(head) + 11) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode("latin-1")

    def _chunks(self, part: str, size: int = MIB) -> Iterator[bytes]:
        """The content of an object. Raises NotProven at its end if the digest is another."""
        name = object_name(self._folder, self._shard.number, part)
        return proven_chunks(self._env.store, name, self._shard.objects[part], size)

    def _pieces(self, file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = ("sequence", "document", "offset", "length")
        schema = pa.schema([(name, pa.uint32()) for name in names])
        with pq.ParquetWriter(file, schema) as writer:
            for chunk in self._chunks("pieces", PIECE.size * 65_536):
                rows = array("I")
                rows.frombytes(chunk)
                columns = [pa.array(rows[at :: len(names)], pa.uint32()) for at in range(4)]
                writer.write_table(pa.table(columns, schema=schema))

    def _parquet(self, file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = pa.uint16() if self._packing.dtype == "uint16" else pa.int32()
        length = self._packing.length
        schema = pa.schema([("input_ids", pa.list_(kind, length))])
        row = length * self._width
        with pq.ParquetWriter(file, schema) as writer:
            for chunk in self._chunks("sequences", row * max(1, min(_ROWS, 64 * MIB // row))):
                values = pa.Array.from_buffers(
                    kind, len(chunk) // self._width, [None, pa.py_buffer(chunk)]
                )
                rows = pa.FixedSizeListArray.from_arrays(values, length)
                writer.write_table(pa.table([rows], schema=schema))
