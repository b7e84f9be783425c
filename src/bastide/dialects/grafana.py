# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Grafana's JSON model of a dashboard, as its importer takes it.

Source: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
(schemaVersion 39). Tests check the file by the types of @grafana/schema. The data source is chosen
above the board, so the file names none.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bastide.core.metric_board import Panel
from bastide.core.metrics import Metric

__all__ = ["write_board"]

_SCHEMA: Final = 39
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
_WIDTH, _HEIGHT = 8, 7
_SMALL_WIDTH, _SMALL_HEIGHT = 4, 4


def write_board(board: Mapping[str, Sequence[Panel]], variables: Mapping[str, Metric]) -> str:
    """The whole file."""
    made = {
        "uid": "bastide",
        "title": "Bastide",
        "tags": ["bastide"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [_datasource(), *(_choice(*row) for row in variables.items())]},
        "panels": list(_panels(board)),
    }
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _panels(board: Mapping[str, Sequence[Panel]]) -> Iterator[dict[str, Any]]:
    y = ident = 0
    for title, panels in board.items():
        ident += 1
        place = {"h": 1, "w": _COLUMNS, "x": 0, "y": y}
        row = {"id": ident, "type": "row", "title": title, "collapsed": False}
        yield {**row, "gridPos": place, "panels": []}
        x, y, high = 0, y + 1, 0
        for panel in panels:
            ident += 1
            small = panel.number
            width, height = (_SMALL_WIDTH, _SMALL_HEIGHT) if small else (_WIDTH, _HEIGHT)
            if x + width > _COLUMNS:
                x, y, high = 0, y + high, 0
            yield _panel(ident, panel, {"h": height, "w": width, "x": x, "y": y})
            x, high = x + width, max(high, height)
        y += high


def _panel(ident: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": ident,
        "type": "stat" if panel.number else "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": panel.number,
                "range": not panel.number,
            }
            for number, query in enumerate(panel.queries)
        ],
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "type": "datasource",
        "query": "prometheus",
        "label": "Prometheus",
    }


def _choice(name: str, metric: Metric) -> dict[str, Any]:
    query = f"label_values({metric.exposed}, {name})"
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
