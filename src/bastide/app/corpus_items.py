# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""What a part holds, as its reader sees it: documents and broken places, proven to be of the files
that were hashed."""

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from bastide.app.corpus_files import Hashing, InputFile, changed, content_of, read_file
from bastide.app.corpus_plan import Part, make_reader
from bastide.app.remedies import outside
from bastide.core.errors import BastideError, Refused
from bastide.ports import SealingStore
from bastide.readers.openeurollm import Tally
from bastide.readers.reader import Read

__all__ = ["items_of"]


def items_of(
    store: SealingStore, part: Part, file: InputFile, key: bytes, tally: Tally | None = None
) -> Read:
    """What the reader of a part makes of one of its files. `key` is for pseudonyms.

    tally: see `read_file`.

    Raises Refused at the end of a file that is not the one that was hashed.
    """
    reader = make_reader(part.reader, {**part.settings, **file.settings})
    try:
        with content_of(store, file, getattr(reader, "pieces", "")) as stream:
            hashing = Hashing(stream)
            read = read_file(reader, cast(BinaryIO, hashing), part.source, file, key, tally)
            yield from _guarded(read, part.reader, file.name)
            digest = hashing.finish()
    except OSError as error:
        raise outside(error, file.name) from error
    if digest != file.digest:
        raise changed(file.name, part.source)


def _guarded(items: Iterator[Any], reader: str, name: str) -> Iterator[Any]:
    """What a reader yields; an error that it should not raise, without its text."""
    try:
        yield from items
    except (BastideError, OSError):
        raise
    except Exception as error:
        raise Refused(
            f"the reader {reader} failed, so nothing is built",
            reasons=(f"{name}: {type(error).__name__}",),
            fix="this is a defect of the reader: report it",
        ) from None
