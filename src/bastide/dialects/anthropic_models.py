# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Anthropic model list: ``GET /v1/models`` and ``GET /v1/models/{model}``."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from bastide.core.errors import Misconfigured
from bastide.core.snapshot import Served

__all__ = ["encode_model", "encode_models"]

_PAGE: Final = 20
_PAGE_MAX: Final = 1_000
_encode = msgspec.json.Encoder().encode


def encode_models(served: Iterable[Served], environment: str, query: str = "") -> bytes:
    """One page of the list; `query` says which. Raises Misconfigured."""
    asked = parse_qs(query)
    stages = [stage for name in ("lifecycle", "lifecycle[]") for stage in asked.get(name, ())]
    rows = [] if stages and "active" not in stages else list(served)
    page, more = _page(rows, asked)
    return _encode(
        {
            "data": [_row(row) for row in page],
            "has_more": more,
            "first_id": page[0].name if page else None,
            "last_id": page[-1].name if page else None,
        }
    )


def encode_model(served: Served, environment: str) -> bytes:
    """One model."""
    return _encode(_row(served))


def _page(rows: list[Served], asked: dict[str, list[str]]) -> tuple[Sequence[Served], bool]:
    limit = asked.get("limit", [str(_PAGE)])[-1]
    if not (
        limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= _PAGE_MAX
    ):
        raise Misconfigured(f"limit: expected a value from 1 to {_PAGE_MAX}.", place="limit")
    size = int(limit)
    if "before_id" in asked:
        if "after_id" in asked:
            raise Misconfigured("before_id: not allowed together with after_id.", place="before_id")
        end = _index(rows, "before_id", asked["before_id"][-1])
        return rows[max(0, end - size) : end], end > size
    start = _index(rows, "after_id", asked["after_id"][-1]) + 1 if "after_id" in asked else 0
    return rows[start : start + size], len(rows) > start + size


def _index(rows: list[Served], field: str, name: str) -> int:
    for index, row in enumerate(rows):
        if row.name == name:
            return index
    raise Misconfigured(f"{field}: the list has no such model.", place=field)


def _row(served: Served) -> dict[str, Any]:
    created = datetime.fromtimestamp(served.created_s, UTC)
    return {
        "type": "model",
        "id": served.name,
        "display_name": served.name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": served.context_tokens,
        "max_tokens": served.context_tokens,
    }
