# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A tokenizer for whole corpora: a `tokenizer.json`, read as data and bound to its digest.

The package `tokenizers` says what the tokens of a text are; `fastokens` says the same thirty times
as fast, of the kinds of tokenizer that it knows. It is used where both agree on some texts that are
hard to split, and some texts of each batch are tokenized by both: of a batch in which they differ,
or that it refuses, `tokenizers` makes all tokens. That depends on the texts alone, so any number of
workers does it.
"""

import hashlib
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
_CHECKED: Final = 64  # of so many texts one is tokenized by both
_CHECKED_CHARS: Final = 16_384  # of its beginning
# What tokenizers split differently: spaces, digits, contractions, marks, scripts, controls.
_HARD: Final = (
    "", " ", "  a", "a  \n\n b\t \r\n", "\u00a0\u2003\u3000x\u0085y\u2028z",
    "I'm you'LL 's '\u017f don\u2019t", "1234567 12.5 \u0663\u0664 \u2177\u00b2", "x" * 70,
    "e\u0301 \ufb01 \u0130i \u01c5 ß", "👩\u200d👩\u200d👧 🇪🇺\ufe0f", "日本語 ไทย हिन्दी العربية",
    "Ελλάδα България Straße", "\0\x1f\x7f\ufeff\ufffd\U0010ffff", "a_b-c/d.e@f#g$h%i",
    "<s> </s> <|im_start|>",
    "t\0h i\0n e\0r o\0n a a\0a",  # pairs that merge, if what stands between has no token
)  # fmt: skip
_KINDS: Final = {"uint16": "H", "int32": "i"}  # a type's name, and that of `array`


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """digest: of the file. version: of the package `tokenizers`, and of `fastokens` if it is used.
    vocabulary: numbers of tokens. dtype: `uint16` or `int32`. end: number of the token that ends a
    document, or None."""

    digest: str
    version: str
    vocabulary: int
    dtype: str
    end: int | None
    encoder: Any
    fast: Any = None

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
            for line, ids in zip(batch, self._ids(texts), strict=True):
                own = array(self.kind, ids)
                own.extend(tail)
                yield line, own

    def _ids(self, texts: Sequence[str]) -> Iterator[Sequence[int]]:
        """The numbers of each text's tokens."""
        checked = [text[:_CHECKED_CHARS] for text in texts[::_CHECKED]]
        if self.fast is not None and _agree(self.encoder, self.fast, checked):
            try:
                return _fast(self.fast, texts)
            except ValueError:  # its regular expressions have a bound, and a long run exceeds it
                pass
        return _plain(self.encoder, texts)


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
    fast = _fast_encoder(raw, encoder, end_token)
    version = tokenizers.__version__
    if fast is not None:
        from importlib import metadata

        version += f" (fastokens {metadata.version('fastokens')})"
    size = max(encoder.get_vocab(with_added_tokens=True).values(), default=0) + 1
    dtype = "uint16" if size < _UINT16_VOCABULARY else "int32"
    return Tokenizer(stated, version, size, dtype, end, encoder, fast)


def _fast_encoder(raw: bytes, encoder: Any, end_token: str) -> Any:
    """The same tokenizer in fastokens, or None if it does not know its kind or differs."""
    import fastokens

    if encoder.pre_tokenizer is None and getattr(encoder.model, "unk_token", None) is None:
        return None  # what has no token is dropped, and only `tokenizers` merges across the gap
    try:
        fast = fastokens.Tokenizer.from_json_str(raw.decode())
    except ValueError:  # also UnicodeDecodeError
        return None
    fast.no_truncation()
    fast.no_padding()
    return fast if _agree(encoder, fast, [*_HARD, f"a {end_token} b"]) else None


def _agree(encoder: Any, fast: Any, texts: Sequence[str]) -> bool:
    """Whether both make the same tokens of some texts."""
    try:
        pairs = zip(_plain(encoder, texts), _fast(fast, texts), strict=True)
        return all(list(one) == list(other) for one, other in pairs)
    except ValueError:  # of a text that it cannot take
        return False


def _plain(encoder: Any, texts: Sequence[str]) -> Iterator[Sequence[int]]:
    for one in encoder.encode_batch_fast(texts, add_special_tokens=False):
        yield one.ids


def _fast(encoder: Any, texts: Sequence[str]) -> Iterator[Sequence[int]]:
    """Raises ValueError, here and not when it is read, if one of the texts is refused."""
    # Special tokens that a text spells are split as text, as `encode_special_tokens` has it.
    data, ends = encoder.encode_batch_flat(texts, False, True)
    numbers, offsets = array("I", data), array("Q", ends)
    if sys.byteorder == "big":
        numbers.byteswap()
        offsets.byteswap()
    view = memoryview(numbers)
    return (view[begin:end] for begin, end in pairwise(offsets))


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
