# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics: one table of names, nothing beside it, and a page that Prometheus' own parser reads."""

import ast
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bastide.core import metrics
from bastide.core.limits import METRIC_SERIES_MAX
from bastide.core.metrics import (
    ANSWERS,
    COST,
    DURATION,
    FIRST_TOKEN,
    METRICS,
    OTHER,
    UP,
    Histogram,
    Kind,
    Metric,
    Series,
    sample,
)
from bastide.dialects.exposition import write_page

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
LABELS = {
    *("tenant", "model", "operation", "finish", "direction", "detector", "action"),
    *("dialect", "status", "scope", "unit", "per", "child", "party", "certificate"),
    *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.response.model", "error.type"),
}


def constants() -> dict[str, Metric]:
    return {name: row for name, row in vars(metrics).items() if isinstance(row, Metric)}


def test_the_table_has_every_metric_once() -> None:
    assert sorted(row.name for row in METRICS) == sorted(row.name for row in constants().values())
    assert len({row.exposed for row in METRICS}) == len(METRICS)


def test_every_metric_is_told_by_some_process() -> None:
    told = set()
    for path in (ROOT / "src" / "bastide").rglob("*.py"):
        if path.name != "metrics.py" or path.parent.name != "core":
            names = (node.id for node in ast.walk(ast.parse(path.read_text())) if _loads(node))
            told.update(names)
    assert [name for name in constants() if name not in told] == []


def _loads(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def test_the_page_has_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `((?:bastide|gen_ai)_\w+)` \| (\w+) \|", PAGE, re.MULTILINE)
    listed = [row for row in rows if row[1] in list(Kind)]
    assert listed == [(row.exposed, str(row.kind)) for row in METRICS]


def test_the_guide_names_only_what_there_is() -> None:
    guide = (ROOT / "docs" / "guides" / "watching.md").read_text()
    named = set(re.findall(r"\b(?:bastide|gen_ai_server)_\w+", guide))
    exposed = {row.exposed for row in METRICS}
    assert len(named) > 10
    assert {name.removesuffix("_bucket") for name in named} <= exposed


@pytest.mark.parametrize("metric", METRICS, ids=lambda row: row.exposed)
def test_names_and_labels_obey_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"(bastide|gen_ai)_[a-z_]+", metric.exposed)
    assert metric.exposed.endswith("_total") is (metric.kind is Kind.COUNTER)
    assert set(metric.labels) <= LABELS  # never a key, a user, an address, a prompt
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
    assert metric.unit in metric.exposed


def test_the_names_and_buckets_of_the_conventions() -> None:
    # semantic-conventions-genai 0.1.0, gen-ai-metrics: copied, so that a slip of ours shows.
    golden = {
        "gen_ai_server_request_duration_seconds": (
            "0.01 0.02 0.04 0.08 0.16 0.32 0.64 1.28 2.56 5.12 10.24 20.48 40.96 81.92"
        ),
        "gen_ai_server_time_to_first_token_seconds": (
            "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0"
        ),
        "gen_ai_server_time_per_output_token_seconds": (
            "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5"
        ),
    }
    ours = {
        row.exposed: " ".join(map(str, row.buckets)) for row in METRICS if row.name[:6] == "gen_ai"
    }
    assert ours == golden


def test_what_is_written_is_what_prometheus_reads() -> None:
    nasty = 'a "b" \\n \\ c\nd = {e="f"} 1'
    histogram = Histogram(FIRST_TOKEN.buckets)
    for value in (0.001, 0.03, 0.2, 99.0):
        histogram.observe(value)
    page = write_page(
        {
            "gateway": [
                sample(ANSWERS, 7, nasty, "m", "chat", "stop"),
                sample(COST, 1.5e-07, nasty, "m"),
                (FIRST_TOKEN.name, ("chat", "bastide", nasty), histogram.value),
            ],
            "gateway-2": [sample(ANSWERS, 3, nasty, "m", "chat", "stop"), sample(UP, 1)],
        }
    )
    families = {row.name: row for row in text_string_to_metric_families(page)}
    answers = families["bastide_answers"]
    assert answers.type == "counter"
    assert answers.documentation == ANSWERS.help
    assert [
        (row.labels["process"], row.labels["tenant"], row.value) for row in answers.samples
    ] == [
        ("gateway", nasty, 7),
        ("gateway-2", nasty, 3),
    ]
    assert families["bastide_cost_euros"].samples[0].value == 1.5e-07
    first = families["gen_ai_server_time_to_first_token_seconds"]
    assert first.type == "histogram"
    values = {
        (row.name.rpartition("_")[2], row.labels.get("le")): row.value for row in first.samples
    }
    assert values["bucket", "0.001"] == 1  # a bound belongs to its bucket
    assert values["bucket", "0.04"] == 2
    assert values["bucket", "10.0"] == 3
    assert values["bucket", "+Inf"] == values["count", None] == 4
    assert values["sum", None] == pytest.approx(99.231)


def test_a_name_that_is_not_in_the_table_is_not_written() -> None:
    with pytest.raises(KeyError):
        write_page({"gateway": [("bastide_made_up_total", (), 1)]})


def test_series_are_bounded() -> None:
    counters, histograms = Series(COST), Series(DURATION)
    for number in range(METRIC_SERIES_MAX + 50):
        counters.add(1, f"tenant-{number}", "m")
        histograms.histogram("chat", "bastide", f"m-{number}", "").observe(1)
    rows = {labels: value for _, labels, value in counters.samples()}
    assert len(rows) == METRIC_SERIES_MAX + 1
    assert rows[OTHER, OTHER] == 50
    assert len(list(histograms.samples())) == METRIC_SERIES_MAX + 1
