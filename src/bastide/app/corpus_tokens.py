# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A tokenizer for whole corpora: a `tokenizer.json`, read as data and bound to its digest."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bastide.app.corpus_shards import Line
from bastide.app.extras import require_extra
from bastide.app.remedies import outside
from bastide.core.errors import Misconfigured, Refused
from bastide.core.limits import MIB

__all__ = ["Tokenizer", "open_tokenizer"]

_UINT16_VOCABULARY: Final = 65_500  # below it Megatron-LM takes uint16
_BATCH_BYTES: Final = 4 * MIB  # of text that is tokenized at once
_KINDS: Final = {"uint16": "H", "int32": "i"}  # a type's name, and that of `array`


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """digest: of the file. version: of the package `tokenizers`. vocabulary: numbers of tokens.
    dtype: `uint16` or `int32`. end: number of the token that ends a document, or None."""

    digest: str
    version: str
    vocabulary: int
    dtype: str
    end: int | None
    encoder: Any

    @property
    def kind(self) -> str:
        """The type code of `array` for its tokens."""
        return _KINDS[self.dtype]

    def tokens(self, lines: Iterable[Line]) -> Iterator[tuple[Line, array]]:
        """Each document with its tokens, the end token included. Special tokens that a text spells
        are text."""
        tail = [] if self.end is None else [self.end]
        for batch in _batches(lines):
            texts = [line.text for line in batch]
            found = self.encoder.encode_batch_fast(texts, add_special_tokens=False)
            for line, one in zip(batch, found, strict=True):
                yield line, array(self.kind, one.ids + tail)


def open_tokenizer(path: Path, end_token: str, digest: str | None = None) -> Tokenizer:
    """Read a tokenizer.

    digest: what the file must have, or None. Raises Misconfigured for what is no tokenizer or lacks
    the end token, Refused for another digest, Unavailable for a file that cannot be read.
    """
    require_extra("corpus")
    import tokenizers

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise outside(error, str(path)) from error
    stated = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    if digest not in (None, stated):
        raise Refused(f"{path} changed while it was used", fix="run the same command again")
    try:
        encoder = tokenizers.Tokenizer.from_buffer(raw)
    except Exception as error:  # the library raises nothing more precise
        raise Misconfigured(
            f"{path} is no tokenizer: {error}",
            fix="name a tokenizer.json as the package `tokenizers` writes it",
        ) from error
    encoder.no_truncation()  # a file may ask for it, and texts would be cut unseen
    encoder.no_padding()
    encoder.encode_special_tokens = True  # a text that spells the end token does not end there
    end = encoder.token_to_id(end_token) if end_token else None
    if end_token and end is None:
        raise Misconfigured(
            f"{path} has no token {end_token!r}",
            fix="name the token that ends a text, such as <|endoftext|>",
        )
    size = max(encoder.get_vocab(with_added_tokens=True).values(), default=0) + 1
    dtype = "uint16" if size < _UINT16_VOCABULARY else "int32"
    return Tokenizer(stated, tokenizers.__version__, size, dtype, end, encoder)


def _batches(lines: Iterable[Line]) -> Iterator[Sequence[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.text)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
