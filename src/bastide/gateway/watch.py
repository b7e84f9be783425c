# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Watch: what a gateway or the desk counts. One call for a receipt, one for a refusal.

Everything that an answer counts stands in one row, found by one look-up: this is on the way of
every request. A receipt is counted when it is made. Belongs to one event loop.
"""

from collections.abc import Iterator

from bastide.core.limits import METRIC_SERIES_MAX
from bastide.core.metrics import (
    ANSWERS,
    CONNECTIONS,
    COST,
    DURATION,
    GUARD,
    INSIDE,
    OTHER,
    PROVIDER,
    REFUSALS,
    SNAPSHOT_AGE,
    TOKENS,
    Histogram,
    Sample,
    Series,
    sample,
)
from bastide.core.money import PICO_PER_EUR
from bastide.core.receipt import Receipt
from bastide.gateway.window import EnginePool
from bastide.stages.serve import Call

__all__ = ["Watch", "gateway_samples"]

_FAILED = ("error", "content_filter")


class _Row:
    """What answers of one kind have counted."""

    __slots__ = ("answers", "cached", "duration", "output", "picoeur", "prompt")

    def __init__(self, duration: Histogram) -> None:
        self.duration = duration
        self.answers = self.prompt = self.cached = self.output = self.picoeur = 0


class Watch:
    """Counts answers and refusals."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, bool, str], _Row] = {}
        self._durations = Series(DURATION)
        self._guard = Series(GUARD)
        self._refusals = Series(REFUSALS)

    def answered(self, call: Call, receipt: Receipt, took_s: float) -> None:
        """Count a receipt that was made, `took_s` after its request was let in."""
        served = call.served
        key = (receipt.tenant, served.name, served.embeds, receipt.finish)
        row = self._rows.get(key)
        if row is None:
            row = self._new(key)
        row.answers += 1
        row.prompt += receipt.prompt_tokens
        row.cached += receipt.cached_tokens
        row.output += receipt.completion_tokens
        row.picoeur += receipt.cost_picoeur
        row.duration.observe(took_s)
        if receipt.guard:
            self._decided(receipt)

    def refused(self, dialect: str, status: int) -> None:
        """Count a request that got an error."""
        self._refusals.add(1, dialect, str(status))

    def samples(self) -> Iterator[Sample]:
        """Everything that was counted."""
        answers, tokens, cost = Series(ANSWERS), Series(TOKENS), Series(COST)
        for (tenant, model, embeds, finish), row in self._rows.items():
            answers.add(row.answers, tenant, model, _operation(embeds), finish)
            tokens.add(row.prompt, tenant, model, "input")
            tokens.add(row.cached, tenant, model, "input_cached")
            tokens.add(row.output, tenant, model, "output")
            cost.add(row.picoeur / PICO_PER_EUR, tenant, model)
        for series in (answers, tokens, cost, self._durations, self._guard, self._refusals):
            yield from series.samples()

    def _new(self, key: tuple[str, str, bool, str]) -> _Row:
        if len(self._rows) >= METRIC_SERIES_MAX:
            key = (OTHER, OTHER, key[2], key[3])
            if (found := self._rows.get(key)) is not None:
                return found
        _, model, embeds, finish = key
        fault = finish if finish in _FAILED else ""
        duration = self._durations.histogram(_operation(embeds), PROVIDER, model, fault)
        row = self._rows[key] = _Row(duration)
        return row

    def _decided(self, receipt: Receipt) -> None:
        for text in receipt.guard:
            parts = text.split(":")
            # As detectors/guard.py writes them; rows on the policy and its list are no decisions.
            if len(parts) == 4 and parts[0] in ("in", "out"):
                direction, detector, action, count = parts
                self._guard.add(int(count), receipt.tenant, direction, detector, action)


def gateway_samples(
    watch: Watch, pool: EnginePool, connections: int | None, age_s: float
) -> Iterator[Sample]:
    """Everything that a gateway tells; the desk has no connections of clients."""
    yield from watch.samples()
    if connections is not None:
        yield sample(CONNECTIONS, connections)
    # Control has not been heard of before the first snapshot.
    if age_s != float("inf"):
        yield sample(SNAPSHOT_AGE, age_s)
    for model, inside in pool.inside.items():
        yield sample(INSIDE, inside, model)


def _operation(embeds: bool) -> str:
    return "embeddings" if embeds else "chat"
