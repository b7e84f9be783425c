# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The blocks of docs/reference/metrics.md, from the table of metrics; see generate.py."""

from generate import _table

from bastide.core.metric_rules import ALERTS, RECORDINGS
from bastide.core.metrics import METRICS, SCHEMA_URL

__all__ = ["alert_table", "metric_conventions", "metric_table", "recorded_table"]


def metric_table() -> str:
    """Every metric with its kind, labels and meaning."""
    rows = [
        [
            f"`{row.exposed}`",
            str(row.kind),
            ", ".join(f"`{name.replace('.', '_')}`" for name in row.labels) or "-",
            row.help,
        ]
        for row in METRICS
    ]
    return _table(["metric", "kind", "labels besides `process`", "meaning"], rows)


def metric_conventions() -> str:
    """The names that are OpenTelemetry's, with the buckets of each histogram."""
    rows = [
        [
            f"`{row.exposed}`",
            f"`{row.name}`" if "." in row.name else "-",
            ", ".join(map(str, row.buckets)),
        ]
        for row in METRICS
        if row.buckets
    ]
    table = _table(["histogram", "OpenTelemetry", "buckets, in seconds"], rows)
    return f"Schema: `{SCHEMA_URL}`.\n\n{table}"


def recorded_table() -> str:
    """Every series that the rules record, with its expression."""
    rows = [[f"`{row.name}`", f"`{row.expr}`"] for row in RECORDINGS]
    return _table(["recorded", "expression"], rows)


def alert_table() -> str:
    """Every alert; its words without the marks of Prometheus' templates."""
    return _table(
        ["alert", "how soon", "expression, and for how long", "then"],
        [
            [f"`{row.name}`", str(row.severity), f"`{row.expr}`, {row.lasts}", row.then]
            for rows in ALERTS.values()
            for row in rows
        ],
    )
