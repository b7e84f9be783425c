# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The files that an operator's Prometheus and Grafana take: made of the tables, for all alike."""

from bastide.core.errors import NotFound
from bastide.core.metric_board import BOARD, VARIABLES
from bastide.core.metric_rules import ALERTS, RECORDINGS
from bastide.dialects.grafana import write_board
from bastide.dialects.prometheus_rules import write_rules

__all__ = ["metric_file"]


def metric_file(what: str) -> tuple[str, str]:
    """A file's name and text. Raises NotFound."""
    if what == "rules":
        return "bastide.rules.yml", write_rules(RECORDINGS, ALERTS)
    if what == "dashboard":
        return "bastide.dashboard.json", write_board(BOARD, VARIABLES)
    raise NotFound(f"there is no file of {what}", fix="rules or dashboard")
