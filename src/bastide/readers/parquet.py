# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Apache Parquet: one document a row. Only the named columns are read, a batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Final

from bastide.core import limits
from bastide.core.document import Document
from bastide.readers.jsonl import Fault, text_field
from bastide.readers.reader import Broken, Piece, Read, identify

__all__ = ["Parquet", "row_groups"]

_ROWS: Final = 128  # in a batch
_BUFFER: Final = 1 << 20  # bytes read ahead of one column


@dataclass(frozen=True, slots=True, kw_only=True)
class Parquet:
    """A table with a column of texts. The stream must be seekable."""

    ident: ClassVar[str] = "parquet"
    pieces: ClassVar[str] = "row-groups"

    text: str = "text"  # the column with the text
    id: str = "id"  # the column with the record's own name, if there is one
    url: str = "url"  # the column with the address, if there is one

    def read(self, stream: BinaryIO, source: str, name: str, piece: Piece | None = None) -> Read:
        """Read a file; see reader.Reader. `line` of a Broken is the row, `byte` is 0."""
        import pyarrow as pa

        row = first = piece.before if piece is not None else 0
        try:
            for batch in self._batches(stream, piece):
                for record in batch.to_pylist():
                    row += 1
                    try:
                        yield self._document(record, source, name, row)
                    except Fault as fault:
                        yield Broken(row, 0, fault.reason, fault.detail)
        except Fault as fault:
            if not first:  # what is wrong with the whole file is told once
                yield Broken(0, 0, fault.reason, fault.detail)
        except UnicodeDecodeError:
            yield Broken(row + 1, 0, "not-utf-8")
        except (pa.ArrowException, OSError, ValueError):
            yield Broken(row + 1 if row else 0, 0, "damaged")

    def _batches(self, stream: BinaryIO, piece: Piece | None) -> Iterator[Any]:
        """Batches of the columns that there are. Raises Fault if there is nothing to read."""
        import pyarrow as pa

        table = _opened(stream)
        schema = table.schema_arrow
        if self.text not in schema.names:
            raise Fault("column-missing", f"column {self.text}")
        wanted = [name for name in (self.text, self.id, self.url) if name in schema.names]
        for column in wanted:
            kind = schema.field(column).type
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            if not is_text and not (column == self.id and pa.types.is_integer(kind)):
                raise Fault("wrong-type", f"column {column}")
        groups = range(table.metadata.num_row_groups)
        for index in groups:
            group = table.metadata.row_group(index)
            if group.total_byte_size > limits.CORPUS_ROW_GROUP_BYTES_MAX:
                raise Fault("too-long", f"row group {index}")
        own = list(groups if piece is None else groups[piece.begin : piece.end])
        yield from table.iter_batches(_ROWS, own, columns=wanted, use_threads=False)

    def _document(self, record: dict[str, Any], source: str, name: str, row: int) -> Document:
        own = record.get(self.id)
        own = str(own) if isinstance(own, int) else text_field(record, self.id, needed=False)
        if len(own) > limits.CORPUS_ID_CHARS_MAX:
            raise Fault("too-long", f"column {self.id}")
        return Document(
            ident=own or identify(source, name, row),
            text=text_field(record, self.text),
            source=source,
            url=text_field(record, self.url, needed=False),
        )


def row_groups(stream: BinaryIO) -> list[tuple[int, int]]:
    """Bytes and rows of every row group; empty if the file cannot be read."""
    import pyarrow as pa

    try:
        footer = _opened(stream).metadata
    except (pa.ArrowException, OSError, ValueError):
        return []
    rows = (footer.row_group(at) for at in range(footer.num_row_groups))
    return [(row.total_byte_size, row.num_rows) for row in rows]


def _opened(stream: BinaryIO) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        stream,
        buffer_size=_BUFFER,
        pre_buffer=False,
        thrift_string_size_limit=limits.CORPUS_PARQUET_FOOTER_BYTES_MAX,
        thrift_container_size_limit=limits.CORPUS_PARQUET_COLUMNS_MAX,
    )
