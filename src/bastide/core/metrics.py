# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics: every name that this product measures under, and what a process counts with.

The table METRICS is the one place of names: what is not in it cannot be written, because a sample
is made of a row. Names that begin with ``gen_ai.`` are those of the OpenTelemetry semantic
conventions for generative AI (0.1.0, status Development; SCHEMA_URL), the others are ours. Labels
are few and bounded: tenants and models come from the ledger, the others from tables of the code.
No label is ever a prompt, an answer, a key or its id, an address or what a client calls itself.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bastide.core.limits import METRIC_SERIES_MAX

__all__ = ["BY_NAME", "METRICS", "Histogram", "Kind", "Metric", "Sample", "Series", "sample"]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.45.0"
PROVIDER: Final = "bastide"
# The attributes that label our series, as OpenTelemetry names them.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
RESPONSE_MODEL: Final = "gen_ai.response.model"
ERROR_TYPE: Final = "error.type"  # empty if there was none

OTHER: Final = "_other"  # stands for every label of a series that came when there were too many

# Buckets in seconds; the first three as the conventions advise.
_DURATION: Final = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
_FIRST: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_EACH: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_COMMIT: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Kind(StrEnum):
    """What a metric is, in the words of the text format."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. `unit` is a base unit of Prometheus, or empty for a number."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def exposed(self) -> str:
        """The name as Prometheus writes it."""
        if "." not in self.name:
            return self.name
        return f"{self.name.replace('.', '_')}_{self.unit}"


Sample = tuple[str, tuple[str, ...], float | tuple[tuple[int, ...], float]]
"""A metric's name, the values of its labels, and its value: of a histogram how many fell into each
bucket and beyond the last, and their sum."""


def _counter(name: str, unit: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name, Kind.COUNTER, unit, labels, text)


def _gauge(name: str, unit: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name, Kind.GAUGE, unit, labels, text)


def _histogram(name: str, labels: tuple[str, ...], text: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name, Kind.HISTOGRAM, "seconds", labels, text, buckets)


_CALL: Final = (OPERATION, PROVIDER_NAME, RESPONSE_MODEL)
_SHARE: Final = ("tenant", "model")
_BUDGET: Final = ("tenant", "scope", "unit", "per")

# Answers: counted where the receipt is made.
DURATION: Final = _histogram(
    "gen_ai.server.request.duration",
    (*_CALL, ERROR_TYPE),
    "From a request that was let in to its receipt, in the gateway or the desk.",
    _DURATION,
)
FIRST_TOKEN: Final = _histogram(
    "gen_ai.server.time_to_first_token",
    _CALL,
    "From a request's coming to the runner to the first piece of its answer; waiting counts.",
    _FIRST,
)
EACH_TOKEN: Final = _histogram(
    "gen_ai.server.time_per_output_token",
    _CALL,
    "Mean time of one answer's tokens after its first.",
    _EACH,
)
ANSWERS: Final = _counter(
    "bastide_answers_total",
    "",
    ("tenant", "model", "operation", "finish"),
    "Receipts made, by how the answer ended.",
)
TOKENS: Final = _counter(
    "bastide_tokens_total",
    "",
    ("tenant", "model", "direction"),
    "Tokens on receipts: input, of them cached, and output. Credits of retries are not deducted.",
)
COST: Final = _counter(
    "bastide_cost_euros_total", "euros", ("tenant", "model"), "Cost on receipts, by the price list."
)
GUARD: Final = _counter(
    "bastide_guard_decisions_total",
    "",
    ("tenant", "direction", "detector", "action"),
    "What the guard found and did, as the receipts state it.",
)
REFUSALS: Final = _counter(
    "bastide_refusals_total",
    "",
    ("dialect", "status"),
    "Requests that were answered by an error, by HTTP status.",
)

# The gateway.
CONNECTIONS: Final = _gauge("bastide_connections", "", (), "Connections of clients that are open.")
INSIDE: Final = _gauge(
    "bastide_requests_inside", "", ("model",), "Requests on their way to an engine, or waiting."
)
SNAPSHOT_AGE: Final = _gauge(
    "bastide_snapshot_age_seconds",
    "seconds",
    (),
    "Since control's last word; at 5 s everything is refused.",
)

# The runner.
SLOTS: Final = _gauge("bastide_slots", "", ("model",), "Answers that the engine computes at once.")
SLOTS_FREE: Final = _gauge("bastide_slots_free", "", ("model",), "Slots that nobody uses.")
WAITING: Final = _gauge("bastide_queue_waiting", "", ("model",), "Requests that wait for a slot.")
ENGINE_UP: Final = _gauge("bastide_engine_up", "", ("model",), "1 while the engine can answer.")
ENGINE_LOADS: Final = _counter(
    "bastide_engine_loads_total", "", ("model",), "Times that the engine was proven and loaded."
)
CAPACITY: Final = _gauge(
    "bastide_engine_capacity_units_per_second",
    "",
    ("model",),
    "What the engine does when it is full; absent until it was.",
)
GUARANTEED: Final = _gauge(
    "bastide_share_guaranteed_units_per_second", "", _SHARE, "What a tenant is promised."
)
USED: Final = _gauge(
    "bastide_share_used_units_per_second",
    "",
    _SHARE,
    "What it got under its promise, in the last share minute.",
)
BORROWED: Final = _gauge(
    "bastide_share_borrowed_units_per_second",
    "",
    _SHARE,
    "What it got beyond its promise, in the last share minute.",
)
STARVED: Final = _counter(
    "bastide_share_starved_seconds_total",
    "seconds",
    _SHARE,
    "Time in which something that was due waited, by share minutes.",
)
SHARE_REFUSED: Final = _counter(
    "bastide_share_refused_total", "", _SHARE, "Requests that the queue refused, by share minutes."
)

# Control.
ENTRIES: Final = _gauge("bastide_ledger_entries", "", (), "Entries of the ledger.")
HEAD_AGE: Final = _gauge(
    "bastide_ledger_head_age_seconds", "seconds", (), "Since control last saw the ledger grow."
)
FSYNC: Final = _histogram(
    "bastide_ledger_fsync_seconds",
    (),
    "Time to make one group of receipts durable.",
    _COMMIT,
)
RECEIPTS: Final = _counter("bastide_receipts_total", "", (), "Receipts made durable.")
RECEIPTS_REFUSED: Final = _counter(
    "bastide_receipts_refused_total", "", (), "Receipts that could not be made durable."
)
RECEIPTS_PENDING: Final = _gauge(
    "bastide_receipts_pending", "", (), "Durable receipts that are not yet sealed into the ledger."
)
DENIALS: Final = _counter(
    "bastide_gate_denials_total", "", (), "Refusals of gates that the ledger holds, of all time."
)
EMERGENCY: Final = _gauge(
    "bastide_break_glass_open", "", (), "1 while an emergency is open (bastide break-glass ls)."
)
WITNESS_BEHIND: Final = _gauge(
    "bastide_witness_behind_entries",
    "entries",
    ("party",),
    "Entries of the newest head that a witness was shown and has not cosigned; 0 is well.",
)
BUDGET_USED: Final = _gauge(
    "bastide_budget_used_ratio",
    "ratio",
    _BUDGET,
    "Used of a budget in its day or month; of several alike, the one nearest its end.",
)
BUDGET_SOFT: Final = _gauge(
    "bastide_budget_soft_exceeded",
    "",
    _BUDGET,
    "Budgets at or over their soft limit.",
)
BUDGET_HARD: Final = _gauge(
    "bastide_budget_hard_exceeded", "", _BUDGET, "Budgets that are used up."
)

# The desk.
BATCHES_WAITING: Final = _gauge("bastide_batches_waiting", "", (), "Batches that wait.")
BATCHES_RUNNING: Final = _gauge("bastide_batches_running", "", (), "Batches that run.")

# Every process.
UP: Final = _gauge("bastide_process_up", "", (), "1 if the process answered this scrape.")
CPU: Final = _counter(
    "bastide_process_cpu_seconds_total", "seconds", (), "Processor time of the process."
)
MEMORY: Final = _gauge(
    "bastide_process_resident_memory_bytes", "bytes", (), "Memory of the process."
)
CERTIFICATE: Final = _gauge(
    "bastide_certificate_ends_timestamp_seconds",
    "seconds",
    ("certificate",),
    "When the gateway's certificate (server) and that of its authority end, in Unix time.",
)
RESTARTS: Final = _counter(
    "bastide_process_restarts_total",
    "",
    ("child",),
    "Times that the supervisor started an ended process again.",
)

METRICS: Final = (
    *(DURATION, FIRST_TOKEN, EACH_TOKEN, ANSWERS, TOKENS, COST, GUARD, REFUSALS),
    *(CONNECTIONS, INSIDE, SNAPSHOT_AGE),
    *(SLOTS, SLOTS_FREE, WAITING, ENGINE_UP, ENGINE_LOADS, CAPACITY),
    *(GUARANTEED, USED, BORROWED, STARVED, SHARE_REFUSED),
    *(ENTRIES, HEAD_AGE, FSYNC, RECEIPTS, RECEIPTS_REFUSED, RECEIPTS_PENDING, DENIALS),
    *(EMERGENCY, WITNESS_BEHIND),
    *(BUDGET_USED, BUDGET_SOFT, BUDGET_HARD),
    *(BATCHES_WAITING, BATCHES_RUNNING, UP, CPU, MEMORY, CERTIFICATE, RESTARTS),
)
BY_NAME: Final = {row.name: row for row in METRICS}


class Histogram:
    """How many observations fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def value(self) -> tuple[tuple[int, ...], float]:
        """As a sample has it."""
        return tuple(self._counts), self._sum


class Series:
    """One metric's series: counters by the values of their labels, or histograms.

    There are at most METRIC_SERIES_MAX; what comes later is counted together, under OTHER.
    """

    __slots__ = ("_histograms", "_metric", "_numbers")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._numbers: dict[tuple[str, ...], float] = {}
        self._histograms: dict[tuple[str, ...], Histogram] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Count up."""
        numbers = self._numbers
        if labels not in numbers and len(numbers) >= METRIC_SERIES_MAX:
            labels = (OTHER,) * len(labels)
        numbers[labels] = numbers.get(labels, 0) + amount

    def histogram(self, *labels: str) -> Histogram:
        """The histogram of some labels, to observe in."""
        found = self._histograms.get(labels)
        if found is None:
            if len(self._histograms) >= METRIC_SERIES_MAX:
                labels = (OTHER,) * len(labels)
            found = self._histograms.setdefault(labels, Histogram(self._metric.buckets))
        return found

    def samples(self) -> Iterator[Sample]:
        """Everything that was counted."""
        for labels, number in list(self._numbers.items()):
            yield self._metric.name, labels, number
        for labels, histogram in list(self._histograms.items()):
            yield self._metric.name, labels, histogram.value


def sample(metric: Metric, value: float, *labels: str) -> Sample:
    """One gauge as it is now, or a counter that is kept elsewhere."""
    assert len(labels) == len(metric.labels)
    return metric.name, labels, value
