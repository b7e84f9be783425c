# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The blocks of docs/reference/metrics.md, from the table of metrics; see generate.py."""

from generate import _table

from bastide.core.metrics import METRICS, SCHEMA_URL

__all__ = ["metric_conventions", "metric_table"]


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
