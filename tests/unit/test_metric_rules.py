# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Rules and board name only metrics and labels of the table, and leave no metric out."""

import json
import re
from pathlib import Path

import pytest

from bastide.adapters.clock.fixed import FixedClock
from bastide.app.cosigning import Cosigning
from bastide.app.metric_files import metric_file
from bastide.core import metric_rules
from bastide.core.errors import NotFound
from bastide.core.metric_board import BOARD, VARIABLES
from bastide.core.metric_rules import ALERTS, RECORDINGS, Alert
from bastide.core.metrics import METRICS, Kind

ROOT = Path(__file__).parents[2]
VECTOR = (ROOT / "tests" / "vectors" / "prometheus" / "alerts.test.yml").read_text()
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
GUIDE = (ROOT / "docs" / "guides" / "watching.md").read_text()
COMMANDS = set((ROOT / "docs" / "reference" / "commands.md").read_text().splitlines(keepends=True))
EVERY_ALERT = [row for rows in ALERTS.values() for row in rows]
QUERIES = [query for panels in BOARD.values() for panel in panels for query in panel.queries]
EXPRESSIONS = [
    *(row.expr for row in RECORDINGS),
    *(row.expr for row in EVERY_ALERT),
    *(row.expr for row in QUERIES),
]
RECORDED = {row.name: row.expr for row in RECORDINGS}


def exposed() -> dict[str, set[str]]:
    """What Prometheus stores of the table, and the labels of each."""
    found = {}
    for row in METRICS:
        labels = {name.replace(".", "_") for name in row.labels} | {"process"}
        found[row.exposed] = labels
        if row.kind is Kind.HISTOGRAM:
            for part in ("bucket", "sum", "count"):
                found[f"{row.exposed}_{part}"] = labels | {"le"}
    return found


def named(expr: str) -> set[str]:
    return set(re.findall(r"\b(?:bastide|gen_ai_server)[_:][\w:]+", expr))


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_there_are(expr: str) -> None:
    names = named(expr)
    assert names <= exposed().keys() | RECORDED.keys()
    known: set[str] = set()
    for name in names:
        known |= exposed().get(name) or labels_of(RECORDED[name])
    used = set(re.findall(r"(\w+)=~?\"", expr))
    for clause in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr):
        used |= {one.strip() for one in clause.split(",")}
    assert used <= known


def labels_of(expr: str) -> set[str]:
    """What a recorded series is summed by."""
    clauses = re.findall(r"\bby \(([^)]*)\)", expr)
    return {one.strip() for clause in clauses for one in clause.split(",")}


def test_every_metric_is_on_the_board_or_in_a_rule() -> None:
    seen = {name for expr in EXPRESSIONS for name in named(expr)}
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in seen}
    assert {row.exposed for row in METRICS} - seen - stems == set()


def test_every_recorded_series_is_used() -> None:
    used = {name for row in (*EVERY_ALERT, *QUERIES) for name in named(row.expr)}
    assert RECORDED.keys() <= used


def test_each_alert_has_a_moment_to_fire_and_one_to_be_quiet() -> None:
    cases = re.findall(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:( \[\])?", VECTOR)
    fires = {name for name, quiet in cases if not quiet}
    quiet = {name for name, quiet in cases if quiet}
    assert fires == quiet == {row.name for row in EVERY_ALERT}


def test_the_reference_has_every_alert_and_the_guide_no_other() -> None:
    for row in EVERY_ALERT:
        assert f"| `{row.name}` | {row.severity} |" in PAGE
    told = set(re.findall(r"`(Bastide[A-Z]\w+)`", GUIDE))
    critical = {row.name for row in EVERY_ALERT if row.severity == "critical"}
    assert told == critical


@pytest.mark.parametrize("alert", EVERY_ALERT, ids=lambda row: row.name)
def test_what_an_alert_tells_to_do_can_be_done(alert: Alert) -> None:
    for first, second in re.findall(r"bastide ([a-z-]+)(?: ([a-z-]+))?", alert.then):
        assert {f"## bastide {first}\n", f"## bastide {first} {second}\n"} & COMMANDS
    assert metric_rules.Severity(alert.severity) and alert.then and alert.summary


def test_the_board_is_what_grafana_imports() -> None:
    name, text = metric_file("dashboard")
    made = json.loads(text)
    assert name.endswith(".json") and made["schemaVersion"] == 39
    idents = [panel["id"] for panel in made["panels"]]
    assert len(set(idents)) == len(idents)
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        here = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not here & taken and max(x for x, _ in here) < 24
        taken |= here
    assert [row["name"] for row in made["templating"]["list"]] == ["datasource", *VARIABLES]
    asked = {name for query in QUERIES for name in re.findall(r"\$(\w+)", query.expr)}
    assert asked == VARIABLES.keys()


def test_a_file_that_there_is_not() -> None:
    with pytest.raises(NotFound):
        metric_file("other")


def test_a_witness_that_refuses_is_behind_even_if_it_has_cosigned_all() -> None:
    urls = {"guardian": "", "firm": ""}
    cosigning = Cosigning(None, None, urls, lambda *_: (0, b""), FixedClock())  # type: ignore[arg-type]
    cosigning._shown, cosigning.cosigned = 12, {"guardian": 12, "firm": 9}
    cosigning.problems["guardian"] = "it refused"
    told = {labels: value for _, labels, value in cosigning.samples()}
    assert told == {("guardian",): 1, ("firm",): 3}
