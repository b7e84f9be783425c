# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The tokenizer inside a GGUF file: lists of one length, special tokens that are in them."""

import struct
from typing import Final

from bastide.core import limits
from bastide.formats.faults import Faults
from bastide.formats.gguf_header import (
    ARRAY,
    FLOAT32,
    INT32,
    STRING,
    UINT32,
    Array,
    Header,
)
from bastide.formats.summary import TEMPLATE_NAME

__all__ = ["check_tokenizer", "templates"]

_PREFIX: Final = "tokenizer.ggml."
_TEMPLATE: Final = "tokenizer.chat_template"
_TOKEN_TYPES: Final = range(7)  # llama.h: UNDEFINED, NORMAL, UNKNOWN, CONTROL ... BYTE

# Tokenizers that need nothing but these lists: SentencePiece pieces, byte pairs with merges, or
# WordPiece, which needs only the tokens.
_NEEDS: Final = {"llama": ("scores", FLOAT32), "gpt2": ("merges", STRING), "bert": None}

# The token numbers that llama.cpp takes for WordPiece where the file names none.
_WORDPIECE: Final = {
    "bos_token_id": 101,
    "unknown_token_id": 100,
    "seperator_token_id": 102,
    "padding_token_id": 0,
    "mask_token_id": 103,
}


def check_tokenizer(header: Header, faults: Faults) -> int:
    """Check the tokenizer; returns the size of its vocabulary, 0 if that is not known."""
    tokens = _array(header, "tokens", STRING, faults)
    if tokens is None:
        faults.add(f"{_PREFIX}tokens is missing")
        return 0
    if not 0 < tokens.count <= limits.VOCABULARY_MAX:
        faults.add(f"a vocabulary of {tokens.count} is not in 1..{limits.VOCABULARY_MAX}")
        return 0
    entry = header.metadata.get(_PREFIX + "model")
    model = entry.value if entry and entry.kind == STRING else None
    if model not in _NEEDS:
        faults.add(f"the tokenizer {model!r} is not one of {', '.join(sorted(_NEEDS))}")
    elif needed := _NEEDS[model]:
        name, item = needed
        if _array(header, name, item, faults) is None:
            faults.add(f"{_PREFIX}{name} is missing")
    else:
        _check_wordpiece(header, tokens.count, faults)
    for name, item in (("scores", FLOAT32), ("token_type", INT32)):
        items = _array(header, name, item, faults)
        if items and items.count != tokens.count:
            faults.add(f"{_PREFIX}{name} has {items.count} items for {tokens.count} tokens")
    _check_types(header, faults)
    _check_special(header, tokens.count, faults)
    return tokens.count


def templates(header: Header, faults: Faults) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """The chat template, and the further ones by name."""
    main, further = None, []
    for key, entry in header.metadata.items():
        if key != _TEMPLATE and not key.startswith(_TEMPLATE + "."):
            continue
        if entry.kind != STRING or len(entry.value.encode()) > limits.TEMPLATE_BYTES_MAX:
            faults.add(f"{key} is not a text of at most {limits.TEMPLATE_BYTES_MAX} bytes")
        elif key == _TEMPLATE:
            main = entry.value
        elif not TEMPLATE_NAME.fullmatch(key.removeprefix(_TEMPLATE + ".")):
            faults.add(f"{key} is not a name for a chat template")
        else:
            further.append((key.removeprefix(_TEMPLATE + "."), entry.value))
    if len(further) >= limits.TEMPLATES_MAX:
        faults.add(f"there are more than {limits.TEMPLATES_MAX} chat templates")
    return main, tuple(further)


def _array(header: Header, name: str, item: int, faults: Faults) -> Array | None:
    entry = header.metadata.get(_PREFIX + name)
    if entry is None:
        return None
    if entry.kind != ARRAY or entry.value.item != item:
        faults.add(f"{_PREFIX}{name} is not an array of the right type")
        return None
    return entry.value


def _numbers(header: Header, array: Array, form: str) -> tuple[int, ...]:
    return struct.unpack_from(f"<{array.count}{form}", header.buffer, array.start)


def _check_wordpiece(header: Header, vocabulary: int, faults: Faults) -> None:
    """Every special token that llama.cpp assumes must be in the list: it looks them up blindly."""
    for key, assumed in _WORDPIECE.items():
        if _PREFIX + key not in header.metadata and assumed >= vocabulary:
            faults.add(f"{_PREFIX}{key} is missing, and {assumed} is beyond the vocabulary")


def _check_types(header: Header, faults: Faults) -> None:
    entry = header.metadata.get(_PREFIX + "token_type")
    if entry is None or entry.kind != ARRAY or entry.value.item != INT32:
        return
    unknown = set(_numbers(header, entry.value, "i")) - set(_TOKEN_TYPES)
    if unknown:
        faults.add(f"{_PREFIX}token_type has the unknown type {min(unknown)}")


def _check_special(header: Header, vocabulary: int, faults: Faults) -> None:
    """Every number that names a token must be below the size of the vocabulary."""
    for key, entry in header.metadata.items():
        if key.endswith("token_id"):
            if entry.kind != UINT32:
                faults.add(f"{key} is not a 32-bit token number")
            elif entry.value >= vocabulary:
                faults.add(f"{key} is {entry.value}, the vocabulary ends at {vocabulary - 1}")
        elif key.endswith("token_ids"):
            array = entry.value if entry.kind == ARRAY else None
            form = {UINT32: "I", INT32: "i"}.get(array.item) if array else None
            if array is None or form is None:
                faults.add(f"{key} is not an array of token numbers")
            elif any(not 0 <= ident < vocabulary for ident in _numbers(header, array, form)):
                faults.add(f"{key} names tokens that the vocabulary lacks")
