# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The forms of `bastide corpus export`: a name, and the function that writes it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bastide.app.corpus_export import Export
from bastide.app.corpus_export_croissant import export_croissant
from bastide.app.corpus_export_jsonl import export_jsonl
from bastide.app.corpus_export_megatron import export_megatron
from bastide.app.corpus_export_openeurollm import export_openeurollm
from bastide.app.corpus_export_parquet import export_parquet

__all__ = ["FORMS", "TOKENIZED"]

FORMS: Final[Mapping[str, Callable[[Export], list[Path]]]] = MappingProxyType(
    {
        "jsonl": export_jsonl,
        "parquet": export_parquet,
        "croissant": export_croissant,
        "openeurollm": export_openeurollm,
        "megatron": export_megatron,
    }
)
TOKENIZED: Final = frozenset({"megatron"})
