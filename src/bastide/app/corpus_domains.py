# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""How much text of a dataset is from which domain, in bounded memory.

The hosts of addresses are counted in a table of bounded size. When it is full it goes to the
sealed store as a sorted run; at the end all runs are merged, so the count is exact however many
hosts there are. A second sort, by size, gives the largest.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bastide.app.corpus_export import raw_lines
from bastide.app.corpus_objects import RunWriter, merged_rows
from bastide.core.dataset import Shard
from bastide.ports import SealingStore

__all__ = ["Domains", "addresses_of", "count_domains", "host_of"]

_NAME: Final = 253  # octets of the longest domain name (RFC 1035)
_COUNT: Final = 8
_WIDTH: Final = _NAME + _COUNT
_TABLE: Final = 100_000  # hosts counted at once
_LISTED: Final = 10_000  # domains in one answer
_MOST: Final = 2**64 - 1


class _Line(msgspec.Struct):
    """What is read of a shard's line."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Domains:
    """`largest`: the top tenth of all hosts by size, largest first, at most 10,000 of them."""

    hosts: int
    bytes: int
    tenth: int
    largest: Sequence[tuple[str, int]]


def host_of(url: str) -> str:
    """The host of a web address in small letters, or nothing if it is none."""
    if not url.startswith(("http://", "https://", "HTTP://", "HTTPS://")):
        return ""
    with suppress(ValueError):
        host = (urlsplit(url).hostname or "").rstrip(".")
        if host and host.isascii() and len(host) <= _NAME and "\0" not in host:
            return host
    return ""


def count_domains(store: SealingStore, folder: str, texts: Iterable[tuple[str, int]]) -> Domains:
    """Count `texts`, each an address and its bytes. What lies in `folder` meanwhile goes again."""
    by_name = RunWriter(store, f"{folder}/hosts", _WIDTH)
    by_size = RunWriter(store, f"{folder}/sizes", _WIDTH)
    try:
        _fill(by_name, texts)
        hosts = total = 0
        for name, size in _summed(store, f"{folder}/hosts", by_name.count):
            by_size.add((_MOST - size).to_bytes(_COUNT, "big") + name)
            hosts, total = hosts + 1, total + size
        tenth = -(-hosts // 10)
        runs = [f"{folder}/sizes-{number}" for number in range(by_size.close())]
        rows = merged_rows(store, runs, _WIDTH, f"{folder}/sizes-merged")
        largest = [
            (row[_COUNT:].rstrip(b"\0").decode(), _MOST - int.from_bytes(row[:_COUNT], "big"))
            for row in islice(rows, min(tenth, _LISTED))
        ]
        return Domains(hosts, total, tenth, largest)
    finally:
        for name in store.names(folder):
            store.delete(name)


def addresses_of(store: SealingStore, shards: Sequence[Shard]) -> Iterator[tuple[str, int]]:
    """The address of every document, with the bytes of its text. Raises NotProven."""
    decode = msgspec.json.Decoder(_Line).decode
    for shard in shards:
        for line in map(decode, raw_lines(store, shard)):
            yield line.url, len(line.text.encode())


def _fill(runs: RunWriter, texts: Iterable[tuple[str, int]]) -> None:
    table: dict[str, int] = {}
    for url, size in texts:
        if not (host := host_of(url)):
            continue
        table[host] = table.get(host, 0) + size
        if len(table) >= _TABLE:
            _spill(runs, table)
    _spill(runs, table)
    runs.close()


def _spill(runs: RunWriter, table: dict[str, int]) -> None:
    for host, size in table.items():
        runs.add(host.encode().ljust(_NAME, b"\0") + size.to_bytes(_COUNT, "big"))
    table.clear()


def _summed(store: SealingStore, name: str, count: int) -> Iterator[tuple[bytes, int]]:
    runs = [f"{name}-{number}" for number in range(count)]
    rows = merged_rows(store, runs, _WIDTH, f"{name}-merged")
    for host, own in groupby(rows, key=lambda row: row[:_NAME]):
        yield host, sum(int.from_bytes(row[_NAME:], "big") for row in own)
