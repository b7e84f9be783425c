# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The board: which figures an operator sees, in which order.

Expressions are made of the table of metrics and of the recorded series (core/metric_rules.py).
``$tenant`` and ``$model`` stand for what is chosen above the board; both may be everything.
"""

from dataclasses import dataclass
from typing import Final

from bastide.core import metric_rules as r
from bastide.core import metrics as m

__all__ = ["BOARD", "VARIABLES", "Panel", "Query"]

VARIABLES: Final = {"tenant": m.ANSWERS, "model": m.ANSWERS}
"""What can be chosen, and whose series have the choices."""

_MODEL: Final = m.RESPONSE_MODEL.replace(".", "_")
_WHOSE: Final = '{tenant=~"$tenant",model=~"$model"}'
_OUT: Final = '{direction="output",tenant=~"$tenant",model=~"$model"}'
_OF: Final = '{model=~"$model"}'
_TENANT: Final = '{tenant=~"$tenant"}'
_FIRST: Final = f'{{{_MODEL}=~"$model"}}'


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its series are called (Grafana's ``{{label}}``)."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `unit` is Grafana's; `number`: the last value, not a course."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    number: bool = False


def _panel(title: str, unit: str, *queries: tuple[str, str], number: bool = False) -> Panel:
    return Panel(title, unit, tuple(Query(*one) for one in queries), number)


def _quantile(part: float, metric: m.Metric, by: str, where: str = "") -> str:
    inner = f"sum by (le, {by}) (rate({metric.exposed}_bucket{where}[5m]))"
    return f"histogram_quantile({part}, {inner})"


_STATE: Final = (
    _panel("Processes that answer", "none", (f"sum({m.UP.exposed})", ""), number=True),
    _panel(
        "Processes that do not",
        "none",
        (f"count({m.UP.exposed} == 0) or vector(0)", ""),
        number=True,
    ),
    _panel("Engines that can answer", "none", (f"sum({m.ENGINE_UP.exposed})", ""), number=True),
    _panel("Emergency", "none", (f"max({m.EMERGENCY.exposed})", ""), number=True),
    _panel("Since control's last word", "s", (f"max({m.SNAPSHOT_AGE.exposed})", ""), number=True),
    _panel(
        "Certificates end in",
        "s",
        (f"min by (certificate) ({m.CERTIFICATE.exposed}) - time()", "{{certificate}}"),
        number=True,
    ),
)

_ANSWERS: Final = (
    _panel(
        "Answers a second", "reqps", (f"sum by (tenant) ({r.ANSWERS.name}{_WHOSE})", "{{tenant}}")
    ),
    _panel(
        "Output tokens a second",
        "none",
        (
            f"sum by (model) ({r.TOKENS.name}{_OUT})",
            "{{model}}",
        ),
    ),
    _panel("Part of answers that failed", "percentunit", (f"{r.FAILED.name}{_OF}", "{{model}}")),
    _panel(
        "First token",
        "s",
        (f"{r.FIRST_P50.name}{_FIRST}", f"half, {{{{{_MODEL}}}}}"),
        (f"{r.FIRST_P99.name}{_FIRST}", f"99 of 100, {{{{{_MODEL}}}}}"),
    ),
    _panel(
        "Each further token, half of the answers",
        "s",
        (_quantile(0.5, m.EACH_TOKEN, _MODEL, _FIRST), f"{{{{{_MODEL}}}}}"),
    ),
    _panel(
        "Whole answers, 99 of 100",
        "s",
        (_quantile(0.99, m.DURATION, _MODEL, _FIRST), f"{{{{{_MODEL}}}}}"),
    ),
    _panel("Refused a second", "reqps", (r.REFUSED.name, "{{status}}")),
    _panel(
        "Guard: decisions a second",
        "none",
        (
            f"sum by (detector, action) (rate({m.GUARD.exposed}{_TENANT}[5m]))",
            "{{detector}} {{action}}",
        ),
    ),
    _panel(
        "Guard: refused of a tenant a second",
        "none",
        (f"{r.GUARD_REFUSED.name}{_TENANT}", "{{tenant}} {{detector}}"),
        (f"{r.GUARD_REFUSED_HOUR.name}{_TENANT}", "in an hour, {{tenant}} {{detector}}"),
    ),
)

_SHARES: Final = (
    _panel(
        "Slots",
        "none",
        (f"sum by (model) ({m.SLOTS.exposed}{_OF})", "all, {{model}}"),
        (f"sum by (model) ({m.SLOTS_FREE.exposed}{_OF})", "free, {{model}}"),
    ),
    _panel(
        "Requests that wait", "none", (f"sum by (model) ({m.WAITING.exposed}{_OF})", "{{model}}")
    ),
    _panel(
        "Capacity",
        "none",
        (f"sum by (model) ({m.CAPACITY.exposed}{_OF})", "{{model}}"),
    ),
    _panel(
        "Promised and given",
        "none",
        (f"sum by (tenant) ({m.GUARANTEED.exposed}{_WHOSE})", "promised, {{tenant}}"),
        (f"sum by (tenant) ({m.USED.exposed}{_WHOSE})", "given, {{tenant}}"),
        (f"sum by (tenant) ({m.BORROWED.exposed}{_WHOSE})", "borrowed, {{tenant}}"),
    ),
    _panel(
        "Promised work waits", "percentunit", (f"{r.STARVED.name}{_WHOSE}", "{{tenant}} {{model}}")
    ),
    _panel(
        "Refused by the queue a second",
        "reqps",
        (f"sum by (tenant) (rate({m.SHARE_REFUSED.exposed}{_WHOSE}[5m]))", "{{tenant}}"),
    ),
)

_MONEY: Final = (
    _panel("Cost in an hour", "currencyEUR", (f"{r.COST.name}{_TENANT}", "{{tenant}}")),
    _panel(
        "Budgets used",
        "percentunit",
        (
            f"max by (tenant, unit, per) ({m.BUDGET_USED.exposed}{_TENANT})",
            "{{tenant}} {{unit}} a {{per}}",
        ),
    ),
    _panel(
        "Budgets used at their end, if it goes on so",
        "percentunit",
        (f"clamp_min({r.BURN.name}{_TENANT}, 0)", "{{tenant}} {{unit}} a {{per}}"),
    ),
    _panel(
        "Budgets over a limit",
        "none",
        (f"sum by (tenant) ({m.BUDGET_SOFT.exposed}{_TENANT})", "soft, {{tenant}}"),
        (f"sum by (tenant) ({m.BUDGET_HARD.exposed}{_TENANT})", "used up, {{tenant}}"),
    ),
)

_EVIDENCE: Final = (
    _panel("Entries of the ledger", "none", (f"max({m.ENTRIES.exposed})", "")),
    _panel(
        "Receipts a second",
        "reqps",
        (f"sum(rate({m.RECEIPTS.exposed}[5m]))", "durable"),
        (f"sum(rate({m.RECEIPTS_REFUSED.exposed}[5m]))", "refused"),
    ),
    _panel("Receipts that are not sealed", "none", (f"sum({m.RECEIPTS_PENDING.exposed})", "")),
    _panel("A group of receipts is durable after, 99 of 100", "s", (r.FSYNC_P99.name, "")),
    _panel("Since the ledger grew", "s", (f"max({m.HEAD_AGE.exposed})", "")),
    _panel(
        "Witnesses behind, entries",
        "none",
        (f"max by (party) ({m.WITNESS_BEHIND.exposed})", "{{party}}"),
    ),
    _panel("Refusals of gates", "none", (f"max({m.DENIALS.exposed})", "")),
)

_MACHINE: Final = (
    _panel("Processors", "none", (f"sum by (process) (rate({m.CPU.exposed}[5m]))", "{{process}}")),
    _panel("Memory", "bytes", (f"sum by (process) ({m.MEMORY.exposed})", "{{process}}")),
    _panel("Connections", "none", (f"sum by (process) ({m.CONNECTIONS.exposed})", "{{process}}")),
    _panel("Requests inside", "none", (f"sum by (model) ({m.INSIDE.exposed}{_OF})", "{{model}}")),
    _panel(
        "Starts in ten minutes",
        "none",
        (f"sum by (child) (increase({m.RESTARTS.exposed}[10m]))", "{{child}}"),
        (f"sum by (model) (increase({m.ENGINE_LOADS.exposed}{_OF}[10m]))", "engine of {{model}}"),
    ),
    _panel(
        "Batches",
        "none",
        (f"sum({m.BATCHES_WAITING.exposed})", "wait"),
        (f"sum({m.BATCHES_RUNNING.exposed})", "run"),
    ),
)

BOARD: Final = {
    "Now": _STATE,
    "Answers": _ANSWERS,
    "Shares": _SHARES,
    "Budgets": _MONEY,
    "Evidence": _EVIDENCE,
    "Machine": _MACHINE,
}
