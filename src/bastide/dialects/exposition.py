# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The text format 0.0.4 of Prometheus: samples of several processes to one page.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format). Each
series has the label ``process``, so that two processes' counters never meet in one series: one that
was started again begins at nothing, which `rate` understands, and a sum would not.
"""

from collections.abc import Iterator, Mapping, Sequence

from bastide.core.metrics import BY_NAME, METRICS, Kind, Metric, Sample

__all__ = ["CONTENT_TYPE", "write_page"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def write_page(processes: Mapping[str, Sequence[Sample]]) -> str:
    """All samples, by metric in the table's order. Raises KeyError for a name that is not there."""
    found: dict[str, list[tuple[str, Sample]]] = {row.name: [] for row in METRICS}
    for process, samples in processes.items():
        for one in samples:
            found[one[0]].append((process, one))
    lines: list[str] = []
    for name, rows in found.items():
        if not rows:
            continue
        metric = BY_NAME[name]
        text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {metric.exposed} {text}", f"# TYPE {metric.exposed} {metric.kind}"]
        for process, (_, labels, value) in rows:
            lines += _series(metric, process, labels, value)
    return "".join(f"{line}\n" for line in lines)


def _series(
    metric: Metric,
    process: str,
    labels: Sequence[str],
    value: float | tuple[tuple[int, ...], float],
) -> Iterator[str]:
    names = [name.replace(".", "_") for name in metric.labels]
    pairs = [("process", process), *zip(names, labels, strict=True)]
    told = ",".join(f'{name}="{_escaped(text)}"' for name, text in pairs)
    name = metric.exposed
    if metric.kind is not Kind.HISTOGRAM:
        assert not isinstance(value, tuple)
        yield f"{name}{{{told}}} {_number(value)}"
        return
    assert isinstance(value, tuple)
    counts, total = value
    below = 0
    for bound, count in zip([*map(_number, metric.buckets), "+Inf"], counts, strict=True):
        below += count
        yield f'{name}_bucket{{{told},le="{bound}"}} {below}'
    yield f"{name}_sum{{{told}}} {_number(total)}"
    yield f"{name}_count{{{told}}} {below}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
