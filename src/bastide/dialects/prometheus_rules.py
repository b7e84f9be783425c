# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Prometheus' file of rules: recorded series and alerts.

Source: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/ and
alerting_rules/. The file is YAML; every text is written as JSON writes it, which YAML reads alike.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from bastide.core.metric_rules import Alert, Recording

__all__ = ["write_rules"]


def write_rules(recordings: Sequence[Recording], alerts: Mapping[str, Sequence[Alert]]) -> str:
    """The whole file: one group that records, and one for each kind of alert."""
    return "".join(f"{line}\n" for line in _lines(recordings, alerts))


def _lines(recordings: Sequence[Recording], alerts: Mapping[str, Sequence[Alert]]) -> Iterator[str]:
    yield "groups:"
    yield "  - name: bastide-recorded"
    yield "    rules:"
    for rule in recordings:
        yield f"      - record: {rule.name}"
        yield f"        expr: {_text(rule.expr)}"
    for group, rows in alerts.items():
        yield f"  - name: bastide-{group}"
        yield "    rules:"
        for row in rows:
            yield f"      - alert: {row.name}"
            yield f"        expr: {_text(row.expr)}"
            yield f"        for: {row.lasts}"
            yield "        labels:"
            yield f"          severity: {row.severity}"
            yield "        annotations:"
            yield f"          summary: {_text(row.summary)}"
            yield f"          description: {_text(row.then)}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
