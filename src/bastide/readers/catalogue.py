# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""READERS: every format that a recipe may name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bastide.readers.hplt import Hplt
from bastide.readers.jsonl import Jsonl
from bastide.readers.openeurollm import OpenEuroLlm
from bastide.readers.parquet import Parquet
from bastide.readers.plain_text import PlainText
from bastide.readers.reader import Reader
from bastide.readers.warc import Warc

__all__ = ["READERS"]

READERS: Final[Mapping[str, type[Reader]]] = MappingProxyType(
    {kind.ident: kind for kind in (Jsonl, Hplt, OpenEuroLlm, Parquet, PlainText, Warc)}
)
