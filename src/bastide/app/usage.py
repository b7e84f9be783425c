# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Use case: what was used, added up from the book of receipts."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.core.billing import Biller
from bastide.core.errors import Misconfigured, Refused
from bastide.core.limits import USAGE_ROWS_MAX
from bastide.core.money import euros
from bastide.core.receipt import Receipt

__all__ = ["COLUMNS", "as_table", "list_usage"]

COLUMNS = (
    "tenant",
    "group",
    "requests",
    "retried",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "total_tokens",
    "eur",
)
_COUNTS = ("requests", "retried", "prompt_tokens", "cached_tokens", "completion_tokens")


def list_usage(
    env: Environment, tenant: str | None, by: str, first: str | None, last: str | None
) -> list[dict[str, Any]]:
    """One row per tenant and day, model, project or key; `eur` is an exact decimal.

    `requests` are receipts that count; `retried` are attempts that a retry replaced, or that failed
    before anything was sent. Raises Misconfigured for what is no day.
    """
    require(env, "read")
    start, end = _day(first, "0000-00-00"), _day(last, "9999-99-99")
    names = _names(env) if by in ("model", "project") else {}
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(_COUNTS) + 1))
    for receipt, change in _counted(env):
        if tenant not in (None, receipt.tenant) or not start <= _day_of(receipt) <= end:
            continue
        row = sums[receipt.tenant, _group(receipt, by, names)]
        if len(sums) > USAGE_ROWS_MAX:
            raise Refused("the table is too long", fix="narrow it by --from and --to")
        for place, amount in enumerate(_amounts(receipt, change)):
            row[place] += amount
    return [
        {
            "tenant": whose,
            "group": group,
            **dict(zip(_COUNTS, row[:-1], strict=True)),
            "total_tokens": row[2] + row[4],
            "eur": euros(row[-1]),
        }
        for (whose, group), row in sorted(sums.items())
    ]


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV (RFC 4180). No cell begins like a formula: names and ids never do."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _counted(env: Environment) -> Iterator[tuple[Receipt, int]]:
    """Each receipt: 1 if it counts, 0 if it never did, -1 where it is taken back."""
    biller = Biller()
    for receipt in env.book.receipts():
        bill = biller.take(receipt)
        yield receipt, int(bill.counts)
        if bill.credited is not None:
            yield bill.credited, -1


def _amounts(receipt: Receipt, change: int) -> tuple[int, ...]:
    return (
        change,
        int(change < 1),
        change * receipt.prompt_tokens,
        change * receipt.cached_tokens,
        change * receipt.completion_tokens,
        change * receipt.cost_picoeur,
    )


def _group(receipt: Receipt, by: str, names: dict[str, str]) -> str:
    match by:
        case "day":
            return _day_of(receipt)
        case "key":
            return receipt.key
        case "model":
            return names.get(receipt.deployment, receipt.deployment)
        case _:
            return names.get(receipt.project, receipt.project)


def _names(env: Environment) -> dict[str, str]:
    """Names for ids of projects, and for digests of deployments."""
    names = {row.body["project"]: row.body["name"] for row in env.ledger.find("project/v1")}
    for row in env.ledger.deployments(active=False):
        names[str(row.subject.digest)] = row.subject.name
    return names


def _day_of(receipt: Receipt) -> str:
    return datetime.fromtimestamp(receipt.time_ms // 1000, UTC).strftime("%Y-%m-%d")


def _day(text: str | None, otherwise: str) -> str:
    if text is None:
        return otherwise
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).strftime("%Y-%m-%d")
    except ValueError as error:
        raise Misconfigured(f"{text!r} is no day", fix="write 2027-01-31") from error
