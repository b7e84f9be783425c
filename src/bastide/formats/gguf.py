# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""GGUF version 3, little-endian (ggml's docs/gguf.md): the header is checked, nothing is loaded.

What `inspect` lets pass:
1. The header is sound: magic, version, counts, types and lengths within bounds, no key or tensor
   twice (gguf_header.py).
2. The tensors lie one after the other from the start of the data to the end of the file, and
   nothing else is in the file (gguf_layout.py).
3. The architecture is known, its settings are in range and agree with each other, and every
   tensor has a known name and the shape that the settings imply (gguf_model.py).
4. The tokenizer's lists are equally long and every special token is in them (gguf_tokenizer.py).

llama.cpp aborts, or worse, on many files that break one of these rules.
"""

from bastide.formats import identify
from bastide.formats.faults import Faults
from bastide.formats.gguf_header import Header, read_header
from bastide.formats.gguf_layout import check_layout
from bastide.formats.gguf_model import check_model
from bastide.formats.gguf_tokenizer import check_tokenizer, templates
from bastide.formats.summary import Source, Summary

__all__ = ["inspect"]


def inspect(source: Source) -> Summary:
    """Check a GGUF file and say what it is. Raises Refused with every reason."""
    faults = Faults("a GGUF file")
    found = identify.identify(source)
    if found.name != "gguf":
        raise faults.fatal(f"it is {found.title}, not GGUF")
    header = read_header(source, faults)
    check_layout(header, source, faults)
    vocabulary = check_tokenizer(header, faults)
    model = check_model(header, vocabulary, faults)
    template, further = templates(header, faults)
    if faults:
        raise faults.refusal()
    return Summary(
        format="gguf",
        architecture=model.architecture,
        parameters=sum(tensor.items for tensor in header.tensors),
        context_tokens=model.context_tokens,
        vocabulary=vocabulary,
        licence=_text(header, "general.license"),
        template=template,
        further_templates=further,
        notes=_notes(header),
    )


def _text(header: Header, key: str) -> str | None:
    entry = header.metadata.get(key)
    return entry.value if entry and isinstance(entry.value, str) else None


def _notes(header: Header) -> tuple[str, ...]:
    """What the file claims about itself; nothing checks it."""
    claims = ("general.name", "general.quantized_by", "general.source.url", "tokenizer.ggml.pre")
    found = ((key, _text(header, key)) for key in claims)
    return tuple(f"{key} says {text[:120]!r}" for key, text in found if text)
